"""What Kombu's users do from two threads on AMQP, they may do on Pub/Sub and Redis.

Celery does: one thread drains, its result handler's acknowledges, and others publish on channels of their own.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import kombu
import pytest

from kchat import transports
from tests.brokers.pubsub import Emulator
from tests.brokers.redis import Redis
from tests.brokers.wait import Deadline, soon

COUNT = 500
Open = Callable[[], kombu.Connection]


@pytest.fixture(params=["pubsub", "redis"])
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[kombu.Connection]:
    """A connection by kchat's transport to a broker with nothing in it."""
    transports.register()
    if request.param == "pubsub":
        emulator: Emulator = request.getfixturevalue("pubsub_emulator")
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
        opened = kombu.Connection(emulator.url(emulator.new_project()))
    else:
        server: Redis = request.getfixturevalue("redis_server")
        opened = kombu.Connection(
            server.new_database(), transport="kchat.transports.redis.transport:Transport"
        )
    with opened:
        yield opened


@contextmanager
def thread(what: Callable[[], None]) -> Iterator[None]:
    """Runs something in a thread of its own; what it raises is raised at the end."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            what()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is seen
            raised.append(error)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    yield
    running.join(30)
    assert not running.is_alive()
    if raised:
        raise raised[0]


def drain(connection: kombu.Connection, done: Callable[[], bool]) -> None:
    """Drains until something is so, waiting for each message as long as Celery does: two seconds."""
    deadline = Deadline(soon(60))
    while not done():
        assert not deadline.passed
        try:
            connection.drain_events(timeout=30)
        except TimeoutError:
            assert done(), "nothing came for half a minute, though messages were acknowledged"


@pytest.mark.parametrize("prefetch", [1, 50])
@pytest.mark.parametrize("of_the_channel", [False, True], ids=["of a consumer", "of the channel"])
def test_one_thread_drains_and_another_acknowledges_and_publishes(
    connection: kombu.Connection, prefetch: int, of_the_channel: bool
) -> None:
    queue = kombu.Queue(f"jobs-{secrets.token_hex(4)}", durable=True)
    got: list[int] = []
    to_acknowledge: SimpleQueue[Any] = SimpleQueue()

    def receive(body: int, message: Any) -> None:
        got.append(body)
        to_acknowledge.put(message)

    def acknowledge() -> None:
        while (message := to_acknowledge.get()) is not None:
            message.ack()

    def publish() -> None:
        with connection.channel() as channel:
            for number in range(COUNT):
                kombu.Producer(channel).publish(number, routing_key=queue.name)
            # Declaring meanwhile what is bound to something else than the default exchange.
            for _ in range(5):
                room = kombu.Exchange(f"room-{secrets.token_hex(4)}", type="fanout", durable=False)
                kombu.Queue(room.name, room, exclusive=True, auto_delete=True)(channel).declare()

    channel = connection.channel()
    queue(channel).declare()
    consumer = kombu.Consumer(channel, [queue], callbacks=[receive])
    consumer.qos(prefetch_count=prefetch, apply_global=of_the_channel)
    with thread(acknowledge), thread(publish), consumer:
        drain(connection, lambda: len(got) == COUNT)
        to_acknowledge.put(None)
    assert sorted(got) == list(range(COUNT))
    assert queue(channel).get() is None


def test_channels_come_and_go_in_one_thread_while_another_one_drains(connection: kombu.Connection) -> None:
    queue = kombu.Queue(f"jobs-{secrets.token_hex(4)}", durable=True)
    got: list[int] = []

    def come_and_go() -> None:
        for number in range(60):
            with connection.channel() as channel, connection.channel():
                kombu.Producer(channel).publish(number, routing_key=queue.name)

    channel = connection.channel()
    queue(channel).declare()
    consumer = kombu.Consumer(channel, [queue], callbacks=[lambda body, _: got.append(body)], no_ack=True)
    with thread(come_and_go), consumer:
        drain(connection, lambda: len(got) == 60)
    assert sorted(got) == list(range(60))
