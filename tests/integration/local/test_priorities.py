"""Priorities as on RabbitMQ: https://www.rabbitmq.com/docs/priority."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.exceptions import PreconditionFailed

from tests.integration.local.conftest import Connect
from tests.integration.local.drive import bodies, drain, get_all, listen, rest, send

PRIORITIES = {"a": 3, "b": 6, "c": 3, "d": None, "e": 200, "f": 0, "g": 10}


def declare(channel: Any, kind: str, most: int | None = 10, **arguments: Any) -> str:
    """A queue of each kind, to which the exchange ``in`` leads."""
    given = {name.replace("_", "-"): each for name, each in arguments.items()}
    if most is not None:
        given["x-max-priority"] = most
    channel.exchange_declare("in", "fanout" if "room" in kind else "direct")
    channel.queue_declare("q", exclusive="own" in kind, arguments=given)
    channel.queue_bind("q", "in")
    return "q"


def fill(channel: Any, priorities: dict[str, int | None] = PRIORITIES) -> None:
    for text, priority in priorities.items():
        given: dict[str, Any] = {} if priority is None else {"priority": priority}
        send(channel, text, exchange="in", **given)


@pytest.mark.parametrize("kind", ["shared", "shared, of a room", "own", "own, of a room"])
def test_the_higher_number_comes_first_and_equal_ones_in_order(connection: Any, kind: str) -> None:
    channel = connection.channel()
    declare(channel, kind)
    fill(channel)
    # What is over the queue's highest counts as that.
    assert get_all(channel, "q") == ["e", "g", "b", "a", "c", "d", "f"]
    fill(channel)
    arrived = listen(channel, "q")
    assert rest(connection, arrived) == ["e", "g", "b", "a", "c", "d", "f"]
    assert [each.properties.get("priority") for each in arrived] == [200, 10, 6, 3, 3, None, 0]


@pytest.mark.parametrize("most", [None, 0])
def test_without_priorities_the_order_is_that_of_sending(channel: Any, most: int | None) -> None:
    declare(channel, "shared", most)
    fill(channel)
    assert get_all(channel, "q") == list(PRIORITIES)


def test_a_requeued_message_takes_its_place_again(connection: Any) -> None:
    channel = connection.channel()
    declare(channel, "shared")
    fill(channel, {"low": 1, "middle": 5, "low too": 1})
    first = channel.basic_get("q")
    assert first.body == b"middle"
    second = channel.basic_get("q")
    channel.basic_reject(second.delivery_tag, requeue=True)
    channel.basic_reject(first.delivery_tag, requeue=True)
    fill(channel, {"urgent": 9})
    assert get_all(channel, "q") == ["urgent", "middle", "low", "low too"]


def test_with_a_limit_on_what_is_unacknowledged_the_next_is_always_the_most_urgent(connection: Any) -> None:
    channel = connection.channel()
    declare(channel, "shared")
    channel.basic_qos(0, 1, False)
    arrived = listen(channel, "q")
    fill(channel, {"a": 1, "b": 1})
    drain(connection, arrived, 1)
    fill(channel, {"c": 9})
    for number in (2, 3):
        channel.basic_ack(arrived[-1].delivery_tag)
        drain(connection, arrived, number)
    assert bodies(arrived) == ["a", "c", "b"]


def test_competing_consumers_share_the_urgent_ones(connect: Connect) -> None:
    sender = connect().channel()
    declare(sender, "shared")
    readers = [connect() for _ in range(2)]
    arrived = [listen(reader.channel(), "q") for reader in readers]
    fill(sender, {f"m{n}": n % 3 for n in range(60)})
    texts = [text for reader, got in zip(readers, arrived, strict=True) for text in rest(reader, got)]
    assert sorted(texts) == sorted(f"m{n}" for n in range(60))


def test_a_full_queue_drops_its_head(channel: Any) -> None:
    declare(channel, "shared", x_max_length=2)
    fill(channel, {"low": 1, "urgent": 9, "middle": 5})
    # On RabbitMQ, too, "higher priority messages might be dropped to make way for lower priority ones".
    assert get_all(channel, "q") == ["middle", "low"]


@pytest.mark.parametrize("most", [-1, 256, "high", True, 1.5])
def test_a_highest_priority_that_cannot_be_is_refused(channel: Any, most: Any) -> None:
    with pytest.raises(PreconditionFailed, match="x-max-priority"):
        channel.queue_declare("q", arguments={"x-max-priority": most})
