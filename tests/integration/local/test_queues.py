"""What a queue does: take, acknowledge, refuse, put back, limit, forget."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.exceptions import (
    AMQPNotImplementedError,
    NotAllowed,
    NotFound,
    PreconditionFailed,
    RecoverableConnectionError,
)

from tests.integration.local.conftest import Connect
from tests.integration.local.drive import bodies, drain, get_all, listen, rest, send

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture(params=["shared", "own", "own, of a room"])
def queue(request: pytest.FixtureRequest, channel: Any) -> str:
    """A queue of each kind, to which the exchange ``in`` leads."""
    kind = request.param
    channel.exchange_declare("in", "fanout" if kind == "own, of a room" else "direct")
    channel.queue_declare("q", exclusive=kind != "shared")
    channel.queue_bind("q", "in")
    return "q"


def fill(channel: Any, *texts: str, **properties: Any) -> None:
    send(channel, *texts, exchange="in", **properties)


def test_get_takes_one_after_the_other(channel: Any) -> None:
    fill(channel, "a", "b")
    first, second = channel.basic_get("q"), channel.basic_get("q")
    assert (first.body, second.body) == (b"a", b"b")
    assert channel.basic_get("q") is None
    assert not first.delivery_info["redelivered"]


def test_acknowledged_messages_do_not_come_back(channel: Any) -> None:
    fill(channel, "a", "b", "c")
    tags = [channel.basic_get("q").delivery_tag for _ in range(3)]
    channel.basic_ack(tags[1])
    channel.basic_recover(requeue=True)
    assert get_all(channel, "q") == ["a", "c"]
    channel.basic_recover(requeue=True)
    assert get_all(channel, "q") == []


def test_multiple_acknowledges_all_up_to_and_including(channel: Any, connection: Any) -> None:
    arrived = listen(channel, "q")
    fill(channel, *"abcde")
    drain(connection, arrived, 5)
    channel.basic_ack(arrived[2].delivery_tag, multiple=True)
    channel.basic_ack(arrived[2].delivery_tag, multiple=True)
    channel.basic_recover(requeue=True)
    assert drain(connection, arrived, 7)[5:] == ["d", "e"]
    channel.basic_ack(0, multiple=True)
    channel.basic_recover(requeue=True)
    assert len(rest(connection, arrived)) == 7


def test_an_unknown_delivery_tag_is_an_error(channel: Any) -> None:
    fill(channel, "a")
    tag = channel.basic_get("q").delivery_tag
    channel.basic_ack(tag)
    for wrong in (tag, tag + 1):
        with pytest.raises(PreconditionFailed, match="delivery tag"):
            channel.basic_ack(wrong)
    with pytest.raises(PreconditionFailed):
        channel.basic_ack(99, multiple=True)


def test_reject_drops_or_puts_back_where_it_was(channel: Any, connection: Any) -> None:
    fill(channel, *"abc")
    channel.basic_qos(0, 1, False)
    arrived = listen(channel, "q")
    drain(connection, arrived, 1)
    channel.basic_reject(arrived[0].delivery_tag, requeue=True)
    drain(connection, arrived, 2)
    assert arrived[1].body == b"a"
    assert arrived[1].delivery_info["redelivered"]
    channel.basic_reject(arrived[1].delivery_tag, requeue=False)
    drain(connection, arrived, 3)
    assert arrived[2].body == b"b"
    assert not arrived[2].delivery_info["redelivered"]


def test_nack_takes_several_at_once(channel: Any, connection: Any) -> None:
    fill(channel, *"abc")
    arrived = listen(channel, "q")
    drain(connection, arrived, 3)
    channel.basic_nack(arrived[1].delivery_tag, multiple=True, requeue=True)
    assert drain(connection, arrived, 5)[3:] == ["a", "b"]
    channel.basic_nack(arrived[-1].delivery_tag, multiple=True, requeue=False)
    channel.basic_recover(requeue=True)
    assert len(rest(connection, arrived)) == 5


def test_recover_delivers_again_in_order(channel: Any, connection: Any) -> None:
    fill(channel, *"abc")
    arrived = listen(channel, "q")
    drain(connection, arrived, 3)
    channel.basic_recover(requeue=True)
    assert drain(connection, arrived, 6)[3:] == ["a", "b", "c"]
    assert all(delivery.delivery_info["redelivered"] for delivery in arrived[3:])
    with pytest.raises(AMQPNotImplementedError):
        channel.basic_recover(requeue=False)


def test_prefetch_limits_what_is_unacknowledged(channel: Any, connection: Any) -> None:
    channel.basic_qos(0, 2, False)
    arrived = listen(channel, "q")
    fill(channel, *"abcde")
    assert rest(connection, arrived) == ["a", "b"]
    channel.basic_ack(arrived[0].delivery_tag)
    assert rest(connection, arrived) == ["a", "b", "c"]
    channel.basic_qos(0, 0, False)
    assert rest(connection, arrived) == list("abcde")
    with pytest.raises(AMQPNotImplementedError):
        channel.basic_qos(1000, 0, False)


def test_without_acknowledgement_nothing_is_kept(channel: Any, connection: Any) -> None:
    channel.basic_qos(0, 1, False)
    arrived = listen(channel, "q", no_ack=True)
    fill(channel, *"abc")
    assert rest(connection, arrived) == ["a", "b", "c"]
    channel.basic_recover(requeue=True)
    assert len(rest(connection, arrived)) == 3
    assert channel.queue_declare("q", passive=True).message_count == 0


def test_a_cancelled_consumer_gets_no_more_messages(connect: Connect, channel: Any) -> None:
    fill(channel, *"abcde")
    arrived: list[Any] = []

    def once(delivery: Any) -> None:
        arrived.append(delivery)
        channel.basic_cancel("tag")

    channel.basic_consume("q", callback=once, consumer_tag="tag")
    assert rest(channel.connection.client, arrived) == ["a"]
    channel.basic_cancel("tag")
    again = listen(channel, "q")
    assert rest(channel.connection.client, again) == ["b", "c", "d", "e"]
    assert not again[0].delivery_info["redelivered"]
    channel.basic_recover(requeue=True)
    assert sorted(rest(channel.connection.client, again)[4:]) == list("abcde")


def test_messages_on_their_way_are_delivered_before_a_consumer_ends_from_outside(
    connect: Connect, channel: Any, connection: Any
) -> None:
    fill(channel, *"abcde")
    channel.basic_qos(0, 3, False)
    arrived = listen(channel, "q", consumer_tag="t")
    connection.drain_events(timeout=30)
    channel.basic_cancel("t")
    assert bodies(arrived) == ["a", "b", "c"]
    fill(channel, "f")
    assert rest(connection, arrived) == ["a", "b", "c"]
    for delivery in arrived:
        channel.basic_ack(delivery.delivery_tag)
    assert get_all(channel, "q") == ["d", "e", "f"]


def test_purge_removes_what_is_ready_and_nothing_else(channel: Any, connection: Any) -> None:
    fill(channel, *"abc")
    held = channel.basic_get("q")
    assert channel.queue_declare("q", passive=True).message_count == 2
    assert channel.queue_purge("q") == 2
    assert channel.basic_get("q") is None
    channel.basic_reject(held.delivery_tag, requeue=True)
    fill(channel, "d")
    assert get_all(channel, "q") == ["a", "d"]


def test_delete_takes_the_messages_along(channel: Any) -> None:
    fill(channel, *"abc")
    assert channel.queue_delete("q") == 3
    with pytest.raises(NotFound):
        channel.queue_declare("q", passive=True)
    with pytest.raises(NotFound):
        channel.basic_get("q")
    assert channel.queue_delete("q") == 0
    fill(channel, "lost")
    channel.queue_declare("q")
    assert get_all(channel, "q") == []


def test_delete_only_if_unused_or_empty(channel: Any, connection: Any) -> None:
    fill(channel, "a")
    with pytest.raises(PreconditionFailed, match="not empty"):
        channel.queue_delete("q", if_empty=True)
    arrived = listen(channel, "q", consumer_tag="t")
    with pytest.raises(PreconditionFailed, match="consumers"):
        channel.queue_delete("q", if_unused=True)
    drain(connection, arrived, 1)
    channel.basic_ack(arrived[0].delivery_tag)
    channel.basic_cancel("t")
    assert channel.queue_delete("q", if_unused=True, if_empty=True) == 0


def test_counts_are_those_of_all_channels(channel: Any, connection: Any) -> None:
    fill(channel, *"abc")
    another = connection.channel()
    arrived = listen(another, "q", consumer_tag="t")
    drain(connection, arrived, 1)
    name, ready, consumers = channel.queue_declare("q", passive=True)
    assert (name, consumers) == ("q", 1)
    assert ready == 2
    another.close()
    assert channel.queue_declare("q", passive=True)[1:] == (3, 0)


def test_closing_a_channel_puts_back_what_it_had(channel: Any, connection: Any) -> None:
    fill(channel, *"ab")
    another = connection.channel()
    assert another.basic_get("q").body == b"a"
    another.close()
    another.close()
    message = channel.basic_get("q")
    assert message.body == b"a"
    assert message.delivery_info["redelivered"]
    with pytest.raises(RecoverableConnectionError, match="closed"):
        another.basic_get("q")
    with pytest.raises(RecoverableConnectionError, match="closed"):
        fill(another, "c")


def test_properties_headers_and_bytes_arrive_as_they_were(channel: Any) -> None:
    properties = {
        "message_id": 'a "quoted" \u00fc \ud800 id',
        "timestamp": 1_700_000_000,
        "app_id": "kchat",
        "user_id": "ada",
        "delivery_mode": 1,
        "correlation_id": "c",
        "reply_to": "r",
        "type": "t",
    }
    headers = {"text": "ü", "number": 1.5, "none": None, "list": [1, {"a": True}], "bytes": b"\x00\xff"}
    body = bytes(range(256))
    message = channel.prepare_message(body, 3, "text/x", "binary", headers, properties)
    assert message.properties["message_id"] == properties["message_id"]
    channel.basic_publish(message, exchange="in")
    came = channel.basic_get("q")
    assert came.body == body
    assert came.headers == headers
    got = {name: value for name, value in came.properties.items() if name != "application_headers"}
    assert got == {**properties, "priority": 3, "content_type": "text/x", "content_encoding": "binary"}
    assert (came.content_type, came.content_encoding) == ("text/x", "binary")


def test_properties_do_not_leak_from_message_to_message(channel: Any) -> None:
    sent: list[dict[str, Any]] = [
        {"message_id": "1", "app_id": "a"},
        {"message_id": "2", "app_id": "a"},
        {"timestamp": 3},
        {},
        {"message_id": "4", "timestamp": 5},
        {"timestamp": 2**70},
        {"app_id": "a", "type": ["list"]},
        {"app_id": "a"},
    ]
    for properties in sent:
        channel.basic_publish(channel.prepare_message(b"", properties=properties), exchange="in")
    assert [channel.basic_get("q").properties for _ in sent] == sent


@pytest.mark.parametrize("size", [0, 1, 4096, 1024 * 1024, 5_000_000])
def test_bodies_of_any_size(channel: Any, connection: Any, size: int) -> None:
    arrived = listen(channel, "q")
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    channel.basic_publish(channel.prepare_message(body), exchange="in")
    connection.drain_events(timeout=30)
    assert arrived[0].body == body


def test_large_and_small_in_turn_keep_their_order(channel: Any, connection: Any) -> None:
    arrived = listen(channel, "q")
    texts = [str(n) * (700_000 if n % 2 else 1) for n in range(6)]
    fill(channel, *texts)
    assert drain(connection, arrived, 6) == texts


def test_a_message_that_expired_is_not_delivered(channel: Any, connection: Any) -> None:
    arrived = listen(channel, "q")
    fill(channel, "gone", expiration="0")
    fill(channel, "stays", expiration="60000")
    fill(channel, "gone, too", expiration="0")
    assert rest(connection, arrived) == ["stays"]
    with pytest.raises(PreconditionFailed, match="expiration"):
        fill(channel, "x", expiration="soon")


def test_get_skips_what_expired(channel: Any) -> None:
    fill(channel, "gone", expiration="0")
    fill(channel, "stays")
    assert channel.basic_get("q").body == b"stays"


def test_a_tag_is_used_once_and_can_be_made_up(channel: Any) -> None:
    assert channel.basic_consume("q", callback=print, consumer_tag="t") == "t"
    with pytest.raises(NotAllowed):
        channel.basic_consume("q", callback=print, consumer_tag="t")
    assert channel.basic_consume("q", callback=print).startswith("amq.ctag-")


def test_consumers_of_one_connection_take_turns(channel: Any, connection: Any) -> None:
    other = connection.channel()
    first, second = listen(channel, "q"), listen(other, "q")
    fill(channel, *map(str, range(20)))
    everything = first + second
    while len(everything) < 20:
        connection.drain_events(timeout=30)
        everything = first + second
    assert len(first) == len(second) == 10
    assert sorted(bodies(everything), key=int) == [str(n) for n in range(20)]


def test_a_callback_that_raises_leaves_the_message_unacknowledged(channel: Any, connection: Any) -> None:
    def fail(delivery: Any) -> None:
        raise ValueError(delivery.body)

    channel.basic_consume("q", callback=fail, consumer_tag="t")
    fill(channel, "a", "b")
    with pytest.raises(ValueError, match="a"):
        connection.drain_events(timeout=30)
    channel.basic_cancel("t")
    assert get_all(channel, "q") == ["b"]
    channel.basic_recover(requeue=True)
    assert get_all(channel, "q") == ["a"]
