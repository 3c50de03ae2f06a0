"""RabbitMQ killed in the middle of a stream of 20,000 and started again: one story, looked at from all sides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import pytest

from kchat import Settings, Subscriber, events
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.faults.parts import Listening, Sending, lost, repeats

COUNT = 20_000
ROOM = "restarted"
SENT = [str(number) for number in range(COUNT)]

pytestmark = pytest.mark.slow  # as long as RabbitMQ takes to start


@dataclass
class Story:
    """What happened."""

    settings: Settings
    sending: Sending
    durable: Listening
    passing: Listening
    passing_queues: tuple[str, str]
    idle: Sending
    away: list[str]
    killed_at: float
    ready_at: float


@pytest.fixture(scope="module")
def story(breakable_rabbitmq: RabbitMQ) -> Iterator[Story]:
    """Two subscribers, a sender of a stream, and one that is idle; another subscriber has left a lasting queue."""
    rabbitmq = breakable_rabbitmq
    if not rabbitmq.running:
        rabbitmq.start()
    settings = Settings.resolve(url=rabbitmq.url, room=ROOM)
    with Subscriber(settings, "carol", durable="away"):
        pass
    half_way, idle_again = [False], [False]

    def stream() -> Iterator[str | None]:
        for text in SENT:
            if text == str(COUNT // 2):
                half_way[0] = True
                # Slower from here on, so that the broker dies while there is something to send.
                while rabbitmq.running:
                    yield None
            yield text

    def two_messages() -> Iterator[str | None]:
        yield "first"
        while not idle_again[0]:
            yield None
        yield "second"

    with (
        Listening(settings, durable="archive") as durable,
        Listening(settings) as passing,
        Sending(settings, two_messages(), "idle") as idle,
        Sending(settings, stream()) as sending,
    ):
        wait_until(lambda: half_way[0] and idle.receipts, 60, "half of the stream")
        first_queue = passing.subscriber.queue_name
        # Mnesia, RabbitMQ's store of what is declared, writes to the disk with a delay; it is not what is tested here.
        rabbitmq.evaluate("catch mnesia:sync_log().")
        killed_at = monotonic()
        rabbitmq.kill()
        rabbitmq.start()
        ready_at = monotonic()
        passing.wait_for(events.Reconnected, 30)
        idle_again[0] = True
        sending.join(60)
        idle.join(60)
        durable.wait_for_count(COUNT + 2, 60)
        passing.wait_for_text(SENT[-1], 60)
        second_queue = passing.subscriber.queue_name
        with Listening(settings, durable="away") as away:
            away.wait_for_count(COUNT + 2, 60)
    yield Story(
        settings,
        sending,
        durable,
        passing,
        (first_queue, second_queue),
        idle,
        away.texts,
        killed_at,
        ready_at,
    )
    with contextlib.suppress(OSError):
        for name in ("archive", "away"):
            rabbitmq.management.delete_queue("/", f"kchat.{ROOM}.{name}")


def test_everything_is_confirmed_in_the_end(story: Story, measured: Callable[..., None]) -> None:
    assert story.sending.error is None
    assert sorted(each.message.text or "" for each in story.sending.receipts) == sorted(SENT)
    assert all(each.confirmed for each in story.sending.receipts)
    noticed = story.sending.wait_for(events.Disconnected, 0.1).at
    back = story.sending.wait_for(events.Reconnected, 0.1).at
    measured(
        "broker killed and started",
        "sender of a stream",
        noticed=max(0.0, noticed - story.killed_at),
        back=back - story.ready_at,
        lost=lost(SENT, story.durable.texts),
        note=f"of {COUNT:,}; RabbitMQ took {story.ready_at - story.killed_at:.0f} s to be ready",
    )


def test_a_durable_subscriber_has_everything_once_and_in_order(
    story: Story, measured: Callable[..., None]
) -> None:
    received = [text for text in story.durable.texts if text.isdigit()]
    assert received == SENT
    back = story.durable.wait_for(events.Reconnected, 0.1)
    assert back.event.durable
    assert back.event.seconds > 1
    measured(
        "broker killed and started",
        "durable subscriber",
        noticed=max(0.0, story.durable.wait_for(events.Disconnected, 0.1).at - story.killed_at),
        back=back.at - story.ready_at,
        lost=lost(SENT, received),
        note=f"{repeats(received)} shown twice",
    )


def test_a_durable_subscriber_that_was_away_all_the_time_has_everything(
    story: Story, measured: Callable[..., None]
) -> None:
    received = [text for text in story.away if text.isdigit()]
    assert list(dict.fromkeys(received)) == SENT
    measured("broker killed and started", "durable subscriber, away", lost=lost(SENT, received))


def test_a_passing_subscriber_says_that_it_was_away_and_has_a_new_queue(
    story: Story, measured: Callable[..., None]
) -> None:
    first, second = story.passing_queues
    assert first != second
    back = story.passing.wait_for(events.Reconnected, 0.1)
    assert not back.event.durable
    assert "may have been missed" in str(back.event)
    received = [text for text in story.passing.texts if text.isdigit()]
    assert len(received) == len(set(received))
    assert received == sorted(received, key=int)
    measured(
        "broker killed and started",
        "subscriber",
        noticed=max(0.0, story.passing.wait_for(events.Disconnected, 0.1).at - story.killed_at),
        back=back.at - story.ready_at,
        lost=lost(SENT, received),
        note="said that it may have missed some",
    )


def test_a_sender_that_was_idle_meanwhile_sends_its_next_message(
    story: Story, measured: Callable[..., None]
) -> None:
    assert story.idle.error is None
    assert [each.confirmed for each in story.idle.receipts] == [True, True]
    assert "second" in story.durable.texts
    measured("broker killed and started", "sender, idle", lost=lost(["first", "second"], story.durable.texts))
