"""The place of a subscriber in a further room, on a connection that another subscriber has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.client.connection import State
from kchat.client.subscriber_connection import SubscriberConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat import events
    from kchat.transports import protocols
    from kchat.transports.url import Broker


class SharedConnection(SubscriberConnection):
    """A channel and a queue of its own, on the connection of the ``lead``, which makes it, watches it and makes it again.

    What is lost here is lost for all: :meth:`fail` is the lead's.

    Arguments as of :class:`~kchat.client.subscriber_connection.SubscriberConnection`; ``lead``: whose connection it is.
    """

    def __init__(self, *args: Any, lead: SubscriberConnection, **more: Any) -> None:
        super().__init__(*args, **more)
        self.in_use = lead.in_use
        self._heartbeat = 0
        self._lead = lead
        lead.followers.append(self)

    def open(self, deadline: float | None = None, *, again: bool = False) -> bool:  # noqa: ARG002 - as any connection
        """Take the place, if the lead is connected; raises what went wrong, and never waits."""
        if not self.connected:
            self._attempt()
        return True

    def _connect(self) -> tuple[protocols.Connection, Broker]:
        connection = self._lead.link
        if connection is None:
            raise errors.Closed(f"{self._where}: the connection is lost")
        return connection, self._lead.broker

    def _new_waker(self, connection: protocols.Connection) -> protocols.Waker | None:  # noqa: ARG002 - the lead has one
        return None

    def _reconnected(self, seconds: float) -> events.Reconnected | None:
        """Of this room, if something may have been missed in it: that it is connected again, the lead tells."""
        back = super()._reconnected(seconds)
        return None if back is None or back.durable else back

    def _last_alive(self) -> float:
        """It is the lead that hears of the link."""
        return self._lead.alive_at

    def fail(self, error: errors.KchatError, *, lost: bool = True) -> None:
        """As the lead's."""
        self._lead.fail(error, lost=lost)

    def leave(self) -> None:
        """The lead's connection is gone."""
        if self.connected:
            self._lost_at = self._last_alive()
        self._release(lambda _connection: None, State.DISCONNECTED)

    def drain(self, timeout: float | None) -> bool:
        """The lead's, which brings what comes for all."""
        return self._lead.drain(timeout)

    def _end(self, how: Callable[[protocols.Connection], None]) -> None:  # noqa: ARG002 - the lead ends it
        super()._end(lambda _connection: None)
