"""What only one kind of queue does, or what differs between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from amqp.exceptions import AccessRefused, ConsumerCancelled, NotFound, PreconditionFailed, ResourceLocked

from tests.brokers.wait import soon, wait_until
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import bodies, drain, get_all, listen, own_queue, rest, send


def test_an_exclusive_queue_is_locked_for_others_and_goes_with_its_connection(connect: Connect) -> None:
    me, other = connect(), connect().channel()
    me.channel().queue_declare("mine", exclusive=True)
    me.channel().queue_declare("mine", exclusive=True)
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: other.queue_declare("mine", passive=True),
        lambda: other.queue_declare("mine", exclusive=True),
        lambda: other.basic_consume("mine", callback=print),
        lambda: other.basic_get("mine"),
        lambda: other.queue_bind("mine", "amq.fanout"),
        lambda: other.queue_purge("mine"),
        lambda: other.queue_delete("mine"),
    )
    for attempt in attempts:
        with pytest.raises(ResourceLocked) as caught:
            attempt()
        assert caught.value.code == 405
    me.release()
    with pytest.raises(NotFound):
        other.queue_declare("mine", passive=True)


def test_an_auto_delete_queue_goes_with_its_last_consumer(connect: Connect) -> None:
    one, two = connect().channel(), connect().channel()
    one.queue_declare("q", auto_delete=True)
    one.queue_declare("q", auto_delete=True)
    one.basic_consume("q", callback=print, consumer_tag="a")
    two.basic_consume("q", callback=print, consumer_tag="a")
    one.basic_cancel("a")
    assert two.queue_declare("q", passive=True).consumer_count == 1
    two.close()
    with pytest.raises(NotFound):
        one.queue_declare("q", passive=True)


def test_an_exclusive_auto_delete_queue_goes_with_its_last_consumer(connection: Any) -> None:
    channel = connection.channel()
    queue = own_queue(channel)
    for tag in ("a", "b"):
        channel.basic_consume(queue, callback=print, consumer_tag=tag)
    channel.basic_cancel("a")
    channel.queue_declare(queue, passive=True)
    channel.basic_cancel("b")
    with pytest.raises(NotFound):
        channel.queue_declare(queue, passive=True)


def test_redeclaring_with_other_flags_names_the_difference(channel: Any) -> None:
    channel.queue_declare("q", durable=True, arguments={"x-max-length": 5})
    channel.queue_declare("q", durable=True, arguments={"x-max-length": 5, "x-history-last": 3})
    different: dict[str, dict[str, Any]] = {
        "durable": {"durable": False, "arguments": {"x-max-length": 5}},
        "exclusive": {"durable": True, "exclusive": True, "arguments": {"x-max-length": 5}},
        "auto_delete": {"durable": True, "auto_delete": True, "arguments": {"x-max-length": 5}},
        "arguments": {"durable": True},
    }
    for name, flags in different.items():
        with pytest.raises(PreconditionFailed, match=f"'q' exists with {name}"):
            channel.queue_declare("q", **flags)


def test_names_are_made_up_refused_or_remembered(channel: Any) -> None:
    name = channel.queue_declare().queue
    assert name.startswith("amq.gen-")
    assert channel.queue_declare(passive=False).queue != name
    channel.queue_declare("last")
    send(channel, "x", routing_key="last")
    assert channel.basic_get().body == b"x"
    channel.queue_declare(name)
    with pytest.raises(AccessRefused):
        channel.queue_declare("amq.mine")
    with pytest.raises(PreconditionFailed):
        channel.queue_declare("x" * 256)


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-max-length": -1},
        {"x-max-length": "many"},
        {"x-message-ttl": 1.5},
        {"x-overflow": "reject-publish"},
        {"x-history-last": -1},
        {"x-history-last": True},
        {"x-history-last": 2**70},
        {"x-max-length": 2**70},
        {"x-history-since": "yesterday"},
        {"x-history-since": float("nan")},
    ],
)
def test_arguments_that_make_no_sense_are_refused(channel: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(PreconditionFailed):
        channel.queue_declare("q", arguments=arguments)
    with pytest.raises(NotFound):
        channel.queue_declare("q", passive=True)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("kind", ["fanout", "direct"])
def test_a_full_queue_drops_its_head(channel: Any, exclusive: bool, kind: str) -> None:
    channel.exchange_declare("e", kind)
    channel.queue_declare("q", exclusive=exclusive, arguments={"x-max-length": 3, "x-overflow": "drop-head"})
    channel.queue_bind("q", "e")
    send(channel, *"abcdef", exchange="e")
    assert get_all(channel, "q") == ["d", "e", "f"]


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("kind", ["fanout", "direct"])
def test_a_queue_can_limit_how_long_its_messages_last(channel: Any, exclusive: bool, kind: str) -> None:
    channel.exchange_declare("e", kind)
    for name, milliseconds in (("short", 0), ("long", 60_000)):
        channel.queue_declare(name, exclusive=exclusive, arguments={"x-message-ttl": milliseconds})
        channel.queue_bind(name, "e")
    send(channel, "x", exchange="e")
    assert get_all(channel, "short") == []
    assert get_all(channel, "long") == ["x"]


def test_a_queue_that_nobody_uses_expires(connect: Connect) -> None:
    channel = connect().channel()
    channel.queue_declare("q", arguments={"x-expires": 1})
    channel.queue_declare("used", arguments={"x-expires": 1})
    channel.basic_consume("used", callback=print)

    def expired() -> bool:
        another = connect()
        send(another.channel(), "x", routing_key="q")  # the first to publish cleans up
        another.release()
        try:
            channel.queue_declare("q", passive=True)
        except NotFound:
            return True
        return False

    wait_until(expired, 10)
    channel.queue_declare("used", passive=True)


def test_competing_consumers_share_and_nobody_gets_anothers(connect: Connect) -> None:
    publisher = connect().channel()
    publisher.queue_declare("jobs")
    consumers = [connect() for _ in range(3)]
    arrived = [listen(consumer.channel(), "jobs") for consumer in consumers]
    send(publisher, *map(str, range(90)), routing_key="jobs")
    for consumer, mine in zip(consumers, arrived, strict=True):
        drain(consumer, mine, 10)
    for consumer, mine in zip(consumers, arrived, strict=True):
        rest(consumer, mine)
    texts = [text for mine in arrived for text in bodies(mine)]
    assert sorted(texts, key=int) == [str(n) for n in range(90)]
    for mine in arrived:
        assert [int(text) for text in bodies(mine)] == sorted(int(text) for text in bodies(mine))


def test_a_closing_connections_messages_come_back(connect: Connect) -> None:
    one, two = connect(), connect().channel()
    two.queue_declare("jobs")
    send(two, *"abc", routing_key="jobs")
    arrived = listen(one.channel(), "jobs")
    drain(one, arrived, 1)
    assert two.basic_get("jobs") is None
    one.release()
    again = [two.basic_get("jobs") for _ in range(3)]
    assert bodies(again) == ["a", "b", "c"]
    assert [message.delivery_info["redelivered"] for message in again] == [True, False, False]


def test_a_consumer_is_told_when_its_queue_is_deleted(connect: Connect) -> None:
    consumer, operator = connect(), connect().channel()
    channel = consumer.channel()
    told: list[str] = []
    operator.queue_declare("jobs")
    channel.basic_consume("jobs", callback=print, consumer_tag="t", on_cancel=told.append)
    operator.queue_delete("jobs")
    consumer.drain_events(timeout=30)
    assert told == ["t"]
    with pytest.raises(TimeoutError):
        consumer.drain_events(timeout=0)


def test_a_consumer_that_does_not_want_to_be_told_gets_an_error(connect: Connect) -> None:
    consumer, operator = connect(), connect().channel()
    operator.queue_declare("jobs")
    consumer.channel().basic_consume("jobs", callback=print)
    operator.queue_delete("jobs")
    with pytest.raises(ConsumerCancelled, match="'jobs' was deleted"):
        consumer.drain_events(timeout=soon(5))


def test_a_lasting_queue_keeps_messages_while_nobody_listens(connect: Connect) -> None:
    with connect() as first:
        channel = first.channel()
        channel.exchange_declare("chat", "fanout")
        channel.queue_declare("lasting", durable=True)
        channel.queue_bind("lasting", "chat")
        send(channel, "a", exchange="chat")
        arrived = listen(channel, "lasting")
        drain(first, arrived, 1)
        channel.basic_ack(arrived[0].delivery_tag)
    send(connect().channel(), "b", "c", exchange="chat")
    second = connect()
    assert drain(second, listen(second.channel(), "lasting"), 2) == ["b", "c"]


def test_acknowledging_what_a_deleted_queue_had_harms_no_other(connect: Connect) -> None:
    one, two = connect().channel(), connect().channel()
    one.queue_declare("a")
    send(one, "x", routing_key="a")
    held = one.basic_get("a")
    two.queue_delete("a")
    two.queue_declare("b")
    send(two, "y", routing_key="b")
    one.basic_ack(held.delivery_tag)
    assert get_all(two, "b") == ["y"]


def test_messages_that_no_queue_needs_leave_the_file(connection: Any) -> None:
    channel = connection.channel()
    channel.exchange_declare("t", "topic")
    for name in ("a", "b"):
        channel.queue_declare(name)
        channel.queue_bind(name, "t", "#")
    send(channel, "x", exchange="t", routing_key="k")
    store = connection.connection.store
    get_all(channel, "a")
    assert store.value("SELECT count(*) FROM message") == 1
    channel.queue_purge("b")
    send(channel, "y", routing_key="a")
    channel.queue_delete("a")
    channel.queue_delete("b")
    send(channel, "z", exchange="t", routing_key="k")
    assert store.value("SELECT count(*) FROM message") == 0
    assert store.value("SELECT count(*) FROM queued") == 0
