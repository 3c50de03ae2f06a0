"""Guests on RabbitMQ: kchat makes their accounts itself (:mod:`kchat.transports.amqp.accounts`), by the management API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import amqp.exceptions

from kchat.errors import SettingsError
from kchat.transports import guests
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.management import PORT_OFFSET

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, RoomSettings
    from kchat.transports.room import RoomPolicy
    from kchat.transports.url import Broker


class Guests(guests.Guests):
    """See :class:`kchat.transports.guests.Guests`."""

    makes_accounts = True
    trying = "send"

    def management(self, settings: RoomSettings, url: str | None = None) -> Accounts:
        """The API at the first broker's host and port plus 10,000, ``https`` for ``amqps``, by that broker's account."""
        broker = settings.brokers[0].unlocked()
        if broker.account is None or broker.password is None:
            raise SettingsError(
                "accounts are made with the broker's administrator account, and none is given",
                hint=broker.lacks or "name it with {account} and {password}, or in the URL",
            )
        if url is None:
            port = (broker.port or (5671 if broker.encrypted else 5672)) + PORT_OFFSET
            if port > 65535:
                raise SettingsError(
                    f"no management port is known for {broker}", hint="name its URL with {management_url}"
                )
            host = broker.host or "localhost"
            host = f"[{host}]" if ":" in host else host
            url = f"{'https' if broker.encrypted else 'http'}://{host}:{port}"
        return Accounts(
            url, broker.account, broker.password, timeout=settings.connect_timeout, tls=settings.tls
        )

    def describe(self, broker: Broker) -> list[tuple[str, str]]:
        """The virtual host."""
        return [("virtual host", broker.vhost)]

    def try_out(self, channel: Channel, room: RoomPolicy, tell: Callable[[str], None]) -> None:
        """Publish what RabbitMQ refuses from everyone: 403 says that this account may not, 406 that it may.

        RabbitMQ looks at the rights first, then at the exchange, then at the message
        (https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers: ``expiration`` is a number).
        """
        try:
            driver = getattr(channel, "connection", None)
            if getattr(driver, "server_properties", {}).get("product") == "RabbitMQ":
                raw = channel.prepare_message(b"", properties={"expiration": "not a number"})
                channel.basic_publish(raw, exchange=room.exchange.name, routing_key="")
            super().try_out(channel, room, tell)
        except amqp.exceptions.PreconditionFailed:
            return
        except amqp.exceptions.NotFound:
            tell(
                f"the room {room.exchange.name} is not open now: a restart of the broker deletes it, "
                "and its host opens it again by listening"
            )
