"""Durable subscriptions of a room: :func:`subscriptions` lists them, :func:`remove` ends one.

>>> from kchat import Settings
>>> from kchat.client.durable import subscriptions
>>> settings = Settings.resolve(url="amqp://rmq:secret@localhost/", room="chat")
>>> for each in subscriptions(settings):
...     print(each.name, each.messages, each.readers)
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kchat.client.connection import broker_errors, connect
from kchat.config.validation import check_name
from kchat.errors import SettingsError
from kchat.transports.durable import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kchat.config.settings import Broker, Settings
    from kchat.transports import protocols

__all__ = ["Subscription", "remove", "require_durable", "subscriptions"]


def require_durable(settings: Settings) -> None:
    """Make sure that a room can have durable subscriptions.

    Raises:
        kchat.errors.SettingsError: its broker has none.
    """
    transport = settings.transport
    if not transport.capabilities.durable:
        raise SettingsError(
            f"the {transport.name} transport has no durable queues",
            hint="nothing waits there for those who are away",
        )


def subscriptions(settings: Settings, *, management_url: str | None = None) -> list[Subscription]:
    """The durable subscriptions of a room, by name.

    Arguments:
        settings: the room and its broker.
        management_url: of RabbitMQ's management API, which alone lists queues there; with the account of the settings.
            Default: its usual place, the broker's port plus 10,000.

    Raises:
        kchat.errors.SettingsError: this broker has none.
        kchat.errors.Refused: it does not tell this account.
        kchat.errors.BrokerError: anything else between here and the room.
    """
    require_durable(settings)
    policy = settings.transport.durable(settings.room)
    with _connected(settings, "list") as (connection, broker):
        return sorted(policy.subscriptions(settings, broker, connection, management_url))


def remove(settings: Settings, name: str) -> None:
    """Delete a durable subscription with the messages that it holds. Who reads it gets a new, empty one.

    Arguments:
        settings: the room and its broker.
        name: as ``durable`` takes it, or the name of its queue.

    Raises:
        kchat.errors.SettingsError: this broker has none.
        kchat.errors.NotFound: there is none of that name.
        kchat.errors.NotAuthorised: this account may not.
        kchat.errors.BrokerError: anything else between here and the room.
    """
    require_durable(settings)
    check_name(name, "durable name")
    policy = settings.transport.durable(settings.room)
    with _connected(settings, "remove it") as (connection, _):
        policy.remove(connection, name, settings.transport.account(connection))


@contextmanager
def _connected(settings: Settings, doing: str) -> Iterator[tuple[protocols.Connection, Broker]]:
    """A connection for a block, in which the driver's errors become kchat's."""
    connection, broker = connect(settings, purpose="durable")
    try:
        with broker_errors(broker, doing):
            yield connection, broker
    finally:
        settings.transport.close(connection)
