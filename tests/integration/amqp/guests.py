"""Guests on RabbitMQ: invited, and held to what they may do."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pika
import pika.exceptions
import pytest

from kchat import Settings
from kchat.hosting import accounts, inviting, rights
from kchat.transports.amqp.management import Management


def invite(management: Management, settings: Settings, name: str, **more: Any) -> Settings:
    """The settings of a new guest."""
    inviting.Host(settings).declare_room()
    return guest(settings, name, accounts.create(management, settings, name, **more))


def guest(settings: Settings, name: str, password: str) -> Settings:
    """The settings of an account in the host's room."""
    broker = settings.broker
    return Settings.resolve(
        host=broker.host,
        port=broker.port,
        vhost=broker.vhost,
        username=name,
        password=password,
        room=settings.room,
        environ={},
    )


def make_older(management: Management, settings: Settings, name: str) -> None:
    """Give a member the rights that an older kchat gave."""
    older = rights.of_older_member(settings.room)
    management.put_permissions(
        settings.broker.vhost, name, configure=older.configure, write=older.write, read=older.read
    )


def in_room(settings: Settings, room: str) -> Settings:
    """The same account in another room."""
    return Settings.resolve(url=settings.broker.url(), room=room, environ={})


def refused(settings: Settings, do: Any) -> None:
    """Makes sure that RabbitMQ refuses this to an account (403), whatever client it uses."""
    with closing(pika.BlockingConnection(pika.URLParameters(settings.broker.url()))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
            do(channel)
    assert caught.value.reply_code == 403, caught.value
