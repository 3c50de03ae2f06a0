"""What Kombu's users do from two threads on AMQP is safe on every transport: acknowledging, publishing."""

from __future__ import annotations

import queue
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import kombu
import pytest

from kchat import TRANSPORTS, transports
from tests.brokers.wait import Deadline, soon

MESSAGES = 1000
FEWER = 400

Connect = Callable[[], kombu.Connection]


@pytest.fixture(params=["local", "amqp", "redis", "pubsub"])
def connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Opens plain Kombu connections with kchat's transport."""
    transports.register()
    name = request.param
    if name == "pubsub":
        emulator = request.getfixturevalue("pubsub_emulator")
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
        url = f"pubsub://{emulator.new_project()}"
    else:
        url = request.getfixturevalue(f"{name}_url")
    transport = TRANSPORTS[name].schemes[name]
    with ExitStack() as stack:
        yield lambda: stack.enter_context(kombu.Connection(url, transport=transport))


@pytest.fixture
def bound(connect: Connect) -> kombu.Queue:
    """A queue that keeps what comes while nobody consumes: Redis' fanout does not, and Pub/Sub has nothing else."""
    name = f"threads-{secrets.token_hex(4)}"
    kind = "direct" if connect().transport.driver_type == "redis" else "fanout"
    declared = kombu.Queue(name, kombu.Exchange(name, type=kind), routing_key=name, durable=False)
    declared(connect().channel()).declare()
    return declared


def in_thread(work: Callable[[], None], failures: list[BaseException]) -> threading.Thread:
    """Start it; what it raises is noted."""

    def noted() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=noted, daemon=True)
    thread.start()
    return thread


def drain_until(
    connection: kombu.Connection, enough: Callable[[], bool], failures: list[BaseException]
) -> None:
    """Deliver what comes, until that is enough, a thread has failed, or it takes too long."""
    deadline = Deadline(soon(60))
    while not enough() and not failures and not deadline.passed:
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.2)


def test_one_thread_drains_while_another_one_acknowledges(connect: Connect, bound: kombu.Queue) -> None:
    producer = connect().Producer(serializer="json")
    for number in range(MESSAGES):
        producer.publish(number, exchange=bound.exchange.name, routing_key=bound.name)
    connection = connect()
    channel = connection.channel()
    arrived: queue.Queue[Any] = queue.Queue()
    seen: Counter[int] = Counter()
    acknowledged: list[int] = []
    failures: list[BaseException] = []

    def acknowledge() -> None:
        while len(acknowledged) < MESSAGES:
            arrived.get(timeout=60).ack()
            acknowledged.append(1)

    def take(body: int, message: Any) -> None:
        seen[body] += 1
        arrived.put(message)

    thread = in_thread(acknowledge, failures)
    with kombu.Consumer(channel, [bound], callbacks=[take], prefetch_count=50):
        drain_until(connection, lambda: len(acknowledged) == MESSAGES, failures)
        thread.join(30)
    assert not failures
    assert len(seen) == MESSAGES
    assert set(seen.values()) == {1}
    connection.release()
    assert bound(connect().channel()).get(no_ack=True) is None


def test_threads_publish_on_channels_of_their_own_while_another_one_drains(
    connect: Connect, bound: kombu.Queue
) -> None:
    connection = connect()
    channels = [connection.channel() for _ in range(4)]
    seen: Counter[int] = Counter()
    failures: list[BaseException] = []

    def publish(index: int) -> None:
        producer = kombu.Producer(channels[index], serializer="json")
        for number in range(index, FEWER, 4):
            producer.publish(number, exchange=bound.exchange.name, routing_key=bound.name)

    def take(body: int, message: Any) -> None:
        seen[body] += 1
        message.ack()

    with kombu.Consumer(connection.channel(), [bound], callbacks=[take], prefetch_count=50):
        threads = [in_thread(lambda index=index: publish(index), failures) for index in range(4)]  # type: ignore[misc] # the default binds it
        drain_until(connection, lambda: len(seen) == FEWER, failures)
        for thread in threads:
            thread.join(30)
    assert not failures
    assert sorted(seen) == list(range(FEWER))
    assert set(seen.values()) == {1}
