"""Plain Kombu over Pub/Sub, with nothing of kchat but the transport."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty
from typing import Any

import kombu
import pytest
from amqp.exceptions import ChannelError, NotFound, PreconditionFailed, ResourceLocked
from kombu.mixins import ConsumerMixin
from kombu.simple import SimpleQueue

from kchat.transports.pubsub import ownership_labels
from kchat.transports.pubsub.errors import NotSupported
from tests.integration.pubsub.driving import (
    Connect,
    bodies,
    drain,
    drain_for,
    fanout,
    lasting_queue,
    listen,
    own_queue,
    send,
    take,
)

Name = Callable[[str], str]


def test_a_producer_and_a_consumer_exchange_objects(connect: Connect, name: Name) -> None:
    connection = connect()
    exchange = fanout(name("room"))
    queue = kombu.Queue(name("queue"), exchange, exclusive=True, durable=False)
    got: list[Any] = []

    def on_message(body: Any, message: Any) -> None:
        got.append((body, message.headers))
        message.ack()

    with kombu.Consumer(connection, [queue], callbacks=[on_message], accept=["json"]):
        producer = kombu.Producer(connection, exchange)
        producer.publish({"hello": "wörld"}, serializer="json", headers={"n": 1})
        producer.publish({"zip": "x" * 5000}, serializer="json", compression="zlib")
        drain(connection, lambda: len(got) == 2)
    assert got[0] == ({"hello": "wörld"}, {"n": 1})
    assert got[1][0] == {"zip": "x" * 5000}


def test_a_direct_exchange_delivers_by_routing_key(connect: Connect, name: Name) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = kombu.Exchange(name("sorted"), type="direct")
    arrived = {
        key: listen(channel, lasting_queue(channel, exchange, name("queue"), key), no_ack=True)
        for key in ("red", 'b"l\\ue', "")
    }
    for key in arrived:
        send(channel, exchange.name, f"for {key}".encode(), routing_key=key)
    # Also from a process that did not declare it, and so does not know its type.
    send(connect().channel(), exchange.name, b"more for red", routing_key="red")
    drain(connection, lambda: sum(map(len, arrived.values())) == 4)
    drain_for(connection, 0.3)
    assert bodies(arrived["red"]) == [b"for red", b"more for red"]
    assert bodies(arrived['b"l\\ue']) == [b'for b"l\\ue']
    assert bodies(arrived[""]) == [b"for "]
    assert arrived["red"][0].delivery_info["routing_key"] == "red"


def test_another_process_gets_what_a_direct_queue_was_bound_to(connect: Connect, name: Name) -> None:
    exchange, queue = kombu.Exchange(name("sorted"), type="direct"), name("queue")
    channel = connect().channel()
    lasting_queue(channel, exchange, queue, "red")
    send(channel, exchange.name, b"blue", routing_key="blue")
    send(channel, exchange.name, b"red", routing_key="red")
    connection = connect()
    arrived = listen(connection.channel(), queue)
    # The emulator does not filter, the service does: what is not for this queue stays away either way.
    assert take(connection, arrived, 1) == [b"red"]


def test_the_default_exchange_delivers_to_the_queue_of_that_name(connect: Connect, name: Name) -> None:
    connection = connect()
    queue = name("queue")
    kombu.Queue(queue, durable=True)(connection.channel()).declare()
    send(connection.channel(), "", b"from here", routing_key=queue)
    send(connect().channel(), "", b"from there", routing_key=queue)
    arrived = listen(connection.channel(), queue)
    assert take(connection, arrived, 2) == [b"from here", b"from there"]
    assert arrived[0].delivery_info["routing_key"] == queue
    with pytest.raises(NotFound):
        send(connection.channel(), "", b"x", routing_key=name("missing"))
    connection.channel().queue_delete(queue)
    with pytest.raises(NotFound):
        send(connection.channel(), "", b"x", routing_key=queue)


def test_the_default_exchange_reaches_a_queue_that_is_bound_to_a_direct_one(
    connect: Connect, name: Name
) -> None:
    # As Celery publishes: to the queue, past its exchange.
    connection, exchange, queue = connect(), kombu.Exchange(name("jobs"), type="direct"), name("queue")
    channel = connection.channel()
    arrived = listen(channel, lasting_queue(channel, exchange, queue, "key"))
    send(channel, "", b"from here", routing_key=queue)
    send(connect().channel(), "", b"from there", routing_key=queue)
    assert take(connection, arrived, 2) == [b"from here", b"from there"]
    room_queue = lasting_queue(channel, fanout(name("room")), name("queue"))
    with pytest.raises(NotSupported, match="bound to the fanout exchange"):
        send(channel, "", b"x", routing_key=room_queue)


def test_an_answer_goes_to_another_process_own_queue(
    connect: Connect, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    channel = connection.channel()
    queue = name("answers")
    kombu.Queue(queue, exclusive=True, durable=False)(channel).declare()
    arrived = listen(channel, queue)
    answering = connect().channel()
    with monkeypatch.context() as elsewhere:
        # The labels are all that tells processes apart.
        elsewhere.setattr(ownership_labels, "host", lambda: "elsewhere")
        send(answering, "", b"answer", routing_key=queue)
        with pytest.raises(ResourceLocked):
            answering.queue_delete(queue)
    assert take(connection, arrived, 1) == [b"answer"]


def test_a_simple_queue_puts_and_gets(connect: Connect, name: Name) -> None:
    connection = connect()
    with SimpleQueue(connection, name("jobs")) as jobs:
        for number in range(3):
            jobs.put({"number": number})
        got = [jobs.get(timeout=30) for _ in range(3)]
        assert [message.payload["number"] for message in got] == [0, 1, 2]
        for message in got:
            message.ack()
        with pytest.raises(Empty):
            jobs.get(timeout=0.3)


def test_a_consumer_mixin_runs(connect: Connect, name: Name) -> None:
    exchange = fanout(name("room"))
    queue = kombu.Queue(name("queue"), exchange, durable=True)

    class Worker(ConsumerMixin):
        def __init__(self, connection: kombu.Connection) -> None:
            self.connection = connection
            self.seen: list[Any] = []

        def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
            return [consumer([queue], callbacks=[self.on_message])]

        def on_consume_ready(self, *_: Any, **__: Any) -> None:
            kombu.Producer(self.connection.channel(), exchange).publish("hello")

        def on_message(self, body: Any, message: Any) -> None:
            self.seen.append(body)
            message.ack()
            self.should_stop = True

    worker = Worker(connect())
    worker.run()
    assert worker.seen == ["hello"]


@pytest.mark.parametrize("kind", ["topic", "headers"])
def test_exchanges_of_other_types_are_refused(channel: Any, name: Name, kind: str) -> None:
    with pytest.raises(NotSupported, match=f"not {kind}") as refused:
        kombu.Exchange(name("exchange"), type=kind)(channel).declare()
    assert isinstance(refused.value, ChannelError)
    assert refused.value.reply_code == 540


def test_operations_that_pubsub_lacks_are_refused(channel: Any, name: Name) -> None:
    exchange = fanout(name("room"))
    queue = lasting_queue(channel, exchange, name("queue"))
    other = fanout(name("room"))
    other(channel).declare()
    asked: list[Callable[[], Any]] = [
        lambda: channel.queue_declare(name("queue"), arguments={"x-max-priority": 9}),
        lambda: channel.queue_declare(name("queue"), arguments={"x-history-last": 5}),
        lambda: channel.exchange_bind(exchange.name, other.name),
        lambda: channel.queue_bind(queue, other.name),
        lambda: channel.queue_unbind(queue, exchange.name),
        lambda: channel.queue_delete(queue, if_empty=True),
        lambda: channel.basic_consume(queue, exclusive=True),
    ]
    for ask in asked:
        with pytest.raises(NotSupported):
            ask()


def test_history_needs_a_topic_that_keeps_messages(connect: Connect, name: Name) -> None:
    channel = connect().channel()
    queue = kombu.Queue(
        name("queue"), fanout(name("room")), durable=True, queue_arguments={"x-history-since": 1.0}
    )
    with pytest.raises(NotSupported, match="has no history"):
        queue(channel).declare()
    with pytest.raises(NotFound):
        channel.queue_declare(queue.name, passive=True)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_queue_begins_with_what_its_topic_retains_since_a_time(
    connect: Connect, name: Name, exclusive: bool
) -> None:
    connection = connect(topic_retention=600)
    channel, room = connection.channel(), name("room")
    fanout(room)(channel).declare()
    send(channel, room, b"a", b"b", b"c")
    since = []
    for arguments in ({"x-history-since": 1.0}, {}):
        queue = kombu.Queue(
            name("queue"), fanout(room), exclusive=exclusive, durable=not exclusive, queue_arguments=arguments
        )
        queue(channel).declare()
        since.append(listen(channel, queue.name))
    send(channel, room, b"live")
    drain(connection, lambda: bool(since[1]) and len(since[0]) >= 4)
    assert [[each.body for each in arrived] for arrived in since] == [[b"a", b"b", b"c", b"live"], [b"live"]]
    # From the time of one of them on: the emulator's are milliseconds, which messages may share.
    times = {each.body: each.delivery_info["publish_time"] for each in since[0]}
    for first in (b"b", b"live"):
        queue = kombu.Queue(
            name("queue"), fanout(room), exclusive=True, queue_arguments={"x-history-since": times[first]}
        )
        queue(channel).declare()
        arrived = listen(channel, queue.name)
        expected = [body for body, at in times.items() if at >= times[first]]
        drain(connection, lambda: len(arrived) >= len(expected))  # noqa: B023 - called before the next round
        assert [each.body for each in arrived] == expected
    assert times[b"a"] < times[b"live"], "something was left out"


def test_an_exchange_that_exists_with_another_type_is_refused(connect: Connect, name: Name) -> None:
    room = name("room")
    kombu.Exchange(room, type="direct")(connect().channel()).declare()
    with pytest.raises(PreconditionFailed, match="'type'"):
        fanout(room)(connect().channel()).declare()


def test_declarations_can_be_repeated_and_looked_up(connect: Connect, name: Name) -> None:
    exchange, queue = fanout(name("room")), name("queue")
    channel = connect().channel()
    for declaring in (channel, channel, connect().channel()):
        lasting_queue(declaring, exchange, queue)
    channel.exchange_declare(exchange.name, passive=True)
    assert channel.queue_declare(queue, passive=True).queue == queue
    with pytest.raises(NotFound):
        channel.exchange_declare(name("missing"), passive=True)
    with pytest.raises(PreconditionFailed, match="in use"):
        channel.exchange_delete(exchange.name, if_unused=True)
    channel.exchange_delete(exchange.name)
    with pytest.raises(NotFound):
        channel.exchange_declare(exchange.name, passive=True)
    # What is left of the queue gets nothing any more, and is not taken for a good one.
    exchange(channel).declare()
    with pytest.raises(PreconditionFailed, match="deleted"):
        lasting_queue(connect().channel(), exchange, queue)


@pytest.mark.parametrize(
    "room",
    ["a b/c", "näme 漢字 \U0001f600", "goog", "1", "x", "%41bc", "abc%41", "x%%abc", "y" * 255, "é" * 255],
    ids=lambda room: room[:8],
)
def test_any_room_name_has_a_topic_of_its_own(connect: Connect, name: Name, room: str) -> None:
    connection = connect()
    channel = connection.channel()
    exchange = fanout(room)
    arrived = listen(channel, own_queue(channel, exchange, f"{room[:200]} {name('queue')}"))
    send(channel, room, b"x")
    assert take(connection, arrived, 1) == [b"x"]
    assert arrived[0].delivery_info["exchange"] == room
