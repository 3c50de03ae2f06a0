"""Driven by Kombu's own classes, and by Celery."""

from __future__ import annotations

import pickle
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import kombu
import pytest
from kombu.mixins import ConsumerMixin

from tests.brokers.wait import soon
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import listen, own_queue, rest, send


def test_a_simple_queue_is_first_in_first_out(connect: Connect) -> None:
    with connect().SimpleQueue("jobs") as queue:
        for number in range(5):
            queue.put({"number": number})
        assert queue.qsize() == 5
        first = queue.get(timeout=30)
        assert first.payload == {"number": 0}
        first.ack()
        again = queue.get(timeout=30)
        again.requeue()
        for expected in (1, 2, 3, 4):
            message = queue.get(timeout=30)
            assert message.payload == {"number": expected}
            message.ack()
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.01)
        with pytest.raises(queue.Empty):
            queue.get_nowait()


def test_a_simple_buffer_needs_no_acknowledgement(connect: Connect) -> None:
    with connect().SimpleBuffer("buffer") as buffer:
        buffer.put("hello")
        assert buffer.get(timeout=30).payload == "hello"
        assert len(buffer) == 0


def test_a_consumer_and_a_producer(connect: Connect) -> None:
    connection = connect()
    exchange = kombu.Exchange("tasks", type="topic")
    queue = kombu.Queue("lib", exchange, routing_key="lib.#", max_length=10, message_ttl=60)
    arrived: list[Any] = []
    producer = connect().Producer(serializer="json")
    producer.publish(
        {"héllo": [1, 2]}, exchange=exchange, routing_key="lib.x", declare=[queue], compression="zlib"
    )
    with connection.Consumer(queue, callbacks=[lambda body, message: arrived.append((body, message))]):
        connection.drain_events(timeout=30)
    body, message = arrived[0]
    assert body == {"héllo": [1, 2]}
    assert message.properties["delivery_mode"] == 2
    assert message.delivery_info["routing_key"] == "lib.x"
    message.ack()
    assert message.acknowledged
    assert queue(connection).get() is None


def test_no_ack_messages_can_be_acknowledged_as_kombu_does_it(connect: Connect) -> None:
    connection = connect()
    queue = kombu.Queue("q", kombu.Exchange("e"), "q", no_ack=True)
    arrived: list[Any] = []
    with connection.Consumer(queue, no_ack=True, callbacks=[lambda _, message: arrived.append(message)]):
        connection.Producer().publish("x", exchange="e", routing_key="q")
        connection.drain_events(timeout=30)
        arrived[0].ack()


def test_a_producer_is_told_what_nobody_gets(connect: Connect) -> None:
    connection = connect()
    told: list[Any] = []
    producer = connection.Producer(
        connection.channel(), kombu.Exchange("e"), on_return=lambda *arguments: told.append(arguments[1:3])
    )
    producer.publish("x", routing_key="k", mandatory=True)
    assert told == [("e", "k")]


def test_a_consumer_mixin_runs_until_it_should_stop(connect: Connect) -> None:
    connection = connect()
    exchange = kombu.Exchange("e", "direct")
    queue = kombu.Queue("q", exchange, "q")

    class Worker(ConsumerMixin):
        def __init__(self) -> None:
            self.connection = connection
            self.seen: list[Any] = []

        def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
            return [consumer([queue], callbacks=[self.on_task], prefetch_count=1)]

        def on_task(self, body: Any, message: Any) -> None:
            self.seen.append(body)
            message.ack()
            self.should_stop = len(self.seen) == 3

    producer = connect().Producer()
    for number in range(3):
        producer.publish(number, exchange=exchange, routing_key="q", declare=[queue])
    worker = Worker()
    worker.run(_tokens=1)
    assert worker.seen == [0, 1, 2]


def test_drain_events_times_out_on_time(connect: Connect) -> None:
    connection = connect()
    listen(connection.channel(), own_queue(connection.channel()))
    for timeout in (0.3, 0.03, 0.001):
        begin = time.monotonic()
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=timeout)
        assert timeout <= time.monotonic() - begin < soon(timeout + 0.25)
    begin = time.monotonic()
    with pytest.raises(socket.timeout):
        connection.drain_events(timeout=0)
    assert time.monotonic() - begin < soon(0.1)


def test_one_drain_delivers_one_message_unless_asked_for_more(connect: Connect, local_url: str) -> None:
    for connection, portions in ((connect(), [1, 2, 3]), (connect(f"{local_url}?drain_batch=2"), [2, 3])):
        channel = connection.channel()
        channel.exchange_declare("chat", "fanout")
        arrived = listen(channel, own_queue(channel, "chat"))
        send(channel, *"abc", exchange="chat")
        seen = []
        for _ in portions:
            connection.drain_events(timeout=30)
            seen.append(len(arrived))
        assert seen == portions


def test_prefetch_and_cancel_hold_within_a_batch(connect: Connect) -> None:
    connection = connect(drain_batch=100)
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    channel.basic_qos(0, 3, False)
    arrived = listen(channel, own_queue(channel, "chat"))
    cancelled: list[Any] = []
    other = connection.channel()
    queue = other.queue_declare(exclusive=True).queue
    other.queue_bind(queue, "chat")

    def once(delivery: Any) -> None:
        cancelled.append(delivery)
        other.basic_cancel("t")

    other.basic_consume(queue, callback=once, consumer_tag="t")
    send(channel, *"abcdef", exchange="chat")
    assert rest(connection, arrived) == ["a", "b", "c"]
    assert len(cancelled) == 1


def test_a_signal_handler_runs_while_waiting(connect: Connect) -> None:
    connection = connect()
    listen(connection.channel(), own_queue(connection.channel()))

    class Rang(Exception):
        pass

    def ring(*_: object) -> None:
        raise Rang

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Rang):
            connection.drain_events(timeout=30)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_two_connections_of_one_process_do_not_disturb_each_other(connect: Connect, tmp_path: Path) -> None:
    same, other_room = connect(), connect(f"local://{tmp_path}/other.db")
    here = connect()
    for connection in (here, same, other_room):
        connection.channel().exchange_declare("chat", "fanout")
    arrived = [listen(c.channel(), own_queue(c.channel(), "chat")) for c in (here, same, other_room)]
    send(here.channel(), "x", exchange="chat")
    assert [rest(c, a) for c, a in zip((here, same, other_room), arrived, strict=True)] == [["x"], ["x"], []]
    same.release()
    send(here.channel(), "y", exchange="chat")
    assert rest(here, arrived[0]) == ["x", "y"]


def test_a_connection_may_be_opened_in_one_thread_and_used_in_another(connect: Connect) -> None:
    opened: list[Any] = []
    thread = threading.Thread(target=lambda: opened.append(connect()))
    thread.start()
    thread.join()
    channel = opened[0].channel()
    queue = own_queue(channel)
    send(channel, "x", routing_key=queue)
    assert channel.basic_get(queue).body == b"x"


def test_a_connection_can_be_cloned_pickled_and_pooled(connect: Connect, local_url: str) -> None:
    connection = connect()
    connection.channel().queue_declare("q")
    for copy in (connection.clone(), pickle.loads(pickle.dumps(connection))):
        with copy:
            assert copy.channel().queue_declare("q", passive=True).queue == "q"
    pool = connection.Pool(2)
    with pool.acquire(block=True) as pooled:
        assert pooled.default_channel.queue_declare("q", passive=True).queue == "q"
    pool.force_close_all()


def test_a_connection_describes_itself(connect: Connect, path: Path) -> None:
    connection = connect()
    assert connection.as_uri() == f"local://{path}"
    assert connection.transport.driver_name == "sqlite3"
    assert connection.transport.driver_version()
    assert connection.supports_exchange_type("topic")
    assert not connection.supports_exchange_type("headers")
    connection.channel().queue_declare("q")
    connection.channel().queue_bind("q", "amq.topic", "a.#")
    assert connection.get_manager().get_bindings() == [
        {"destination": "q", "source": "amq.topic", "routing_key": "a.#"}
    ]
