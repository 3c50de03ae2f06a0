"""Accounts for guests on a real RabbitMQ: what they may do and what not, how long, and how they end."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

import pika
import pika.exceptions
import pytest

from kchat import (
    Message,
    NotAuthorised,
    NotFound,
    Refused,
    Sender,
    Settings,
    SettingsError,
    Subscriber,
    Unavailable,
)
from kchat.hosting import inviting
from kchat.transports.amqp import rights
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.room import RoomPolicy
from kchat.transports.guests import Account
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until
from tests.integration.amqp.guests import find, in_room, invite, refused

ROOMS = [
    "chat",
    "chat.x",
    "a room/with odd: ñame",
    "a+b*c?(d)[e]{f}|g^h$i\\j",
    "部屋",
    "-",
    "x" * 255,
    "é" * 60,  # with twice as many RabbitMQ 4 stumbles over its own replies
]


def one(subscriber: Subscriber) -> Message:
    (message,) = subscriber.receive(timeout=30)
    subscriber.acknowledge()
    return message


def test_the_rights_are_those_that_the_documentation_has() -> None:
    assert rights.of_guest("chat", "ada", send_only=True) == rights.Rights("^$", "^chat$", "^$")
    configure = r"^kchat\.chat\.ada\..*"
    write = r"^chat$|^kchat\.chat\.presence$|^kchat\.chat\.ada\..*"
    read = (
        r"^chat$|^kchat\.chat\.durable$|^kchat\.chat\.presence$|^kchat\.chat\.ada\..*"
        r"|^kchat\-history\.chat$|^kchat\-history\.chat\.limits$"
    )
    assert rights.of_guest("chat", "ada", send_only=False) == rights.Rights(configure, write, read)
    page = (Path(__file__).parents[3] / "docs" / "share.md").read_text().replace("\\|", "|")
    for pattern in (configure, write, read):
        assert f"`{pattern}`" in page


@pytest.mark.parametrize("room", ROOMS)
def test_a_member_sends_and_listens_in_a_room_of_any_name(
    management: Accounts, settings: Settings, name: str, room: str
) -> None:
    guest = invite(management, in_room(settings, room), name)
    with Subscriber(guest, "odd. user/name") as subscriber, Sender(guest, "ada") as sender:
        assert sender.send("hello").routed is True
        assert one(subscriber).account == name
    with Subscriber(guest, durable="archive.of ada"):
        pass
    found = find(management, name)
    assert found is not None
    assert (found.room, found.send_only, found.vhost) == (room, False, settings.broker.vhost)


@pytest.mark.parametrize("room", ROOMS)
def test_a_sender_sends_to_a_room_of_any_name_and_does_nothing_else(
    management: Accounts, settings: Settings, name: str, room: str
) -> None:
    here = in_room(settings, room)
    guest = invite(management, here, name, send_only=True)
    found = find(management, name)
    assert found is not None
    assert (found.room, found.send_only) == (room, True)
    with Subscriber(here, "host") as subscriber, Sender(guest, "ada") as sender:
        assert sender.send("hello").routed is True
        assert one(subscriber).text == "hello"
        own = subscriber.queue_name
        refused(guest, lambda channel: channel.queue_delete(own))
    with pytest.raises(NotAuthorised, match="not authorised"):
        Subscriber(guest).open()
    mine = RoomPolicy(guest.room).queue_name("mine")
    for do in (
        lambda channel: channel.exchange_delete(room),
        lambda channel: channel.queue_declare(mine, exclusive=True),
        lambda channel: channel.queue_declare("", exclusive=True),
        lambda channel: channel.exchange_declare("mine", "fanout"),
        lambda channel: channel.basic_publish("", "mine", b"past the room, straight to a queue"),
    ):
        refused(guest, do)


def test_a_guest_cannot_get_into_a_neighbouring_room(
    management: Accounts, settings: Settings, name: str
) -> None:
    neighbours = ["chat2", "xchat", "chat.x", "Chat", "lunch", "chat|lunch", "kchat", "ch.t"]
    for room in neighbours:
        inviting.declare_room(in_room(settings, room))
    member = invite(management, settings, name)
    sender = invite(management, settings, f"{name}-2", send_only=True)
    with Subscriber(in_room(settings, "chat.x"), "host") as next_door:
        for guest in (member, sender):
            refused(guest, lambda channel: channel.queue_delete(next_door.queue_name))
            refused(guest, lambda channel: channel.basic_consume(next_door.queue_name, lambda *_: None))
    for room in neighbours:
        for guest in (member, sender):
            with pytest.raises(NotAuthorised):
                Sender(in_room(guest, room), "ada").send("let me in")
            with pytest.raises(NotAuthorised):
                Subscriber(in_room(guest, room)).open()


def test_a_room_of_the_same_name_on_another_virtual_host_is_another_room(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    guest = invite(management, settings, name)
    assert guest.broker.password is not None
    with rabbitmq.new_vhost() as elsewhere:
        url = rabbitmq.url_for(elsewhere, name, guest.broker.password)
        with pytest.raises(NotAuthorised):
            Sender(Settings.resolve(url=url), "ada").send("let me in")


def test_rabbitmq_refuses_a_message_in_another_accounts_name(
    management: Accounts, settings: Settings, name: str
) -> None:
    guest = invite(management, settings, name)
    with (
        Subscriber(settings, "host") as subscriber,
        closing(pika.BlockingConnection(pika.URLParameters(guest.broker.url()))) as connection,
    ):
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
            channel.basic_publish("chat", "", b"hello", pika.BasicProperties(user_id=settings.broker.account))
        assert caught.value.reply_code == 406
        # Without the property the message is accepted, unverified.
        channel = connection.channel()
        channel.basic_publish("chat", "", b'{"username":"rmq","message":"hello"}')
        message = one(subscriber)
    assert (message.username, message.account, message.verified) == ("rmq", None, False)


def test_a_guest_that_takes_anothers_name_is_not_verified(
    management: Accounts, settings: Settings, name: str
) -> None:
    guest = invite(management, settings, name)
    with Subscriber(settings, "host") as subscriber, Sender(guest, "bob") as sender:
        sender.send("I am bob")
        message = one(subscriber)
        assert (message.username, message.account, message.verified) == ("bob", name, False)
    with Subscriber(settings, "host") as subscriber, Sender(guest, name) as sender:
        sender.send("I am myself")
        assert one(subscriber).verified is True


def test_a_revoked_guest_is_out_within_seconds_and_stays_out(
    management: Accounts, settings: Settings, name: str
) -> None:
    guest = invite(management, settings, name)
    subscriber = Subscriber(guest)
    subscriber.open()
    started = time.monotonic()
    assert management.revoke(name).connections == 1
    with pytest.raises(NotAuthorised, match="not authorised"):
        subscriber.receive(timeout=30)
    assert time.monotonic() - started < soon(5)
    with pytest.raises(NotAuthorised, match="not authorised"):
        Sender(guest, "ada").send("hello?")
    assert find(management, name) is None


def test_an_expired_guest_is_removed_and_the_others_are_not(
    management: Accounts, settings: Settings, name: str
) -> None:
    soon = invite(management, settings, f"{name}-soon", expires=int(time.time()) + 3)
    invite(management, settings, f"{name}-late", expires=int(time.time()) + 3600)
    invite(management, settings, f"{name}-never")
    subscriber = Subscriber(soon)
    subscriber.open()
    removed: list[Account] = []
    wait_until(lambda: management.remove_expired(removed.append) and removed, 10)
    assert [account.name for account in removed] == [f"{name}-soon"]
    with pytest.raises(NotAuthorised):
        subscriber.receive(timeout=30)
    left = {account.name: account for account in management.all_accounts()}
    assert f"{name}-soon" not in left
    assert left[f"{name}-never"].expires is None
    assert not left[f"{name}-late"].expired


def test_an_account_has_no_more_connections_than_it_may(
    management: Accounts, settings: Settings, name: str
) -> None:
    guest = invite(management, settings, name, max_connections=1)
    with Subscriber(guest), pytest.raises(Unavailable, match="limit"):
        Subscriber(guest).open()


def test_accounts_that_kchat_did_not_make_are_left_alone(
    rabbitmq: RabbitMQ, vhost: str, management: Accounts, settings: Settings
) -> None:
    with rabbitmq.new_account(vhost, write=".*") as account:
        with pytest.raises(Refused, match="already"):
            management.create(settings, account.username)
        with pytest.raises(Refused, match="did not make"):
            management.revoke(account.username)
        assert account.username not in [found.name for found in management.all_accounts()]
        Sender(Settings.resolve(url=account.url), "ada").close()
        assert management.user(account.username) is not None
    with pytest.raises(NotFound):
        management.revoke("nobody-of-that-name")


def test_an_account_is_not_made_twice(management: Accounts, settings: Settings, name: str) -> None:
    guest = invite(management, settings, name)
    with pytest.raises(Refused, match="already"):
        management.create(settings, name)
    with Sender(guest, "ada") as sender:
        sender.send("my password is as it was")


def test_half_an_account_is_taken_back(management: Accounts, settings: Settings, name: str) -> None:
    nowhere = Settings.resolve(url=settings.broker.url().rpartition("/")[0] + "/no-such-vhost")
    with pytest.raises(Refused):
        management.create(nowhere, name)
    assert management.user(name) is None


@pytest.mark.parametrize("account", ["a:b", "", " ", "a\nb"])
def test_a_name_that_is_none_makes_no_account(management: Accounts, settings: Settings, account: str) -> None:
    with pytest.raises(SettingsError):
        management.create(settings, account)


def test_a_room_that_could_pass_for_anothers_queue_is_not_shared(
    management: Accounts, settings: Settings, name: str
) -> None:
    with pytest.raises(SettingsError, match="queues"):
        management.create(in_room(settings, "kchat.chat.x"), name)
    assert management.user(name) is None


def test_a_guest_finds_out_whether_the_account_works_without_a_word_in_the_room(
    rabbitmq: RabbitMQ, vhost: str, management: Accounts, settings: Settings, name: str
) -> None:
    told: list[str] = []
    with Subscriber(settings, "host") as subscriber:
        sender = invite(management, settings, f"{name}-sender", send_only=True)
        member = invite(management, settings, f"{name}-member")
        inviting.try_out(sender, send_only=True, tell=told.append)
        inviting.try_out(member, send_only=False, tell=told.append)
        assert subscriber.receive(timeout=0.5) == []
    assert told == []
    with rabbitmq.new_account(vhost, read=".*", configure=".*") as mute, pytest.raises(NotAuthorised):
        inviting.try_out(Settings.resolve(url=mute.url), send_only=True, tell=told.append)
    rabbitmq.management.delete_exchange(vhost, "chat")
    inviting.try_out(sender, send_only=True, tell=told.append)
    assert re.search("not open now", told[0])


def test_a_guest_is_told_when_the_room_went_with_a_restart(
    rabbitmq: RabbitMQ, vhost: str, management: Accounts, settings: Settings, name: str
) -> None:
    guest = invite(management, settings, name)
    rabbitmq.management.delete_exchange(vhost, "chat")
    with pytest.raises(NotFound, match="no room 'chat' now") as caught:
        Sender(guest, "ada").send("hello?")
    assert "ask its host" in caught.value.hint
    with pytest.raises(NotFound, match="no room 'chat' now"):
        Subscriber(guest).open()
    with Subscriber(settings, "host"), Sender(guest, "ada") as sender:
        assert sender.send("there you are").routed is True
