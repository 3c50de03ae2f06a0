"""What the checks of one broker share: the connection, made once, and what went wrong with it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.client.connection import broker_errors, connect
from kchat.doctor import round_trip

if TYPE_CHECKING:
    import kombu

    from kchat.config.settings import Settings
    from kchat.transports.checks import Options, Outcome


class Walk:
    """See :class:`kchat.transports.checks.Walk`.

    Arguments:
        settings: the room and one broker.
        options: what to check.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        self.settings = settings
        self.options = options
        self.broker = settings.broker
        self._connection: kombu.Connection | None = None
        self.addresses: list[Any] = []
        """Of the broker's host, as of :func:`socket.getaddrinfo`."""

    @property
    def loopback(self) -> bool:
        """Whether the broker is reached on this machine."""
        try:
            return all(ipaddress.ip_address(each[4][0]).is_loopback for each in self.addresses)
        except ValueError:
            return False

    @cached_property
    def failure(self) -> errors.KchatError | None:
        """Why no connection could be made."""
        try:
            self._connection, _ = connect(self.settings, purpose="doctor")
        except errors.KchatError as error:
            return error
        return None

    @property
    def connection(self) -> kombu.Connection:
        """The connection of all checks. Raises :attr:`failure`."""
        if self.failure is not None:
            raise self.failure
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self.settings.transport.close(self._connection)

    @contextmanager
    def connect(self, on_blocked: Callable[[str], None]) -> Iterator[kombu.Connection]:
        """A connection for one check."""
        connection, _ = connect(self.settings, purpose="doctor", on_blocked=on_blocked)
        try:
            yield connection
        except BaseException:
            self.settings.transport.drop(connection)
            raise
        self.settings.transport.close(connection)

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Turn the driver's errors into kchat's."""
        return broker_errors(self.broker, doing)

    def round_trip(self) -> Outcome:
        """Send a message to yourself, or to the room."""
        if self.options.send_test:
            return round_trip.in_the_room(self.settings)
        return round_trip.beside_the_room(self.settings, self.connection)
