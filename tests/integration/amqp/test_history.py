"""A room's history on a real RabbitMQ: what it gives, and that with it nobody misses a message or gets one twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from time import time
from typing import Any, Self

import pika
import pytest

from kchat import Sender, Settings, SettingsError, Subscriber, events
from kchat.client import catching_up, drops
from kchat.client.connection import connect
from kchat.transports.amqp.history import HistoryPolicy
from kchat.transports.amqp.room import RoomPolicy
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import Deadline, soon, wait_until

LIMIT = 300
"""Maximum number of messages in a subscriber's queue, so that it is full soon."""


@contextmanager
def channel_at(settings: Settings) -> Iterator[tuple[Any, Any]]:
    """A connection of the host's, and a channel of it."""
    connection, _ = connect(settings, purpose="test")
    try:
        yield connection, connection.channel()
    finally:
        settings.transport.close(connection)


def history_of(settings: Settings) -> HistoryPolicy:
    policy = settings.transport.history(settings.room)
    assert isinstance(policy, HistoryPolicy)
    return policy


@pytest.fixture
def kept(settings: Settings) -> Settings:
    """A room whose history is switched on."""
    with channel_at(settings) as (_, channel):
        history_of(settings).switch_on(channel)
    return settings


def say(settings: Settings, *texts: str) -> None:
    """Sends by a sender of its own."""
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(texts))


def say_as_pika(settings: Settings, *texts: str) -> None:
    """Sends confirmed, and without ids or numbers, as other clients do."""
    connection = pika.BlockingConnection(pika.URLParameters(settings.broker.url()))
    channel = connection.channel()
    channel.confirm_delivery()
    for text in texts:
        channel.basic_publish(settings.room, "", text.encode())
    connection.close()


def numbers(first: int, end: int) -> list[str]:
    return [f"number {each}" for each in range(first, end)]


class Listener:
    """A subscriber that remembers what it was told."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.told: list[events.Event] = []
        self.subscriber = Subscriber(settings, "bob", on_event=self.told.append, **options)
        self.texts: list[str] = []

    def __enter__(self) -> Self:
        self.subscriber.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.subscriber.close()

    def read(self, count: int, limit: int = 250) -> list[str]:
        """Reads until it has as many in all, and looks whether there are more."""
        deadline = Deadline(soon(60))
        while len(self.texts) < count and deadline.left:
            self.texts += [message.text for message in self.subscriber.receive(deadline.left, limit)]
            self.subscriber.acknowledge()
        while more := self.subscriber.receive(0.3):
            self.texts += [message.text for message in more]
        self.subscriber.acknowledge()
        return self.texts

    def told_of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


def test_last_gives_the_newest_in_their_order_and_goes_on_with_what_comes(kept: Settings) -> None:
    say(kept, *numbers(0, 30))
    say_as_pika(kept, "from pika")
    with Listener(kept, last=10) as listener:
        say(kept, "later")
        assert listener.read(11) == [*numbers(21, 30), "from pika", "later"]


@pytest.mark.parametrize("last", [1, 5, 1000])
def test_last_gives_what_there_is(kept: Settings, last: int) -> None:
    say(kept, *numbers(0, 5))
    with Listener(kept, last=last) as listener:
        count = min(5, last)
        assert listener.read(count) == numbers(5 - count, 5)


@pytest.mark.parametrize("last", [3, 1500, 3500])
def test_last_counts_over_segments_in_front_of_each_of_which_an_offset_is_the_brokers(
    settings: Settings, last: int
) -> None:
    with channel_at(settings) as (_, channel):
        history_of(settings).switch_on(channel, max_size=8 << 20)  # segments of a megabyte
    texts = [f"{each:05} {'x' * 1000}" for each in range(4000)]
    say(settings, *texts)
    with Listener(settings, last=last) as listener:
        assert listener.read(last) == texts[-last:]
    with channel_at(settings) as (connection, _):
        status = history_of(settings).status(connection)
        assert status is not None
        assert (status.messages or 0) > 4000, "no segment was begun: this shows nothing"


def test_an_empty_history_is_one(kept: Settings) -> None:
    with Listener(kept, last=10) as listener:
        say(kept, "the first")
        assert listener.read(1) == ["the first"]


def test_since_begins_at_that_time_by_the_brokers_clock(kept: Settings) -> None:
    say(kept, "early")
    began = time()
    wait_until(lambda: time() > began + 2)  # the broker keeps times in seconds
    say_as_pika(kept, "late")
    with Listener(kept, since=began + 1) as listener:
        assert listener.read(1) == ["late"]
    with Listener(kept, since=began - 60) as listener:
        assert listener.read(2) == ["early", "late"]
    with Listener(kept, since=time() + 3600) as listener:
        say(kept, "new")
        assert listener.read(1) == ["new"]


def test_a_room_without_history_says_so_where_some_is_wanted(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="has no history"):
        Subscriber(settings, "bob", last=5).open()
    with Listener(settings, last=5, if_kept=True) as listener:
        say(settings, "hello")
        assert listener.read(1) == ["hello"]
        assert not listener.subscriber.has_history


def test_a_durable_queue_may_begin_with_it(kept: Settings) -> None:
    say(kept, *numbers(0, 5))
    with Listener(kept, durable="archive", last=3) as listener:
        assert listener.read(3) == numbers(2, 5)
    say(kept, "while it is away")
    with Listener(kept, durable="archive") as listener:
        assert listener.read(1) == ["while it is away"]


def test_a_durable_queue_goes_on_where_its_first_beginning_was_cut_off(kept: Settings) -> None:
    """It is there by then, and was not there before."""
    say(kept, *numbers(0, 1000))
    with Proxy(kept.broker.port or 0) as proxy:
        through = Settings.resolve(url=replace(kept.broker, port=proxy.port).url(), room=kept.room)
        with Listener(through, durable="archive", last=900) as listener:
            texts = [listener.subscriber.receive_one(soon(10)) for _ in range(10)]
            proxy.cut()
            assert [each.text for each in texts if each] + listener.read(890) == numbers(100, 1000)


def test_a_burst_that_goes_on_while_one_joins_comes_once_and_in_order(kept: Settings) -> None:
    say(kept, *numbers(0, 500))
    running, stop = Event(), Event()

    def speak() -> None:
        with Sender(kept, "ada") as sender:
            number = 500
            while not stop.is_set():
                sender.send(f"number {number}")
                number += 1
                if number == 600:
                    running.set()

    thread = Thread(target=speak)
    thread.start()
    try:
        assert running.wait(soon(20))
        with Listener(kept, last=50) as listener:
            texts = listener.read(1000)
    finally:
        stop.set()
        thread.join()
    first = int(texts[0].split()[1])
    assert texts == numbers(first, first + len(texts))


@pytest.mark.parametrize("speak", [say, say_as_pika])
def test_a_cut_link_is_caught_up_from_where_it_was(
    kept: Settings, speak: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "_MARK_MESSAGES", 100)
    speak(kept, "before it came")
    with Proxy(kept.broker.port or 0) as proxy:
        through = Settings.resolve(url=replace(kept.broker, port=proxy.port).url(), room=kept.room)
        with Listener(through) as listener:
            for round_ in range(4):
                first = round_ * 400
                speak(kept, *numbers(first, first + 350))
                assert listener.read(first + 350) == numbers(0, first + 350)
                proxy.refuse()
                proxy.cut()
                speak(kept, *numbers(first + 350, first + 400))
                proxy.restore()
                assert listener.read(first + 400) == numbers(0, first + 400)
            assert [event.caught_up for event in listener.told_of(events.Reconnected)] == [50] * 4
            assert "50 messages caught up" in str(listener.told[-1])


def test_alike_messages_without_an_id_come_as_often_as_they_were_sent(kept: Settings) -> None:
    with Proxy(kept.broker.port or 0) as proxy:
        through = Settings.resolve(url=replace(kept.broker, port=proxy.port).url(), room=kept.room)
        with Listener(through, last=5) as listener:
            say_as_pika(kept, *["ping"] * 7)
            assert listener.read(7) == ["ping"] * 7
            proxy.refuse()
            proxy.cut()
            say_as_pika(kept, *["ping"] * 3)
            proxy.restore()
            assert listener.read(10) == ["ping"] * 10
            say_as_pika(kept, *["ping"] * 5)
            assert listener.read(15) == ["ping"] * 15


@pytest.fixture
def _short_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RoomPolicy.queue_arguments, "x-max-length", LIMIT)
    monkeypatch.setattr(drops, "_BEHIND", 0.0)  # so short a queue is full in no time


@pytest.mark.usefixtures("_short_queues")
@pytest.mark.parametrize("speak", [say, say_as_pika])
def test_a_slow_reader_gets_what_its_queue_dropped_in_order(
    kept: Settings, speak: Callable[..., None]
) -> None:
    with Listener(kept, prefetch=50) as listener:
        for first in (0, 2000):
            speak(kept, *numbers(first, first + 2000))
            assert listener.read(first + 2000, 25) == numbers(0, first + 2000)
        assert listener.told_of(events.Dropped) == []
        caught_up = listener.told_of(events.CaughtUp)
        assert sum(event.count for event in caught_up) > 2000
        assert all(event.missing == 0 for event in caught_up)
        assert "caught up from the room's history" in str(caught_up[0])


@pytest.mark.usefixtures("_short_queues")
def test_what_the_history_does_not_hold_any_more_is_told_with_its_number(settings: Settings) -> None:
    with channel_at(settings) as (_, channel):
        history_of(settings).switch_on(channel, max_size=1 << 20)
    with Listener(settings, prefetch=50) as listener:
        with Sender(settings, "ada") as sender:
            texts = [f"{each:05} {'x' * 2000}" for each in range(3000)]
            assert all(receipt.confirmed for receipt in sender.send_many(texts))
            sender.send("the end")
        while "the end" not in listener.texts:
            listener.read(len(listener.texts) + 1, 25)
        shown = [text.partition(" ")[0] for text in listener.texts]
        missing = len(texts) + 1 - len(shown)
        assert missing > 0
        assert shown == sorted(set(shown))
        told = listener.told_of(events.CaughtUp)
        assert sum(event.missing for event in told) == missing
        assert f"{missing:,} messages lost" in str(told[0])


def test_a_history_that_is_switched_off_meanwhile_ends_nothing(kept: Settings) -> None:
    say(kept, *numbers(0, 3000))
    with Listener(kept, last=3000) as listener:
        listener.texts += [message.text for message in listener.subscriber.receive(5, 10)]
        with channel_at(kept) as (connection, channel):
            history_of(kept).switch_off(channel)
            assert history_of(kept).status(connection) is None
        say(kept, "after")
        wait_until(lambda: "after" in listener.read(len(listener.texts) + 1), 20)


def test_how_much_there_is_can_be_asked(kept: Settings) -> None:
    say(kept, *numbers(0, 42))
    with channel_at(kept) as (connection, _):
        status = history_of(kept).status(connection)
        assert status is not None
        assert status.messages == 42


@pytest.mark.parametrize(
    "forged",
    [("x-stream-offset", 1_000_000), ("0", "\x0fx-stream-offsetl" + "\0" * 5 + "\x7f\x7f\x7f")],
    ids=["header", "text"],
)
def test_a_publisher_cannot_say_where_its_message_stands(
    kept: Settings, rabbitmq: RabbitMQ, forged: tuple[str, Any]
) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(kept.broker.url()))
    channel = connection.channel()
    channel.confirm_delivery()
    for number in range(5):
        headers = {forged[0]: forged[1], "zz": [1, {"a": None}]}
        channel.basic_publish(
            kept.room, "", f"number {number}".encode(), pika.BasicProperties(headers=headers)
        )
    connection.close()
    assert rabbitmq.version
    with Listener(kept, last=3) as listener:
        assert listener.read(3) == numbers(2, 5)


@pytest.mark.parametrize("again", ["cleared", "switched off and on"])
def test_a_history_that_began_anew_while_one_was_away_is_read_from_its_beginning(
    kept: Settings, again: str
) -> None:
    with Proxy(kept.broker.port or 0) as proxy:
        through = Settings.resolve(url=replace(kept.broker, port=proxy.port).url(), room=kept.room)
        say(kept, *numbers(0, 8))
        with Listener(through) as listener:
            say_as_pika(kept, "seen", "seen too")
            assert listener.read(2) == ["seen", "seen too"]
            proxy.refuse()
            proxy.cut()
            with channel_at(kept) as (_, channel):
                policy = history_of(kept)
                if again == "cleared":
                    policy.clear(channel)
                else:
                    policy.switch_off(channel)
                    policy.switch_on(channel)
            say(kept, *numbers(8, 30))
            say_as_pika(kept, *numbers(30, 38))
            proxy.restore()
            assert listener.read(32) == ["seen", "seen too", *numbers(8, 38)]
            (back,) = listener.told_of(events.Reconnected)
            assert (back.caught_up, back.missing) == (30, -1)


def test_after_a_history_was_switched_off_nobody_asks_for_it_again_and_again(
    kept: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "_MARK_MESSAGES", 100)
    with Listener(kept) as listener:
        with channel_at(kept) as (_, channel):
            history_of(kept).switch_off(channel)
        say(kept, *numbers(0, 1000))
        assert listener.read(1000) == numbers(0, 1000)
        assert not listener.subscriber.has_history
