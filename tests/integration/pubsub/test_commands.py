"""``kchat send`` and ``kchat subscribe`` on Pub/Sub, as processes."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from kchat import Broker
from kchat.transports.pubsub import sweep
from tests.brokers.processes import Commands, Process
from tests.brokers.pubsub import Emulator
from tests.brokers.wait import soon
from tests.integration.pubsub.driving import fanout, send

Name = Callable[[str], str]
Subscribe = Callable[..., Process]


@pytest.fixture
def subscribe(commands: Commands, project: str, pubsub_emulator: Emulator) -> Subscribe:
    """Starts ``kchat subscribe`` on a room and returns when it listens."""

    def start(room: str, *arguments: str) -> Process:
        process = commands.kchat(
            "subscribe",
            "--url",
            f"pubsub://{project}",
            "--room",
            room,
            *arguments,
            env=pubsub_emulator.environment,
        )
        process.wait_for("listening")
        return process

    return start


@pytest.mark.slow
def test_one_shot_sends_arrive_in_order(
    commands: Commands, project: str, pubsub_emulator: Emulator, subscribe: Subscribe, room: str
) -> None:
    subscriber = subscribe(room, "--mode", "json", "--limit", "5")
    for number in range(5):
        sent = commands.run_kchat(
            "send",
            "--transport",
            "pubsub",
            "--project",
            project,
            "--room",
            room,
            "--username",
            "ada",
            "--message",
            str(number),
            env=pubsub_emulator.environment,
        )
        assert sent.code == 0, sent.stderr
    assert subscriber.wait(30) == 0
    shown = [json.loads(line) for line in subscriber.lines]
    assert [(each["username"], each["message"]) for each in shown] == [("ada", str(n)) for n in range(5)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl+C", "SIGTERM"])
def test_a_subscriber_ends_within_two_seconds_and_leaves_no_subscription(
    subscribe: Subscribe, connect: Callable[..., Any], room: str, number: signal.Signals
) -> None:
    subscriber = subscribe(room)
    connection = connect()
    clients = connection.connection.clients
    of_room = {"topic": clients.topic(room)}
    assert len(list(clients.publisher.list_topic_subscriptions(request=of_room))) == 1
    send(connection.channel(), fanout(room).name, b"plain text")
    subscriber.wait_for("plain text", "stdout")
    began = time.monotonic()
    subscriber.signal(number)
    assert subscriber.wait(5) == 0
    assert time.monotonic() - began < soon(2)
    assert list(clients.publisher.list_topic_subscriptions(request=of_room)) == []


def test_a_killed_subscriber_is_found_by_the_sweep(subscribe: Subscribe, project: str, room: str) -> None:
    living, killed = subscribe(room), subscribe(room)
    killed.signal(signal.SIGKILL)
    killed.wait()
    broker = Broker.parse(f"pubsub://{project}")
    found = sweep.stale_subscriptions(broker, room)
    assert len(found) == 1
    assert sweep.delete(broker, found) == 1
    assert sweep.stale_subscriptions(broker, room) == []
    assert living.running
