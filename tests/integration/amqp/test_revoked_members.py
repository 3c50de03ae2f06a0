"""What is left of a member when its account is revoked or has expired, and what goes."""

from __future__ import annotations

import time

import pytest

from kchat import NotFound, Refused, Sender, Settings, Subscriber
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.room import RoomPolicy
from kchat.transports.room import READER
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.integration.amqp.guests import channel_of, invite, names


def test_a_revoked_member_does_not_speak_on(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
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
                ended = management.revoke(name)
        due = time.monotonic() + 2
        assert ended.connections >= 1
        assert {each.name for each in ended.removed} == {
            f"{own}.{each}" for each in ("later", "stream", "in", "out")
        }
        assert kept.receive(timeout=due - time.monotonic()) == []
        expected = {
            kept.queue_name,
            f"{kept.queue_name}.{READER}",
            "kchat.chat.durable",
            "kchat.chat.presence",
        }
        wait_until(
            lambda: names(rabbitmq, settings) == expected,
            what=lambda: str(names(rabbitmq, settings)),
        )
        sources = {each["source"] for each in management.request("GET", "bindings", settings.broker.vhost)}
        assert sources == {"", "chat", "kchat.chat.durable", "kchat.chat.presence"}


def test_all_queues_that_a_revoked_member_left_are_deleted(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    mallory = invite(management, settings, name)
    own = f"kchat.chat.{name}."
    with channel_of(mallory) as channel:
        for number in range(45):  # their arguments take over 4 MiB, the most of one answer that is read
            channel.queue_declare(f"{own}{number}", durable=True, arguments={"note": "A" * 100_000})
        for number in range(510):  # more than a page has
            channel.exchange_declare(f"{own}x{number}", "fanout")
    ended = management.revoke(name)
    assert len(ended.removed) == 45 + 510
    assert not {each for each in names(rabbitmq, settings) if each.startswith(own)}


def test_a_revocation_that_was_interrupted_is_finished_by_the_next_one(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    with Subscriber(member, durable="archive"):
        pass
    management.delete_user(name)
    ended = management.revoke(name, vhost=settings.broker.vhost)
    assert [each.name for each in ended.removed] == [RoomPolicy(settings.room).queue_name(name, "archive")]
    with pytest.raises(NotFound, match="no account"):
        management.revoke(name, vhost=settings.broker.vhost)


def test_a_revoked_account_takes_along_what_it_has_in_all_rooms_and_virtual_hosts(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    with rabbitmq.new_vhost() as elsewhere:
        own = rf"^kchat\.(chat|lunch)\.{name.replace('-', '.')}\..*"
        for vhost in (settings.broker.vhost, elsewhere):
            management.put_permissions(vhost, name, configure=own, write=f"^chat$|^lunch$|{own}", read=own)
        assert member.broker.password is not None
        there = Settings.resolve(url=rabbitmq.url_for(elsewhere, name, member.broker.password))
        for place in (member, there):
            with channel_of(place) as channel:
                channel.queue_declare(f"kchat.lunch.{name}.x")
                channel.queue_declare(f"kchat.chat.{name}.x")
        ended = management.revoke(name)
        assert len(ended.removed) == 4
        assert rabbitmq.management.queues(elsewhere) == []
    assert names(rabbitmq, settings) == set()


def test_a_host_that_goes_by_a_guests_name_keeps_listening(
    management: Accounts, settings: Settings, name: str
) -> None:
    invite(management, settings, name)
    with Subscriber(settings, name) as host:
        management.revoke(name, vhost=settings.broker.vhost)
        with Sender(settings, "host") as sender:
            sender.send("hello")
        assert [message.text for message in host.receive(timeout=30)] == ["hello"]


def test_an_account_that_is_more_than_a_guest_is_not_ended(
    management: Accounts, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name)
    assert member.broker.password is not None
    expired = "kchat-expires=2020-01-01T00:00:00Z"
    management.put_user(name, member.broker.password, ("kchat", expired, "administrator"))
    with pytest.raises(Refused, match="administrator"):
        management.revoke(name)
    left = management.remove_expired()
    assert [each.more_tags for each in left if each.name == name] == [("administrator",)]
    assert management.user(name) is not None


def test_an_expired_members_queues_go_with_it(
    rabbitmq: RabbitMQ, management: Accounts, settings: Settings, name: str
) -> None:
    member = invite(management, settings, name, expires=int(time.time()) + 3600)
    with Subscriber(member, durable="archive"):
        pass
    assert member.broker.password is not None
    tags = ("kchat", "kchat-expires=2020-01-01T00:00:00Z")
    management.put_user(name, member.broker.password, tags)
    management.remove_expired()
    assert names(rabbitmq, settings) == set()
