"""From settings to a Kombu connection that is not connected yet."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import kombu
import kombu.transport

from kchat.transports import errors as errors  # noqa: PLC0414 - loaded while files can be opened

if TYPE_CHECKING:
    from kchat.transports import protocols
    from kchat.transports.protocols import RoomSettings
    from kchat.transports.url import Broker

_DRAIN_BATCH = 250
"""Deliveries in one ``drain_events``, where the transport can deliver several."""


class Connection(kombu.Connection):
    """Kombu's, but once lost it stays lost: Kombu's connects again by itself when it is next used, and tells nobody."""

    @property
    def connection(self) -> Any:
        """The driver's connection; ``None`` before it is made."""
        return self._connection


def drop(connection: protocols.Connection) -> None:
    """See :meth:`kchat.transports.base.Transport.drop`."""
    if getattr(connection, "_transport", None) is None:  # to ask for `transport` would import it
        return  # the import of its driver failed or was interrupted
    lost = OSError, AttributeError, *connection.connection_errors, *connection.channel_errors
    with suppress(*lost):
        if hasattr(connection.transport, "_collect"):
            connection.collect()
        else:
            # Here collect() would close it too, and change the default timeout of all sockets of all threads for that.
            connection.release()


def connect(settings: RoomSettings, broker: Broker, heartbeat: float) -> protocols.Connection:
    """A connection by the broker's URL; the options of the URL go to the Kombu transport.

    Arguments as of :meth:`kchat.transports.base.Transport.connect`.
    """
    broker.transport.urls.check(broker)
    path = broker.transport.schemes[broker.scheme]
    try:
        kombu.transport.get_transport_cls(path)
    except (AttributeError, ImportError, KeyError, ValueError) as error:
        from kchat.transports import TRANSPORTS

        if not (entry := TRANSPORTS.entry(broker.transport.name)).distribution:
            raise
        raise entry.unusable(
            f"its class {path} for {broker.scheme}:// cannot be imported: {error}"
        ) from error
    connection: protocols.Connection = Connection(
        broker.url(),
        # By its path: Kombu may have another transport for the scheme.
        transport=path,
        connect_timeout=settings.connect_timeout,
        heartbeat=heartbeat,
        transport_options={
            "drain_batch": _DRAIN_BATCH,
            **broker.options,
            "confirm_timeout": settings.confirm_timeout,
            "connect_timeout": settings.connect_timeout,
        },
    )
    return connection
