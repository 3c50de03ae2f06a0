"""A room's limits are set where it is made; no URL makes them smaller, and no queue that nobody reads takes the room."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from kchat import Durable, Message, Sender, Settings, Subscriber, events
from kchat.client import durable
from kchat.transports.local import limits
from kchat.transports.local.limits import Limits
from tests.brokers.processes import Commands
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import get_all, listen, own_queue, rest, send


def store_of(connection: Any) -> Any:
    return connection.connection.store


def test_a_room_keeps_the_limits_that_it_was_made_with(connect: Connect) -> None:
    connect(history_max_age=60, history_max_bytes=8_000_000, backlog_max_messages=5).release()
    assert store_of(connect()).limits == Limits(60.0, 8_000_000, 8_000_000, 5)


def test_a_backlog_is_as_large_as_the_history_and_never_tiny(connect: Connect) -> None:
    assert store_of(connect(history_max_bytes=0)).limits.backlog_max_bytes == 4 * 1024 * 1024
    assert Limits() == Limits(7 * 86400.0, 256 << 20, 256 << 20, 1_000_000)


def test_a_url_erases_nothing_in_an_existing_room(commands: Commands, local_url: str) -> None:
    with Sender(Settings.resolve(url=local_url), "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(f"m{number}" for number in range(10)))
    shrinking = (
        f"{local_url}?history_max_bytes=0&history_max_age=0&backlog_max_bytes=0&backlog_max_messages=0"
    )
    for number in range(10, 12):
        sent = commands.run_kchat("send", "--url", shrinking, f"m{number}")
        assert sent.code == 0
        for name in limits.NAMES:
            assert f"{name}=0 is ignored" in sent.stderr
    shown = commands.run_kchat(
        "subscribe", "--url", local_url, "--last", "99", "--limit", "12", "--mode", "json", "-q"
    )
    assert [f'"m{number}"' in line for number, line in enumerate(shown.stdout.splitlines())] == [True] * 12
    assert shown.stderr == ""


def test_a_url_makes_limits_larger_for_everybody(connect: Connect) -> None:
    first = connect()
    assert store_of(connect(history_max_bytes=1 << 30)).limits.history_max_bytes == 1 << 30
    send(first.channel(), "x", routing_key="q")  # looks after the limits, at most once a second
    assert store_of(connect()).limits.history_max_bytes == 1 << 30


def test_an_ignored_limit_is_logged_where_nobody_is_told(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    connect()
    connection = connect(history_max_age=5)
    with caplog.at_level(logging.WARNING), pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)
    assert "history_max_age=5 is ignored: the room keeps 604800" in caplog.text


# -- queues that nobody reads


def forgotten(channel: Any, name: str = "forgotten") -> str:
    channel.exchange_declare("chat", "fanout")
    channel.queue_declare(name, durable=True)
    channel.queue_bind(name, "chat")
    return name


@pytest.mark.parametrize("size", [100, 1_000, 3_000, 100_000])
def test_a_forgotten_queue_takes_nothing_from_the_history_and_the_file_stays_bounded(
    connect: Connect, path: Path, size: int
) -> None:
    bound = 2_000_000
    connection = connect(history_max_bytes=bound, backlog_max_bytes=bound)
    channel = connection.channel()
    forgotten(channel)
    body = "x" * size
    send(channel, *(body for _ in range(min(10_000, 6 * bound // size))), exchange="chat")
    late = connect().channel()
    shown = rest(late.connection.client, listen(late, own_queue(late, "chat", x_history_last=10**6)))
    sent = min(10_000, 6 * bound // size) * size
    assert len(shown) * size > min(bound, sent) * 0.3, "the history was cut for the forgotten queue"
    assert path.stat().st_size < 3 * bound + 2_000_000


def test_a_queue_that_is_read_is_not_cut_for_one_that_is_not(connect: Connect) -> None:
    connection = connect(backlog_max_messages=100)
    channel = connection.channel()
    forgotten(channel, "forgotten")
    forgotten(channel, "read")
    arrived: list[Any] = []

    def take(delivery: Any) -> None:
        arrived.append(delivery)
        channel.basic_ack(delivery.delivery_tag)

    channel.basic_consume("read", callback=take)
    for start in range(0, 1000, 50):
        send(channel, *(str(n) for n in range(start, start + 50)), exchange="chat")
        rest(connection, arrived)
        connection.connection.publisher._prune()
    assert [each.body.decode() for each in arrived] == [str(n) for n in range(1000)]
    assert get_all(channel, "forgotten") == [str(n) for n in range(900, 1000)]


def test_the_next_reader_is_told_how_many_were_dropped_until_it_has_acknowledged(connect: Connect) -> None:
    sender = connect(backlog_max_messages=100)
    forgotten(sender.channel())
    send(sender.channel(), *(str(n) for n in range(150)), exchange="chat")
    sender.connection.publisher._prune()
    for acknowledged in (False, True):
        told: list[object] = []
        reader = connect()
        channel = reader.channel()
        reader.connection.tell(told.append)
        arrived = listen(channel, "forgotten")
        assert len(rest(reader, arrived)) == 100
        assert [str(each) for each in told] == [
            "50 messages were dropped: the durable queue forgotten was full"
        ]
        if acknowledged:
            channel.basic_ack(arrived[0].delivery_tag)
        reader.release()
    told = []
    last = connect()
    last.connection.tell(told.append)
    assert len(rest(last, listen(last.channel(), "forgotten"))) == 99
    assert told == []


def test_queues_of_direct_exchanges_are_not_cut(connect: Connect) -> None:
    connection = connect(backlog_max_messages=10, history_max_bytes=0, backlog_max_bytes=0)
    channel = connection.channel()
    channel.queue_declare("tasks", durable=True)
    send(channel, *(str(n) for n in range(200)), routing_key="tasks")
    connection.connection.publisher._prune()
    assert len(get_all(channel, "tasks")) == 200


def test_a_subscriber_is_told_by_the_name_of_its_durable_queue(local_url: str) -> None:
    settings = Settings.resolve(url=f"{local_url}?backlog_max_messages=100")
    Subscriber(settings, "bob", durable="archive").__enter__().close()
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(str(n) for n in range(3000)))
        sender.send("the last one")
    told: list[events.Event] = []
    with Subscriber(settings, "bob", durable="archive", on_event=told.append) as subscriber:
        messages = subscriber.receive(timeout=30)
    assert len(told) == 1
    assert isinstance(told[0], events.Dropped)
    assert str(told[0]) == f"{told[0].count:,} messages were dropped: the durable queue archive was full"
    assert int(messages[0].text) == told[0].count


def test_a_durable_queue_keeps_no_more_than_it_was_asked_for(local_url: str) -> None:
    settings = Settings.resolve(url=local_url)
    small, large = Durable("small", max_size=1_000_000), Durable("large")
    for asked in (small, large):
        with Subscriber(settings, durable=asked):
            pass
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many("x" * 1000 for _ in range(4000)))
        sender.send("the last one")
    held = {each.name: each.messages for each in durable.subscriptions(settings)}
    told: list[events.Event] = []
    with Subscriber(settings, durable=small, on_event=told.append) as subscriber:
        messages: list[Message] = []
        while not messages or messages[-1].text != "the last one":
            messages += subscriber.receive(timeout=30)
            subscriber.acknowledge()
    assert held == {"small": len(messages), "large": 4001}
    assert 300 < len(messages) < 2000
    assert [event.count for event in told if isinstance(event, events.Dropped)] == [4001 - len(messages)]


def test_a_queue_of_an_older_kchat_without_limits_goes_on_and_that_is_said(
    connect: Connect, local_url: str
) -> None:
    channel = connect().channel()
    channel.exchange_declare("chat", "fanout")
    channel.queue_declare("kchat.chat.archive", durable=True)
    channel.queue_bind("kchat.chat.archive", "chat")
    send(channel, "kept", exchange="chat")
    told: list[events.Event] = []
    path = connect().connection.options.path
    with Subscriber(
        Settings.resolve(url=f"local://{path}"), durable="archive", on_event=told.append
    ) as subscriber:
        assert len(subscriber.receive(timeout=30)) == 1
    assert ["made without limits" in str(each) for each in told] == [True]
