"""A subscriber that is too slow is told what its full queue has dropped, and how much that was."""

from __future__ import annotations

import json
from time import monotonic
from typing import Any

import pika
import pytest

from kchat import Sender, Settings, Subscriber, events
from kchat.client import drops
from kchat.transports.amqp.room import RoomPolicy
from tests.brokers.processes import Commands

LIMIT = 300
"""Maximum number of messages in a subscriber's queue: far below the default of ten thousand, so that a test is short."""


@pytest.fixture(autouse=True)
def _short_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RoomPolicy.queue_arguments, "x-max-length", LIMIT)
    # So short a queue is full in no time.
    monkeypatch.setattr(drops, "_BEHIND", 0.0)


class Slow:
    """A subscriber that reads when it is told to, and remembers what it was told."""

    def __init__(self, url: str, room: str) -> None:
        self.settings = Settings.resolve(url=url, room=room)
        self.told: list[events.Dropped] = []
        self.subscriber = Subscriber(self.settings, "slow", prefetch=50, on_event=self._note)
        self.texts: list[str] = []

    def _note(self, event: events.Event) -> None:
        assert isinstance(event, events.Dropped)
        self.told.append(event)

    def read(self, last: str) -> None:
        """Reads up to a message, and a while longer, so that everything is told."""
        ends = monotonic() + 30
        while last not in self.texts and monotonic() < ends:
            self.texts += [message.text for message in self.subscriber.receive(timeout=1, limit=25)]
            self.subscriber.acknowledge()
        quiet = monotonic() + 1.5
        while monotonic() < quiet:
            assert self.subscriber.receive(timeout=0.2) == []


def send(settings: Settings, first: int, last: int) -> None:
    """Sends messages whose texts are their numbers, by a sender of their own for each call."""
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(f"{n}" for n in range(first, last)))


def send_as_pika(url: str, room: str, count: int, **more: Any) -> None:
    """Sends as the tutorial's clients do, without numbers."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for number in range(count):
        body = json.dumps({"username": "pika", "message": str(number), **more})
        channel.basic_publish(room, "", body.encode())
    connection.close()


def test_the_number_of_dropped_messages_is_told(amqp_url: str, room: str) -> None:
    slow = Slow(amqp_url, room)
    with slow.subscriber:
        with Sender(slow.settings, "ada") as sender, Sender(slow.settings, "eve") as other:
            for one in (sender, other):
                one.send("begins")
            list(sender.send_many(map(str, range(1000))))
            list(other.send_many(f"eve {number}" for number in range(20)))
        slow.read("eve 19")
    assert len(slow.told) == 1
    (event,) = slow.told
    assert event.count == 1022 - len(slow.texts) > 500
    assert not event.at_least
    assert f"{event.count:,} messages were dropped" in str(event)


def test_unnumbered_messages_may_have_been_dropped(amqp_url: str, room: str) -> None:
    slow = Slow(amqp_url, room)
    with slow.subscriber:
        send_as_pika(amqp_url, room, 1000)
        slow.read("999")
    assert slow.told == [events.Dropped(None)]
    assert "may have been dropped" in str(slow.told[0])


def test_of_numbered_messages_among_others_the_number_is_the_least(amqp_url: str, room: str) -> None:
    slow = Slow(amqp_url, room)
    with slow.subscriber:
        send_as_pika(amqp_url, room, 10)
        with Sender(slow.settings, "ada") as sender:
            list(sender.send_many(f"ada {number}" for number in range(1000)))
        slow.read("ada 999")
    assert slow.told == [events.Dropped(1010 - len(slow.texts), at_least=True)]
    assert str(slow.told[0]).startswith("at least ")


def test_no_drop_is_reported_where_none_happened(amqp_url: str, room: str) -> None:
    slow = Slow(amqp_url, room)
    with slow.subscriber:
        # All that fits, once from kchat's senders and once from others.
        send(slow.settings, 0, LIMIT + 50)
        slow.read(str(LIMIT + 49))
        assert slow.texts == [str(number) for number in range(LIMIT + 50)]
        send_as_pika(amqp_url, room, LIMIT + 49)
        ends = monotonic() + 30
        while len(slow.texts) < 2 * LIMIT + 99 and monotonic() < ends:
            slow.texts += [message.text for message in slow.subscriber.receive(timeout=1)]
            slow.subscriber.acknowledge()
    assert slow.told == []


def test_a_queue_that_is_full_of_bytes_is_noticed(
    amqp_url: str, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RoomPolicy.queue_arguments, "x-max-length-bytes", 1_000_000)
    slow = Slow(amqp_url, room)
    with slow.subscriber:
        send_as_pika(amqp_url, room, 200, padding="x" * 20_000)
        slow.read("199")
    assert slow.told == [events.Dropped(None)]


def test_messages_sent_again_after_a_lost_connection_are_not_counted(amqp_url: str, room: str) -> None:
    slow = Slow(amqp_url, room)
    with slow.subscriber, Sender(slow.settings, "ada") as sender:
        for number in range(5):
            sender.send(str(number))
            sender._connection.drop()
        list(sender.send_many(str(number) for number in range(5, 50)))
        slow.read("49")
    assert slow.texts == [str(number) for number in range(50)]
    assert slow.told == []


def test_the_command_says_it_on_standard_error(commands: Commands, amqp_url: str, room: str) -> None:
    subscriber = commands.kchat("subscribe", "--url", amqp_url, "--room", room, "--mode", "print")
    subscriber.wait_for("listening")
    assert commands.run_kchat("send", "--url", amqp_url, "--room", room, "first").code == 0
    subscriber.wait_for_lines(1)
    settings = Settings.resolve(url=amqp_url, room=room)
    with Sender(settings, "ada") as sender:
        sender.send("begins")
        subscriber.wait_for_lines(2)
        subscriber.pause()
        list(sender.send_many(map(str, range(11_000))))
        subscriber.resume()
        subscriber.wait_for("messages were dropped")
    (said,) = [line for line in subscriber.stderr.splitlines() if "dropped" in line]
    subscriber.wait_for('"10999"', "stdout")
    assert f"{11_002 - len(subscriber.lines):,} messages were dropped" in said
