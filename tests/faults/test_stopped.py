"""A subscriber that is stopped (Ctrl+Z) while a million messages are sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from kchat import Sender, Settings
from kchat.transports.amqp.room import QUEUE_LENGTH
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon

pytestmark = pytest.mark.slow

COUNT = 1_000_000


def memory(rabbitmq: RabbitMQ) -> int:
    """The broker's memory in bytes, as it counts for its alarm."""
    found = re.search(r"Total memory used: ([\d.]+) (\w+)", rabbitmq.ctl("status"))
    assert found is not None
    return int(float(found[1]) * {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9}[found[2].lower()])


@pytest.mark.timeout(400)
def test_a_stopped_subscriber_costs_the_broker_no_more_than_its_queues_limit(
    own_rabbitmq: RabbitMQ, commands: Commands, room: str, measured: Callable[..., None]
) -> None:
    url = own_rabbitmq.url
    subscriber = commands.kchat("subscribe", "--url", url, "--room", room, "--mode", "print")
    subscriber.wait_for("listening")
    rate = send(url, room, COUNT // 10)
    subscriber.wait_for("listening")
    subscriber.pause()
    before, most = memory(own_rabbitmq), 0
    began = monotonic()
    with Sender(Settings.resolve(url=url, room=room), "ada") as sender:
        for number, receipt in enumerate(sender.send_many(texts(COUNT)), 1):
            assert receipt.confirmed
            if number % (COUNT // 10) == 0:
                most = max(most, memory(own_rabbitmq))
    took = monotonic() - began
    grown = most - before
    assert grown < 150e6, f"{grown:,} bytes"
    subscriber.resume()
    resumed_at = monotonic()
    # RabbitMQ has dropped it for its silence, unless all was done within two heartbeats.
    with Sender(Settings.resolve(url=url, room=room), "ada") as sender:
        while "the last one" not in subscriber.stdout:
            sender.send("the last one")
            assert monotonic() - resumed_at < soon(30)
    back = monotonic() - resumed_at
    assert "Traceback" not in subscriber.stderr
    assert subscriber.running
    measured(
        "subscriber stopped for 1,000,000 messages",
        "sender of a stream",
        lost=0,
        note=f"{COUNT / took:,.0f}/s with it stopped, {rate:,.0f}/s before",
    )
    measured(
        "subscriber stopped for 1,000,000 messages",
        "subscriber",
        back=back,
        note=f"broker's memory +{max(0, grown) / 1e6:.0f} MB at most; its queue holds {QUEUE_LENGTH:,}",
    )


def texts(count: int) -> Iterator[str]:
    """Distinct texts."""
    return (f"message {number}" for number in range(count))


def send(url: str, room: str, count: int) -> float:
    """Sends the messages; returns the rate, in messages/s."""
    began = monotonic()
    with Sender(Settings.resolve(url=url, room=room), "ada") as sender:
        for _ in sender.send_many(texts(count)):
            pass
    return count / (monotonic() - began)
