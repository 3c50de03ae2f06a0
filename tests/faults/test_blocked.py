"""A broker short of memory: it says so, takes nothing, and goes on delivering."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import pytest

from kchat import Blocked, Sender, Settings, Subscriber, events
from kchat.client.presence import Presence
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until
from tests.faults.parts import Listening, Sending

Measured = Callable[..., None]


@pytest.fixture
def settings(own_rabbitmq: RabbitMQ, room: str) -> Settings:
    return Settings.resolve(url=own_rabbitmq.url, room=room, confirm_timeout=2)


def test_one_message_fails_with_the_brokers_reason_after_its_time(
    own_rabbitmq: RabbitMQ, settings: Settings, measured: Measured
) -> None:
    told: list[str] = []
    with (
        own_rabbitmq.memory_alarm(),
        Sender(settings, "ada", blocked_for=2, on_event=lambda event: told.append(str(event))) as sender,
    ):
        began = monotonic()
        with pytest.raises(Blocked, match="low on memory") as refused:
            sender.send("hello")
        took = monotonic() - began
    assert "memory" in refused.value.hint
    assert told == ["the broker is refusing messages: low on memory"]
    assert 2 <= took < soon(4)
    measured("memory alarm, for good", "sender of one message", noticed=took, note="Blocked after 2 s")


def test_a_command_says_so_waits_and_is_done_when_the_alarm_is_over(
    own_rabbitmq: RabbitMQ, settings: Settings, commands: Commands, measured: Measured
) -> None:
    there = ["--url", own_rabbitmq.url, "--room", settings.room]
    with Listening(settings) as listening:
        with own_rabbitmq.memory_alarm():
            began = monotonic()
            process = commands.kchat("send", *there, "hello")
            process.wait_for("refusing messages: low on memory")
            noticed = monotonic() - began
            assert process.running
            assert listening.messages == []
        lifted_at = monotonic()
        assert process.wait(15) == 0
        back = monotonic() - lifted_at
        listening.wait_for_count(1, 5)
    assert "accepts messages again" in process.stderr
    measured("memory alarm", "sender of one message", noticed=noticed, back=back, lost=0)


def test_a_stream_waits_and_loses_nothing(
    own_rabbitmq: RabbitMQ, settings: Settings, measured: Measured
) -> None:
    with Listening(settings) as listening:
        with own_rabbitmq.memory_alarm(), Sending(settings, map(str, range(3000))) as sending:
            sending.wait_for(events.Blocked, 10)
            assert sending.receipts == []
            own_rabbitmq.lift_alarms()
            lifted_at = monotonic()
            back = sending.wait_for_count(3000, 20)
        listening.wait_for_count(3000, 20)
    assert sending.error is None
    assert listening.texts == list(map(str, range(3000)))
    measured("memory alarm", "sender of a stream", back=back - lifted_at, lost=0)


@pytest.mark.parametrize("lifted", [True, False])
def test_large_messages_whose_writing_gets_stuck_end_in_one_way_or_the_other(
    own_rabbitmq: RabbitMQ, settings: Settings, lifted: bool, measured: Measured
) -> None:
    texts = [str(number) * (2 << 20) for number in range(8)]
    with Listening(settings) as listening:
        with own_rabbitmq.memory_alarm():
            began = monotonic()
            with Sending(settings, texts, blocked_for=60 if lifted else 5) as sending:
                sending.wait_for(events.Blocked, 15)
                if lifted:
                    own_rabbitmq.lift_alarms()
                sending.join(60)
                took = sending.ended_at - began
        if lifted:
            assert sending.error is None
            listening.wait_for_count(len(texts), 30)
            assert listening.texts == texts
        else:
            assert isinstance(sending.error, Blocked)
            assert sending.receipts == []
            assert took < soon(12)
    measured(
        "memory alarm" if lifted else "memory alarm, for good",
        "sender of 2 MiB messages",
        noticed=None if lifted else took,
        lost=0 if lifted else None,
        note="" if lifted else "Blocked",
    )


def test_a_subscriber_goes_on_receiving(
    own_rabbitmq: RabbitMQ, settings: Settings, measured: Measured
) -> None:
    with Listening(settings, prefetch=1) as listening, Sender(settings, "ada") as sender:
        listening.hold()
        list(sender.send_many(map(str, range(100))))
        with own_rabbitmq.memory_alarm():
            began = monotonic()
            listening.go_on()
            took = listening.wait_for_count(100, 10) - began
    assert listening.texts == list(map(str, range(100)))
    assert listening.events == []
    measured("memory alarm", "subscriber", back=took, lost=0, note="went on receiving")


def test_a_subscriber_that_counts_as_here_takes_a_backlog_off_a_broker_that_is_short_of_memory(
    own_rabbitmq: RabbitMQ, settings: Settings, measured: Measured
) -> None:
    """RabbitMQ stops reading from a connection that publishes then, acknowledgements included."""
    count = 3_000
    with Subscriber(settings, durable="archive"), Sender(settings, "ada") as sender:
        list(sender.send_many(map(str, range(count))))
    with own_rabbitmq.memory_alarm(), Presence(settings, "bob"):
        wait_until(
            lambda: any(
                each.get("state") in ("blocking", "blocked")
                and "presence" in str(each["client_properties"]["connection_name"])
                for each in own_rabbitmq.management.connections(own_rabbitmq.vhost)
            ),
            30,
        )
        began = monotonic()
        with Listening(settings, durable="archive", prefetch=100) as listening:
            took = listening.wait_for_count(count, 20) - began
    assert listening.texts == list(map(str, range(count)))
    assert listening.events == []
    measured("memory alarm", "subscriber that counts as here", back=took, lost=0, note="went on receiving")
