"""Members of one room on a real RabbitMQ are walled off from each other, and leave nothing behind that publishes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pika
import pika.exceptions
import pytest

from kchat import NotFound, Refused, Sender, Settings, SettingsError, Subscriber
from kchat.hosting import accounts
from kchat.hosting.leftovers import ownerless
from kchat.transports.amqp.management import Management
from kchat.transports.amqp.room import RoomPolicy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.integration.amqp.guests import invite, make_older, refused

Channel = Any


@contextmanager
def channel_of(settings: Settings) -> Iterator[Channel]:
    """A channel of another client's; its connection may be gone at the end."""
    connection = pika.BlockingConnection(pika.URLParameters(settings.broker.url()))
    try:
        yield connection.channel()
    finally:
        with suppress(pika.exceptions.AMQPError):
            connection.close()


def names(rabbitmq: RabbitMQ, settings: Settings) -> set[str]:
    """The queues and exchanges of kchat's that are there."""
    vhost = settings.broker.vhost
    found = [*rabbitmq.management.queues(vhost), *rabbitmq.management.exchanges(vhost)]
    return {each["name"] for each in found if each["name"].startswith("kchat.")}


def got(subscriber: Subscriber, id: str | None) -> bool:  # noqa: A002 - the message's
    """Whether a message has come by now."""
    came = [message.id for message in subscriber.receive(timeout=1)]
    subscriber.acknowledge()
    return id in came


def spoil(settings: Settings, kind: str = "direct", **more: Any) -> None:
    """Put another exchange in the place of the one that durable queues survive a restart by."""
    with channel_of(settings) as channel:
        channel.exchange_delete("kchat.chat.durable")
        channel.exchange_declare("kchat.chat.durable", kind, **more)


# ---- walls


def test_no_member_reaches_anothers_queue_or_the_hosts(
    management: Management, settings: Settings, name: str
) -> None:
    # Names of which one is the beginning of another, or looks like one in a pattern.
    mallory = invite(management, settings, name)
    others = {each: invite(management, settings, each) for each in (f"{name}.b", f"{name}b", f"{name}.")}
    for other in others.values():
        with Subscriber(other, durable="archive") as subscriber:
            queue = subscriber.queue_name
        with Subscriber(other) as passing:
            for victim in (queue, passing.queue_name):
                for method, more in (
                    ("queue_delete", ()),
                    ("queue_purge", ()),
                    ("basic_get", ()),
                    ("basic_consume", (print,)),
                    ("queue_unbind", ("chat",)),
                    ("queue_declare", ()),
                ):
                    refused(
                        mallory, lambda channel, do=(method, victim, *more): getattr(channel, do[0])(*do[1:])
                    )
    with Subscriber(settings, durable="archive") as host:
        assert host.queue_name == "kchat.chat.archive"
        refused(mallory, lambda channel: channel.queue_purge("kchat.chat.archive"))
        refused(mallory, lambda channel: channel.queue_delete("kchat.chat.archive"))
    own = f"kchat.chat.{name}.mine"
    for do in (
        lambda channel: channel.exchange_delete("kchat.chat.durable"),
        lambda channel: channel.exchange_declare("kchat.chat.durable", "direct", durable=True),
        lambda channel: channel.exchange_unbind("kchat.chat.durable", "chat"),
        lambda channel: channel.basic_publish("kchat.chat.durable", "", b"to those alone who are away"),
        lambda channel: channel.queue_declare(own, arguments={"x-dead-letter-exchange": "lunch"}),
        lambda channel: channel.exchange_declare("kchat.chat.new", "fanout"),
    ):
        refused(mallory, do)


@pytest.mark.parametrize(
    "account", ["ada", "ada.b", "a+d*a?(b)[c]|d^e$f", "部屋", "ada lovelace", "a%2Eb", "x" * 150]
)
def test_a_member_of_any_name_listens_through_queues_of_its_own(
    management: Management, settings: Settings, name: str, account: str
) -> None:
    account = f"{name}{account}"
    member = invite(management, settings, account)
    with (
        Subscriber(member, "another name") as subscriber,
        Subscriber(member, account) as own,
        Subscriber(member, durable="archive") as durable,
        Sender(member, account) as sender,
    ):
        assert subscriber.queue_name.startswith(
            RoomPolicy(settings.room).queue_name(account, "another name") + "."
        )
        assert own.queue_name.rpartition(".")[0] == RoomPolicy(settings.room).queue_name(account)
        assert durable.queue_name == RoomPolicy(settings.room).queue_name(account, "archive")
        sender.send("hello")
        for each in (subscriber, own, durable):
            (message,) = each.receive(timeout=30)
            assert message.verified
            each.acknowledge()


def test_a_members_durable_queue_survives_what_a_restart_takes_away(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    with Subscriber(member, durable="archive"):
        pass
    # As a restart does: the room goes, and with it its bindings.
    rabbitmq.management.delete_exchange(settings.broker.vhost, "chat")
    with Sender(settings, "host") as sender:
        assert sender.send("while nobody was there").routed is True
    with Subscriber(member, durable="archive") as subscriber:
        (message,) = subscriber.receive(timeout=30)
        assert message.text == "while nobody was there"
        subscriber.acknowledge()
        # What keeps the exchange is not the last queue.
    with channel_of(member) as channel:
        channel.queue_delete(RoomPolicy(member.room).queue_name(name, "archive"))
    assert rabbitmq.management.exchange(settings.broker.vhost, "kchat.chat.durable") is not None
    accounts.revoke(management, name)
    assert names(rabbitmq, settings) == set(), "nothing is left once there are no members"


def test_a_member_that_comes_back_finds_its_durable_queue_again(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    told: list[Any] = []
    with (
        Subscriber(settings, durable="archive"),
        Subscriber(member, durable="archive", on_event=told.append) as own,
    ):
        management.close_connections(name, "a test")
        wait_until(
            lambda: own.receive(timeout=0.1) or any(type(each).__name__ == "Reconnected" for each in told), 20
        )
        assert told[-1].durable
        assert own.queue_name == RoomPolicy(member.room).queue_name(name, "archive")


def test_the_name_of_the_exchange_that_members_read_is_not_a_queues(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="durable"):
        Subscriber(settings, durable="durable")


# ---- accounts of an older kchat


def test_an_older_members_account_goes_on_working_and_finds_its_durable_queue(
    management: Management, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    make_older(management, settings, name)
    with channel_of(settings) as channel:
        channel.queue_declare("kchat.chat.archive", durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind("kchat.chat.archive", "chat")
    with Sender(member, name) as sender:
        sender.send("kept")
    with Subscriber(member, durable="archive") as subscriber:
        assert subscriber.queue_name == "kchat.chat.archive"
        (message,) = subscriber.receive(timeout=30)
        assert message.text == "kept"
    with Subscriber(member):
        pass
    found = accounts.find(management, name)
    assert found is not None
    assert (found.room, found.send_only, found.reaches_others) == ("chat", False, True)


def test_an_exchange_that_a_member_has_put_in_the_way_locks_nobody_out_and_is_replaced(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    vhost = settings.broker.vhost
    older = invite(management, settings, name)
    make_older(management, settings, name)
    honest = invite(management, settings, f"{name}-honest")
    with Subscriber(settings, durable="archive"), Subscriber(honest, durable="archive"):
        pass
    for kind, more in (
        ("direct", {}),
        ("fanout", {"durable": True}),
        ("fanout", {"durable": True, "auto_delete": True, "arguments": {"alternate-exchange": "chat"}}),
        ("fanout", {"durable": True, "auto_delete": True, "internal": True}),
    ):
        spoil(older, kind, **more)
        for anybody in (settings, honest):
            with Subscriber(anybody, durable="archive") as subscriber, Sender(settings, "host") as sender:
                sent = sender.send("hello").message
                wait_until(partial(got, subscriber, sent.id), 10)
        assert accounts.repair_room(management, settings, accounts.all_accounts(management))
        assert not accounts.repair_room(management, settings, accounts.all_accounts(management))
    spoil(older, "topic")
    accounts.revoke(management, name)
    exchange = rabbitmq.management.exchange(vhost, "kchat.chat.durable")
    assert exchange is not None
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == ("fanout", True, True)
    bound = {each["destination"] for each in rabbitmq.management.bindings(vhost, "kchat.chat.durable")}
    archives = {"kchat.chat.archive", RoomPolicy(settings.room).queue_name(f"{name}-honest", "archive")}
    assert bound == {"kchat.chat.durable", *archives}
    assert "kchat.chat.durable" in {
        each["destination"] for each in rabbitmq.management.bindings(vhost, "chat")
    }


def test_an_exchange_in_the_way_is_replaced_in_a_room_without_members_too(
    rabbitmq: RabbitMQ, management: Management, settings: Settings
) -> None:
    with Subscriber(settings, durable="archive"):
        pass
    spoil(settings)
    assert accounts.repair_room(management, settings, [])
    vhost = settings.broker.vhost
    bound = {each["destination"] for each in rabbitmq.management.bindings(vhost, "kchat.chat.durable")}
    assert bound == {"kchat.chat.archive"}
    rabbitmq.management.delete_queue(vhost, "kchat.chat.archive")
    assert names(rabbitmq, settings) == set()


# ---- what is left


def test_a_revoked_member_does_not_speak_on(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    mallory = invite(management, settings, name)
    other = invite(management, settings, f"{name}.b")
    own = f"kchat.chat.{name}"
    with Subscriber(other, durable="archive") as kept:
        with channel_of(mallory) as channel:
            channel.queue_declare(
                f"{own}.later",
                durable=True,
                arguments={"x-dead-letter-exchange": "chat", "x-message-ttl": 1500},
            )
            channel.queue_declare(f"{own}.stream", durable=True, arguments={"x-queue-type": "stream"})
            channel.exchange_declare(f"{own}.in", "headers", durable=True)
            channel.exchange_declare(f"{own}.out", "fanout", arguments={"alternate-exchange": "chat"})
            channel.exchange_bind("chat", f"{own}.in")
            channel.queue_bind(f"{own}.later", f"{own}.out")
            channel.basic_publish(f"{own}.out", "", b'{"username":"bob","message":"I am still here"}')
            with Subscriber(mallory):
                ended = accounts.revoke(management, name)
        due = time.monotonic() + 2
        assert ended.connections >= 1
        assert {each.name for each in ended.removed} == {
            f"{own}.{each}" for each in ("later", "stream", "in", "out")
        }
        assert ended.left == []
        assert kept.receive(timeout=due - time.monotonic()) == []
        wait_until(
            lambda: names(rabbitmq, settings) == {kept.queue_name, "kchat.chat.durable"},
            what=lambda: str(names(rabbitmq, settings)),
        )
        sources = {each["source"] for each in management.request("GET", "bindings", settings.broker.vhost)}
        assert sources == {"", "chat", "kchat.chat.durable"}


def test_what_a_member_left_is_deleted_however_much_it_is(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    mallory = invite(management, settings, name)
    own = f"kchat.chat.{name}."
    with channel_of(mallory) as channel:
        for number in range(45):  # their arguments take over 4 MiB, the most of one answer that is read
            channel.queue_declare(f"{own}{number}", durable=True, arguments={"note": "A" * 100_000})
        for number in range(510):  # more than a page has
            channel.exchange_declare(f"{own}x{number}", "fanout")
    ended = accounts.revoke(management, name)
    assert len(ended.removed) == 45 + 510
    assert not {each for each in names(rabbitmq, settings) if each.startswith(own)}


def test_what_may_be_an_older_members_is_named_and_not_deleted(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    older = invite(management, settings, name)
    make_older(management, settings, name)
    with Subscriber(settings, durable="archive"), channel_of(older) as channel:
        channel.queue_declare("kchat.chat.x", arguments={"x-dead-letter-exchange": "chat"})
        channel.exchange_declare("kchat.chat.y", "fanout")
        channel.queue_declare(f"kchat.chat.{name}.z")
    ended = accounts.revoke(management, name)
    assert [each.name for each in ended.removed] == [f"kchat.chat.{name}.z"]
    assert {each.name: each.publishes for each in ended.left} == {
        "kchat.chat.archive": False,
        "kchat.chat.x": True,
        "kchat.chat.y": False,
    }
    assert "dead letter" in " ".join(map(str, ended.left))
    assert ownerless(management, settings.broker.vhost, "lunch") == []


def test_a_revocation_that_was_interrupted_is_finished_by_the_next_one(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    with Subscriber(member, durable="archive"):
        pass
    management.delete_user(name)
    ended = accounts.revoke(management, name, vhost=settings.broker.vhost)
    assert [each.name for each in ended.removed] == [RoomPolicy(settings.room).queue_name(name, "archive")]
    with pytest.raises(NotFound, match="no account"):
        accounts.revoke(management, name, vhost=settings.broker.vhost)


def test_a_revoked_account_takes_along_what_it_has_in_all_rooms_and_virtual_hosts(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    with rabbitmq.new_vhost() as elsewhere:
        own = rf"^kchat\.(chat|lunch)\.{name.replace('-', '.')}\..*"
        for vhost in (settings.broker.vhost, elsewhere):
            management.put_permissions(vhost, name, configure=own, write=f"^chat$|^lunch$|{own}", read=own)
        assert member.broker.password is not None
        there = Settings.resolve(url=rabbitmq.url_for(elsewhere, name, member.broker.password), environ={})
        for place in (member, there):
            with channel_of(place) as channel:
                channel.queue_declare(f"kchat.lunch.{name}.x")
                channel.queue_declare(f"kchat.chat.{name}.x")
        ended = accounts.revoke(management, name)
        assert len(ended.removed) == 4
        assert rabbitmq.management.queues(elsewhere) == []
    assert names(rabbitmq, settings) == set()


def test_a_host_that_goes_by_a_guests_name_keeps_listening(
    management: Management, settings: Settings, name: str
) -> None:
    invite(management, settings, name)
    with Subscriber(settings, name) as host:
        accounts.revoke(management, name, vhost=settings.broker.vhost)
        with Sender(settings, "host") as sender:
            sender.send("hello")
        assert [message.text for message in host.receive(timeout=30)] == ["hello"]


def test_an_account_that_is_more_than_a_guest_is_not_ended(
    management: Management, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    assert member.broker.password is not None
    expired = "kchat-expires=2020-01-01T00:00:00Z"
    management.put_user(name, member.broker.password, ("kchat", expired, "administrator"))
    with pytest.raises(Refused, match="administrator"):
        accounts.revoke(management, name)
    left = accounts.remove_expired(management)
    assert [each.more_tags for each in left if each.name == name] == [("administrator",)]
    assert management.user(name) is not None


def test_an_expired_members_queues_go_with_it(
    rabbitmq: RabbitMQ, management: Management, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name, expires=int(time.time()) + 3600)
    with Subscriber(member, durable="archive"):
        pass
    assert member.broker.password is not None
    tags = ("kchat", "kchat-expires=2020-01-01T00:00:00Z")
    management.put_user(name, member.broker.password, tags)
    accounts.remove_expired(management)
    assert names(rabbitmq, settings) == set()


# ---- names


def test_no_account_is_made_whose_name_can_be_taken_for_anothers(
    management: Management, settings: Settings, name: str
) -> None:
    invite(management, settings, name)
    odd = [
        f"{name} ",
        f" {name}",
        f"{name}\u00a0",
        f"{name}\u200b",
        f"{name}\u202e",
        f"{name}\u115f",
        f"{name}\ufe0f",
        f"\u0430{name}",  # Cyrillic
        "ne\u0301e",  # not in form C
        "\uff41da",  # fullwidth
        f"bob (via {name})",
        f"{name}?",
        f"{name}  b",
    ]
    taken = []
    for each in odd:
        try:
            accounts.create(management, settings, each)
        except SettingsError:
            assert management.user(each) is None
        else:
            taken.append(each)
    assert taken == []
    invite(management, settings, f"O{name}")
    with pytest.raises(Refused, match="looks like"):
        accounts.create(management, settings, f"0{name}")
