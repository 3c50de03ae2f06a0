"""What operators do to a room that is in use: exchanges, queues, connections, rights and accounts taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from kchat import NotAuthorised, Sender, Settings, Subscriber, events
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until
from tests.faults.parts import Listening, Sending, lost

Measured = Callable[..., None]


@pytest.fixture
def settings(amqp_url: str, room: str) -> Settings:
    return Settings.resolve(url=amqp_url, room=room)


def test_a_room_deleted_in_the_middle_of_a_stream_is_made_again_and_waited_for(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, measured: Measured
) -> None:
    deleted_at = 0.0

    def stream() -> Iterator[str | None]:
        nonlocal deleted_at
        for number in range(2000):
            if number == 1000:
                listening.wait_for_count(1000, 20)
                rabbitmq.management.delete_exchange(vhost, settings.room)
                deleted_at = monotonic()
            yield str(number)

    with Listening(settings) as listening:
        with Sending(settings, stream()) as sending:
            sending.wait_for(events.WaitingForSubscribers, 10)
        assert sending.error is None
        back = listening.wait_for_text("1000", 15)
        listening.wait_for_count(2000, 10)
    expected = [str(number) for number in range(2000)]
    assert listening.texts == expected
    assert all(each.routed for each in sending.receipts)
    measured(
        "exchange deleted",
        "sender of a stream",
        back=back - deleted_at,
        lost=lost(expected, listening.texts),
        note="made again, and the listener waited for",
    )


def test_a_quiet_subscriber_finds_out_that_its_room_was_deleted(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, measured: Measured
) -> None:
    with Listening(settings) as listening:
        rabbitmq.management.delete_exchange(vhost, settings.room)
        deleted_at = monotonic()
        noticed = listening.wait_for(events.Disconnected, 8).at
        back = listening.wait_for(events.Reconnected, 8).at
        with Sender(settings, "ada") as sender:
            assert sender.send("hello").routed
        listening.wait_for_text("hello", 5)
    measured("exchange deleted", "subscriber", noticed=noticed - deleted_at, back=back - deleted_at)


def test_a_durable_subscriber_keeps_its_place_when_the_room_is_deleted(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, measured: Measured
) -> None:
    with Listening(settings, durable="archive") as listening, Sender(settings, "ada") as sender:
        sender.send("before")
        listening.wait_for_text("before", 5)
        rabbitmq.management.delete_exchange(vhost, settings.room)
        # The sender makes the room again; what lasts is bound to it before anything is published.
        assert sender.send("after").routed
        listening.wait_for_text("after", 5)
    assert listening.texts == ["before", "after"]
    measured("exchange deleted", "durable subscriber", lost=0)


def test_a_sender_that_may_not_make_the_room_again_waits_for_who_may(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, measured: Measured
) -> None:
    with (
        Listening(settings) as listening,
        rabbitmq.new_account(vhost, write=f"^{settings.room}$") as account,
        Sender(Settings.resolve(url=account.url, room=settings.room), "ada") as sender,
    ):
        sender.send("before")
        rabbitmq.management.delete_exchange(vhost, settings.room)
        deleted_at = monotonic()
        assert sender.send("after").routed
        measured("exchange deleted", "sender that may only send", back=monotonic() - deleted_at, lost=0)
        listening.wait_for_text("after", 5)


def test_a_sender_that_may_not_make_the_room_again_gives_up_with_a_clear_error(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, measured: Measured
) -> None:
    rabbitmq.management.add_exchange(vhost, settings.room)
    with (
        rabbitmq.new_account(vhost, write=f"^{settings.room}$") as account,
        Sender(Settings.resolve(url=account.url, room=settings.room), "ada", rejoin_for=1) as sender,
    ):
        sender.send("before")
        rabbitmq.management.delete_exchange(vhost, settings.room)
        deleted_at = monotonic()
        with pytest.raises(Exception, match="may not make it"):
            sender.send("after")
        assert monotonic() - deleted_at < soon(5)
    measured("exchange deleted for good", "sender that may only send", noticed=monotonic() - deleted_at)


def test_a_lasting_queue_that_is_deleted_is_declared_again_and_not_called_lossless(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, measured: Measured
) -> None:
    with Listening(settings, durable="archive") as listening, Sender(settings, "ada") as sender:
        rabbitmq.management.delete_queue(vhost, listening.subscriber.queue_name)
        deleted_at = monotonic()
        noticed = listening.wait_for(events.Disconnected, 5)
        assert "queue was deleted" in str(noticed.event)
        back = listening.wait_for(events.Reconnected, 10)
        assert not back.event.durable
        assert sender.send("hello").routed
        listening.wait_for_text("hello", 5)
    measured(
        "queue deleted (basic.cancel)",
        "durable subscriber",
        noticed=noticed.at - deleted_at,
        back=back.at - deleted_at,
    )


def test_a_subscribers_own_queue_that_is_deleted_is_replaced(
    own_rabbitmq: RabbitMQ, room: str, measured: Measured
) -> None:
    settings = Settings.resolve(url=own_rabbitmq.url, room=room)
    with Listening(settings) as listening:
        queue = listening.subscriber.queue_name
        # Exclusive queues are locked for the dashboard, but not for a user with a shell there.
        own_rabbitmq.ctl("delete_queue", queue)
        deleted_at = monotonic()
        noticed = listening.wait_for(events.Disconnected, 10).at
        back = listening.wait_for(events.Reconnected, 10).at
        assert listening.subscriber.queue_name != queue
    measured(
        "queue deleted (basic.cancel)",
        "subscriber",
        noticed=max(0.0, noticed - deleted_at),
        back=max(0.0, back - deleted_at),
    )


def close_all(rabbitmq: RabbitMQ, vhost: str) -> None:
    """Closes a vhost's connections by the management API, as the dashboard's button does."""
    for each in wait_until(
        lambda: rabbitmq.management.connections(vhost), 15, "a connection in the dashboard"
    ):
        rabbitmq.management.close_connection(each["name"])


def test_a_connection_that_an_operator_closes_is_made_again(
    rabbitmq: RabbitMQ, vhost: str, settings: Settings, measured: Measured
) -> None:
    with Listening(settings) as listening, Sender(settings, "ada") as sender:
        sender.send("before")
        wait_until(lambda: len(rabbitmq.management.connections(vhost)) == 2, 15, "both in the dashboard")
        close_all(rabbitmq, vhost)
        closed_at = monotonic()
        back = listening.wait_for(events.Reconnected, 10).at
        assert sender.send("after").routed
        listening.wait_for_text("after", 5)
    measured("connection closed (320)", "subscriber", back=max(0.0, back - closed_at))
    measured("connection closed (320)", "sender of one message", lost=0)


@pytest.mark.parametrize("taken", ["password", "rights", "account"])
def test_a_deleted_account_is_told_so_and_does_not_try_for_ever(
    rabbitmq: RabbitMQ,
    vhost: str,
    room: str,
    commands: Commands,
    taken: str,
    measured: Measured,
) -> None:
    rabbitmq.management.add_exchange(vhost, room)
    with rabbitmq.new_account(vhost, configure=".*", write=".*", read=".*") as account:
        there = ["--url", account.url, "--room", room]
        subscriber = commands.kchat("subscribe", *there, "--hidden")
        subscriber.wait_for("listening")
        sender = commands.kchat("send", *there, "-", stdin=True)
        sender.write("before\n")
        subscriber.wait_for_lines(1)
        wait_until(lambda: len(rabbitmq.management.connections(vhost)) == 2, 15, "both in the dashboard")
        if taken == "password":
            rabbitmq.management.add_user(account.username, "another")
        elif taken == "rights":
            rabbitmq.management.permit(vhost, account.username)
        else:
            rabbitmq.management.delete_user(account.username)
        taken_at = monotonic()
        # RabbitMQ looks at a password when somebody logs in, and remembers rights for as long as a channel lasts.
        if taken != "account":
            close_all(rabbitmq, vhost)
        assert subscriber.wait(10) == 1
        noticed = monotonic()
        sender.write("after\n")
        assert sender.wait(10) == 1
    for process in (subscriber, sender):
        last = process.stderr.strip().splitlines()
        assert any("not authorised" in line for line in last[-3:]), process.stderr
        assert "Traceback" not in process.stderr
        assert account.password not in process.stderr
    measured(f"{taken} taken away", "subscriber", noticed=noticed - taken_at, note="exit 1")
    measured(f"{taken} taken away", "sender of a stream", note="exit 1")


def test_a_virtual_host_that_is_deleted_is_a_clear_error(rabbitmq: RabbitMQ, measured: Measured) -> None:
    with rabbitmq.new_vhost() as vhost:
        settings = Settings.resolve(url=rabbitmq.url_for(vhost))
        with Listening(settings) as listening, Sender(settings, "ada") as sender:
            sender.send("before")
            rabbitmq.management.delete_vhost(vhost)
            deleted_at = monotonic()
            listening.join(15)
            noticed = monotonic()
            assert "no such virtual host" in str(listening.error)
            with pytest.raises(Exception, match="no such virtual host"):
                sender.send("after")
        rabbitmq.management.add_vhost(vhost)
    measured("virtual host deleted", "subscriber", noticed=noticed - deleted_at, note="NotFound")


def test_rights_are_checked_again_for_every_connection(rabbitmq: RabbitMQ, vhost: str, room: str) -> None:
    rabbitmq.management.add_exchange(vhost, room)
    with rabbitmq.new_account(vhost, configure=".*", write=".*", read=".*") as account:
        settings = Settings.resolve(url=account.url, room=room)
        with Sender(settings, "ada") as sender, Subscriber(settings, "bob"):
            sender.send("before")
            rabbitmq.management.permit(vhost, account.username)
        with pytest.raises(NotAuthorised):
            Sender(settings, "ada").send("after")
        with pytest.raises(NotAuthorised):
            Subscriber(settings, "bob").open()
