"""A link that goes silent, or is cut: nothing is told, and both ends have to notice by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest

from kchat import NotConfirmed, Sender, Settings, Subscriber, Unreachable, events
from kchat.client.subscriber_connection import SubscriberConnection
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until
from tests.faults.parts import Listening, Sending, lost, repeats

Measured = Callable[..., None]


@pytest.fixture
def link(proxy_to: Callable[[int], Proxy], rabbitmq: RabbitMQ) -> Proxy:
    return proxy_to(rabbitmq.port)


@pytest.fixture
def straight(amqp_url: str, room: str) -> Settings:
    """The room, without the proxy."""
    return Settings.resolve(url=amqp_url, room=room)


@pytest.fixture
def through(rabbitmq: RabbitMQ, vhost: str, link: Proxy, room: str) -> Settings:
    """The room by way of the proxy, with little patience."""
    url = rabbitmq.url_for(vhost, host=link.host, port=link.port)
    return Settings.resolve(url=url, room=room, connect_timeout=1, confirm_timeout=1.5, heartbeat=1)


def stream(count: int, reached: dict[int, Callable[[], None]]) -> Iterator[str]:
    """Texts ``0``, ``1``, ...; at some of them something is done first."""
    for number in range(count):
        if number in reached:
            reached[number]()
        yield str(number)


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_cut_link_is_noticed_at_once_and_made_again(
    link: Proxy, through: Settings, straight: Settings, how: str, measured: Measured
) -> None:
    with Listening(through) as listening:
        queue = listening.subscriber.queue_name
        cut_at = monotonic()
        link.cut("reset" if how == "reset" else "close")
        noticed = listening.wait_for(events.Disconnected, 5).at
        back = listening.wait_for(events.Reconnected, 10)
        assert listening.subscriber.queue_name != queue
        assert "may have been missed" in str(back.event)
        with Sender(straight, "ada") as sender:
            assert sender.send("hello").routed
        listening.wait_for_text("hello", 5)
    measured(f"link cut ({how})", "subscriber", noticed=noticed - cut_at, back=back.at - cut_at)


def test_a_silent_link_is_noticed_by_a_quiet_subscriber_within_two_heartbeats(
    link: Proxy, through: Settings, straight: Settings, measured: Measured
) -> None:
    with Listening(through) as listening:
        link.black_hole()
        silent_at = monotonic()
        noticed = listening.wait_for(events.Disconnected, 4).at - silent_at
        assert noticed < soon(2 * through.heartbeat + 0.7)  # the scheduler has its say
        listening.wait_for(events.Reconnecting, 5)
        link.restore()
        restored_at = monotonic()
        back = listening.wait_for(events.Reconnected, 15).at - restored_at
        with Sender(straight, "ada") as sender:
            assert sender.send("hello").routed
        listening.wait_for_text("hello", 5)
    measured("link black-holed (heartbeat 1 s)", "subscriber", noticed=noticed, back=back)


@pytest.mark.slow
def test_a_silent_link_is_noticed_within_twenty_seconds_unless_told_otherwise(
    link: Proxy, through: Settings, measured: Measured
) -> None:
    settings = replace(through, heartbeat=Settings.resolve(url="amqp://h").heartbeat)
    with Listening(settings) as listening:
        link.black_hole()
        silent_at = monotonic()
        noticed = listening.wait_for(events.Disconnected, 22).at - silent_at
        assert noticed < soon(20.7)
        link.restore()
        restored_at = monotonic()
        back = listening.wait_for(events.Reconnected, 15).at - restored_at
    measured("link black-holed (heartbeat 10 s)", "subscriber", noticed=noticed, back=back)


def test_a_durable_subscriber_behind_a_silent_link_loses_nothing_and_sees_nothing_twice(
    link: Proxy, through: Settings, straight: Settings, measured: Measured
) -> None:
    with Listening(through, durable="archive") as listening, Sender(straight, "ada") as sender:
        sender.send("before")
        listening.wait_for_text("before", 5)
        link.black_hole()
        silent_at = monotonic()
        for number in range(500):
            sender.send(f"during {number}")
        noticed = listening.wait_for(events.Disconnected, 10).at
        link.restore()
        restored_at = monotonic()
        back = listening.wait_for(events.Reconnected, 15)
        sender.send("after")
        listening.wait_for_text("after", 10)
    expected = ["before", *(f"during {number}" for number in range(500)), "after"]
    assert listening.texts == expected
    assert "kept" in str(back.event)
    measured(
        "link black-holed (heartbeat 1 s)",
        "durable subscriber",
        noticed=noticed - silent_at,
        back=back.at - restored_at,
        lost=lost(expected, listening.texts),
    )


@pytest.mark.parametrize("direction", ["both", "to_client"])
def test_a_stream_over_a_link_that_goes_silent_arrives_whole_in_order_and_once(
    link: Proxy, through: Settings, straight: Settings, direction: str, measured: Measured
) -> None:
    silent_at = 0.0

    def silence() -> None:
        nonlocal silent_at
        silent_at = monotonic()
        link.black_hole("both" if direction == "both" else "to_client")

    with Listening(straight) as listening:
        with Sending(through, stream(5000, {2500: silence})) as sending:
            noticed = sending.wait_for(events.Disconnected, 15).at
            link.restore()
            restored_at = monotonic()
            back = sending.wait_for(events.Reconnected, 15).at
        assert sending.error is None
        listening.wait_for_count(5000, 30)
    expected = [str(number) for number in range(5000)]
    assert [each.message.text for each in sending.receipts] == expected
    assert listening.texts == expected
    measured(
        "link black-holed" if direction == "both" else "confirms black-holed",
        "sender of a stream",
        noticed=noticed - silent_at,
        back=back - restored_at,
        lost=lost(expected, listening.texts),
        note=f"confirm timeout 1.5 s; {repeats(listening.texts)} shown twice",
    )


def test_one_message_over_a_silent_link_is_given_up_after_a_time_that_can_be_foretold(
    link: Proxy, through: Settings, measured: Measured
) -> None:
    with Sender(through, "ada", reconnect_for=2) as sender:
        sender.send("before")
        link.black_hole()
        silent_at = monotonic()
        with pytest.raises(NotConfirmed, match="1 messages not confirmed"):
            sender.send("hello")
        took = monotonic() - silent_at
    # The confirm timeout, the time to reconnect, the last attempt, and a pause.
    assert 1.5 + 2 <= took < soon(1.5 + 2 + 1 + 2.5)
    measured("link black-holed for good", "sender of one message", noticed=took, note="NotConfirmed")


def test_a_link_that_goes_silent_while_everything_is_declared_is_given_up(
    rabbitmq: RabbitMQ,
    vhost: str,
    room: str,
    measured: Measured,
    proxy_to: Callable[[int], Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link = proxy_to(rabbitmq.port)
    url = rabbitmq.url_for(vhost, host=link.host, port=link.port)
    settings = Settings.resolve(url=url, room=room, connect_timeout=1, confirm_timeout=1)
    # The silence comes between the handshake and the first declaration: where a join begins.
    join = SubscriberConnection._join

    def unlucky(self: SubscriberConnection, *arguments: Any, **options: Any) -> None:
        link.black_hole()
        join(self, *arguments, **options)

    monkeypatch.setattr(SubscriberConnection, "_join", unlucky)
    began = monotonic()
    with pytest.raises(Unreachable, match="no answer in time"):
        Subscriber(settings, "bob").open()
    took = monotonic() - began
    assert took < soon(3)
    measured("link black-holed while joining", "subscriber", noticed=took, note="Unreachable")


def test_a_subscriber_that_is_busy_for_long_keeps_its_connection(
    rabbitmq: RabbitMQ, through: Settings, straight: Settings, link: Proxy, measured: Measured
) -> None:
    with Listening(through) as listening, Sender(straight, "ada") as sender:
        listening.hold()
        sender.send("work on this")
        # RabbitMQ drops a client of which it hears nothing for two heartbeats, plus some; this is five of them.
        before, began = link.forwarded("to_server"), monotonic()
        wait_until(lambda: link.forwarded("to_server") - before >= 10 * 8, 15, "ten heartbeats")
        took = monotonic() - began
        assert took > 3.5
        listening.go_on()
        listening.wait_for_text("work on this", 5)
        sender.send("and on this")
        listening.wait_for_text("and on this", 5)
    assert listening.events == []
    measured("busy for 5 heartbeats", "subscriber", lost=0, note="connection kept")


def test_a_subscriber_that_is_fed_all_the_time_sends_heartbeats(
    through: Settings, straight: Settings
) -> None:
    began = monotonic()

    def for_five_heartbeats() -> Iterator[str]:
        while monotonic() - began < 5 * through.heartbeat:
            yield "x" * 100

    with Listening(through) as listening, Sending(straight, for_five_heartbeats()) as sending:
        sending.join(30)
    assert listening.events == []


def test_letting_go_of_a_dead_link_takes_no_time(link: Proxy, through: Settings) -> None:
    subscriber, sender = Subscriber(through, "bob"), Sender(through, "ada")
    subscriber.open()
    sender.open()
    link.black_hole()
    for each in (subscriber, sender):
        began = monotonic()
        each.close()
        assert monotonic() - began < soon(1.5)


def test_the_time_away_counts_from_when_the_connection_last_worked(link: Proxy, through: Settings) -> None:
    with Listening(replace(through, heartbeat=30)) as listening:
        listening.hold()
        held_at = monotonic()
        link.cut()
        wait_until(lambda: monotonic() - held_at > 1.5, 5)  # busy elsewhere, and does not notice
        listening.go_on()
        back = listening.wait_for(events.Reconnected, 10)
    assert back.event.seconds > 1.2
