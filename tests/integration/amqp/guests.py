"""Guests on RabbitMQ: invited, and held to what they may do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pika
import pika.exceptions
import pytest

from kchat import Settings, Subscriber
from kchat.hosting import inviting
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.guests import Account
from tests.brokers.rabbitmq import RabbitMQ


def invite(management: Accounts, settings: Settings, name: str, **more: Any) -> Settings:
    """The settings of a new guest."""
    inviting.declare_room(settings)
    return guest(settings, name, management.create(settings, name, **more))


def find(management: Accounts, name: str) -> Account | None:
    """What the broker has of a guest's account."""
    return next((each for each in management.all_accounts() if each.name == name), None)


def guest(settings: Settings, name: str, password: str) -> Settings:
    """The settings of an account in the host's room."""
    broker = settings.broker
    return Settings.resolve(
        host=broker.host,
        port=broker.port,
        vhost=broker.vhost,
        account=name,
        password=password,
        room=settings.room,
    )


def widen(management: Accounts, settings: Settings, name: str) -> None:
    """Give a member rights to all queues of the room, as a host may by hand."""
    queues = rf"^kchat\.{settings.room}\..*"
    both = f"^{settings.room}$|{queues}"
    management.put_permissions(settings.broker.vhost, name, configure=queues, write=both, read=both)


def in_room(settings: Settings, room: str) -> Settings:
    """The same account in another room."""
    return Settings.resolve(url=settings.broker.url(), room=room)


def refused(settings: Settings, do: Any) -> None:
    """Makes sure that RabbitMQ refuses this to an account (403), whatever client it uses."""
    with closing(pika.BlockingConnection(pika.URLParameters(settings.broker.url()))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
            do(channel)
    assert caught.value.reply_code == 403, caught.value


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
