"""Durable subscriptions on RabbitMQ: their limits, what these dropped, older queues, one reader, and who may see them."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import pika
import pika.exceptions
import pytest

from kchat import Durable, Sender, Settings, Subscriber, Unavailable, events
from kchat.client import drops, durable
from kchat.errors import Refused
from kchat.transports.amqp.room import RoomPolicy
from kchat.transports.room import READER
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until

SMALL = 100_000
"""Bytes of a queue that a test fills."""


class Reader:
    """A reader of a durable queue, and what it was told."""

    def __init__(self, settings: Settings, asked: str | Durable, **more: Any) -> None:
        self.told: list[events.Event] = []
        self.subscriber = Subscriber(settings, "keeper", durable=asked, on_event=self.told.append, **more)
        self.numbers: list[int] = []

    def read(self, last: int, seconds: float = 30) -> None:
        """Reads up to a number, and until it is quiet for longer than drops are collected."""
        ends = monotonic() + soon(seconds)
        while last not in self.numbers:
            assert monotonic() < ends, self.numbers[-5:]
            self._take(0.5)
        quiet = monotonic() + 1.5
        while monotonic() < quiet:
            self._take(0.2)

    def _take(self, timeout: float) -> None:
        self.numbers += [int(each.text.split()[0]) for each in self.subscriber.receive(timeout, limit=25)]
        self.subscriber.acknowledge()

    @property
    def dropped(self) -> list[events.Dropped]:
        """What it was told of messages that were dropped."""
        return [event for event in self.told if isinstance(event, events.Dropped)]


def numbers(first: int, last: int) -> list[str]:
    """Texts of about a kilobyte, each with its number."""
    return [f"{number} {'x' * 1000}" for number in range(first, last)]


def declare_as_before(url: str, room: str, name: str, **arguments: object) -> None:
    """Makes a durable queue as kchat did before it had limits."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        queue = RoomPolicy(room).queue_name(name)
        channel.exchange_declare(room, "fanout")
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum", **arguments})
        channel.queue_bind(queue, room)


@pytest.fixture
def settings(amqp_url: str, room: str) -> Settings:
    """A room of the test's own."""
    return Settings.resolve(url=amqp_url, room=room)


@pytest.fixture
def link(proxy_to: Callable[[int], Proxy], rabbitmq: RabbitMQ) -> Proxy:
    """A way to the broker that can be cut."""
    return proxy_to(rabbitmq.port)


@pytest.fixture
def by_link(settings: Settings, amqp_url: str, rabbitmq: RabbitMQ, link: Proxy) -> Settings:
    """The room, by way of the link."""
    assert f":{rabbitmq.port}/" in amqp_url
    url = amqp_url.replace(f":{rabbitmq.port}/", f":{link.port}/")
    return Settings.resolve(url=url, room=settings.room)


def test_a_queue_without_limits_of_an_older_kchat_goes_on_and_that_is_said(
    amqp_url: str, room: str, settings: Settings
) -> None:
    declare_as_before(amqp_url, room, "keeper")
    with Sender(settings, "ada") as sender:
        sender.send("1")
    reader = Reader(settings, "keeper")
    with reader.subscriber:
        reader.read(1)
    (told,) = reader.told
    assert "made without limits" in str(told)
    assert "policy" in str(told)


def test_other_limits_than_the_queue_has_are_said_not_to_act(settings: Settings) -> None:
    with Reader(settings, Durable("keeper", expires=86_400)).subscriber:
        pass
    for asked, said in (("keeper", 0), (Durable("keeper", expires=3_600), 1), (Durable("keeper", 86_400), 0)):
        reader = Reader(settings, asked)
        with reader.subscriber:
            assert len(reader.told) == said, (asked, reader.told)


def test_what_a_limit_dropped_while_nobody_read_is_said_at_the_next_read(settings: Settings) -> None:
    asked = Durable("keeper", max_size=SMALL)
    reader = Reader(settings, asked)
    with Sender(settings, "ada") as sender:
        with reader.subscriber:
            sender.send("0")
            reader.read(0)
        assert all(receipt.confirmed for receipt in sender.send_many(numbers(1, 300)))
    later = Reader(settings, asked)
    with later.subscriber:
        later.read(299)
    assert len(later.numbers) < 110
    (told,) = later.dropped
    assert (told.count, told.queue) == (None, "keeper")
    assert str(told) == "messages may have been dropped: the durable queue keeper was full"


@pytest.mark.parametrize(
    "asked", ["keeper", Durable("keeper", expires=3_600), Durable("keeper", max_size=2 * SMALL)]
)
def test_what_a_limit_dropped_is_said_to_a_reader_that_asks_for_another(
    settings: Settings, asked: str | Durable
) -> None:
    """The limit is the queue's own, which the broker tells, one argument after the other."""
    with Reader(settings, Durable("keeper", max_size=SMALL)).subscriber:
        pass
    with Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(numbers(0, 300)))
    later = Reader(settings, asked, follow=False)
    with later.subscriber:
        later.read(299)
    assert len(later.numbers) < 110
    assert [(told.count, told.queue) for told in later.dropped] == [(None, "keeper")]


def test_what_a_limit_dropped_of_large_messages_is_said(settings: Settings) -> None:
    asked = Durable("keeper", max_size=SMALL)
    with Reader(settings, asked).subscriber:
        pass
    with Sender(settings, "ada") as sender:
        texts = [f"{number} {'x' * 60_000}" for number in range(10)]
        assert all(receipt.confirmed for receipt in sender.send_many(texts))
    later = Reader(settings, asked, follow=False)
    with later.subscriber:
        later.read(9)
    assert later.numbers == [9]
    assert [told.count for told in later.dropped] == [None]


def test_what_a_slow_reader_of_a_durable_queue_missed_is_counted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drops, "_BEHIND", 0.0)  # so small a queue is full in no time
    reader = Reader(settings, Durable("keeper", max_size=SMALL), prefetch=20)
    with reader.subscriber, Sender(settings, "ada") as sender:
        sender.send("0")
        reader.read(0)
        assert all(receipt.confirmed for receipt in sender.send_many(numbers(1, 500)))
        reader.read(499)
    assert sum(each.count or 0 for each in reader.dropped) == 500 - len(reader.numbers) > 300
    assert {each.queue for each in reader.dropped} == {"keeper"}


def test_messages_that_another_reader_had_were_not_dropped(settings: Settings) -> None:
    shared = Durable("keeper", shared=True)
    with Sender(settings, "ada") as sender:
        one, other = Reader(settings, shared), Reader(settings, shared)
        with one.subscriber, other.subscriber:
            assert all(receipt.confirmed for receipt in sender.send_many(numbers(0, 40)))
            wait_until(lambda: bool(other.subscriber.has_arrived or other.subscriber.receive(0.1)), 10)
            while one.subscriber.receive(0.5):
                one.subscriber.acknowledge()
        alone = Reader(settings, "keeper")
        with alone.subscriber:
            sender.send("40")
            alone.read(40)
    assert 1 < len(alone.numbers) < 41
    assert not alone.dropped


def test_the_same_reader_gets_in_again_after_a_cut_link(
    by_link: Settings, link: Proxy, settings: Settings
) -> None:
    reader = Reader(by_link, "keeper")
    with reader.subscriber, Sender(settings, "ada") as sender:
        for number in range(5):
            sender.send(str(number))
            link.cut()
            reader.read(number)
    assert sorted(set(reader.numbers)) == list(range(5))
    assert not reader.dropped


def test_a_reader_whose_place_the_broker_still_holds_retries_until_it_is_free(
    by_link: Settings, link: Proxy, settings: Settings, amqp_url: str
) -> None:
    reader = Reader(by_link, "keeper")
    held = f"{RoomPolicy(settings.room).queue_name('keeper')}.{READER}"
    with reader.subscriber, Sender(settings, "ada") as sender:
        link.refuse()
        link.cut()
        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
            channel = connection.channel()
            while reader.subscriber._connection.connected:
                reader.subscriber.receive(0.1)
            wait_until(lambda: declared(channel, held), 10)
            link.restore()
            wait_until(lambda: reader.subscriber.receive(0.5) == [] and waits(reader.told), 30)
        sender.send("1")
        reader.read(1)


def test_what_was_dropped_while_the_reader_was_cut_off_is_counted(
    by_link: Settings, link: Proxy, settings: Settings
) -> None:
    reader = Reader(by_link, Durable("keeper", max_size=SMALL))
    with reader.subscriber, Sender(settings, "ada") as sender:
        assert all(receipt.confirmed for receipt in sender.send_many(numbers(0, 20)))
        reader.read(19)
        link.refuse()
        link.cut()
        while reader.subscriber._connection.connected:
            reader.subscriber.receive(0.1)
        assert all(receipt.confirmed for receipt in sender.send_many(numbers(20, 400)))
        link.restore()
        reader.read(399)
    assert [each.count for each in reader.dropped] == [400 - len(set(reader.numbers))]
    assert len(reader.numbers) < 130


def declared(channel: Any, queue: str) -> bool:
    """Whether this connection holds that exclusive queue now."""
    try:
        channel.queue_declare(queue, exclusive=True, auto_delete=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    return True


def waits(told: list[events.Event]) -> bool:
    """Whether it was told that it waits for its place."""
    return any(isinstance(each, events.Reconnecting) and "is reading" in str(each) for each in told)


def test_a_client_that_knows_no_holding_queue_is_seen_by_its_consumer(
    amqp_url: str, room: str, settings: Settings
) -> None:
    declare_as_before(amqp_url, room, "keeper")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().basic_consume(RoomPolicy(room).queue_name("keeper"), lambda *_: None)
        with pytest.raises(Unavailable, match="somebody else is reading"):
            Subscriber(settings, durable="keeper").open()
        with Subscriber(settings, durable=Durable("keeper", shared=True)):
            pass


def test_without_the_management_api_the_list_says_so_and_removing_works(
    settings: Settings, commands: Commands, rabbitmq: RabbitMQ, amqp_url: str, room: str
) -> None:
    with Subscriber(settings, durable="keeper"):
        pass
    with pytest.raises(Refused, match="management API"):
        durable.subscriptions(settings, management_url="http://127.0.0.1:9")
    options = ("--url", amqp_url, "--room", room)
    result = commands.run_kchat("durable", "list", *options, "--management-url", "http://127.0.0.1:9")
    assert (result.code, "durable remove works without" in result.stderr) == (1, True), result.stderr
    assert commands.run_kchat("durable", "remove", "keeper", "--yes", *options).code == 0
    assert durable.subscriptions(settings, management_url=rabbitmq.management_url) == []


def test_the_list_shows_the_smaller_limit_of_queue_and_policy(
    rabbitmq: RabbitMQ, settings: Settings, vhost: str
) -> None:
    with Subscriber(settings, durable="keeper"):
        pass
    limits = {"max-length-bytes": 5_000, "expires": 40 * 86_400_000}
    policy = {"pattern": "keeper$", "definition": limits, "apply-to": "queues"}
    rabbitmq.management.request("PUT", ("policies", vhost, "small"), policy)

    def listed() -> tuple[float | None, int | None]:
        (found,) = durable.subscriptions(settings, management_url=rabbitmq.management_url)
        return found.expires, found.max_size

    wait_until(lambda: listed() == (30 * 86_400, 5_000), 15, lambda: str(listed()))
