"""Subscriptions that killed processes left behind are found and deleted; those of the living are not."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from amqp.exceptions import NotFound

from kchat import Broker
from kchat.transports.pubsub import ownership_labels, sweep
from tests.brokers.processes import Commands, Process
from tests.brokers.pubsub import Emulator
from tests.integration.pubsub.driving import Connect, fanout, lasting_queue, listen, own_queue

Name = Callable[[str], str]

SUBSCRIBE = """
import sys, kombu
from kchat import transports
transports.register()
url, exchange, queue = sys.argv[1:]
channel = (connection := kombu.Connection(url)).channel()
kombu.Queue(queue, kombu.Exchange(exchange, type="fanout"), exclusive=True, auto_delete=True)(channel).declare()
channel.basic_consume(queue, callback=print)
print("listening", flush=True)
connection.drain_events()
"""


@pytest.fixture
def subscriber(commands: Commands, project: str, pubsub_emulator: Emulator) -> Callable[[str, str], Process]:
    """Starts a process that listens with a queue of its own."""

    def start(exchange: str, queue: str) -> Process:
        process = commands.python(
            SUBSCRIBE, f"pubsub://{project}", exchange, queue, env=pubsub_emulator.environment
        )
        process.wait_for("listening", "stdout")
        return process

    return start


def test_a_killed_subscribers_subscription_is_found_and_deleted(
    connect: Connect, project: str, subscriber: Callable[[str, str], Process], name: Name
) -> None:
    room, other_room = name("a room"), name("room")
    channel = connect().channel()
    # Those that stay: this process's own, a lasting one, a living process's.
    mine = own_queue(channel, fanout(room), name("queue"))
    lasting = lasting_queue(channel, fanout(room), name("queue"))
    living = name("queue")
    subscriber(room, living)
    killed, elsewhere = subscriber(room, dead := name("queue")), subscriber(other_room, name("queue"))
    broker = Broker.parse(f"pubsub://{project}")
    assert sweep.stale_subscriptions(broker, room) == []
    for process in (killed, elsewhere):
        process.signal(signal.SIGKILL)
        process.wait()
    found = sweep.stale_subscriptions(broker, room)
    assert [stale.queue for stale in found] == [dead]
    assert f"process {killed.pid} on this host has ended" in found[0].reason
    assert len(sweep.stale_subscriptions(broker, None)) == 2
    assert sweep.delete(broker, found) == 1
    assert sweep.delete(broker, found) == 0
    assert sweep.stale_subscriptions(broker, room) == []
    for queue in (mine, lasting):
        channel.queue_declare(queue, passive=True)
    with pytest.raises(NotFound):
        channel.queue_declare(dead, passive=True)


def test_a_subscription_that_came_to_life_again_is_not_deleted(
    connect: Connect, project: str, name: Name
) -> None:
    queue = own_queue(connect().channel(), fanout(name("room")), name("queue"))
    listed = sweep.StaleSubscription(f"projects/{project}/subscriptions/{queue}", queue, "was dead")
    assert sweep.delete(Broker.parse(f"pubsub://{project}"), [listed]) == 0


@contextmanager
def on_another_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(ownership_labels, "host", lambda: "another")
        yield


def test_another_hosts_subscription_is_left_alone(
    connect: Connect, project: str, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = connect().channel()
    listen(channel, own_queue(channel, fanout(name("room")), name("queue")))
    with on_another_host(monkeypatch):
        assert sweep.stale_subscriptions(Broker.parse(f"pubsub://{project}"), None) == []
