"""The connection of a presence: its queue of announcements, and what it announces itself."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from kchat import errors, events
from kchat.client.connection import Connection

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.message.announcement import Announcement
    from kchat.transports import protocols

logger = logging.getLogger(__name__)

MOST_HEARD = 250
"""Announcements that are unacknowledged at a time, and heard in a second. More wait at the broker, which drops what is too
old: a flood costs no more."""

_TOGETHER = 100
"""Announcements that are acknowledged together: to acknowledge each would cost the broker as much as to deliver it."""

_STEADY = 1.0
"""Seconds that a connection has to last for the next one to be made without a pause."""


class PresenceConnection(Connection):
    """Consumes announcements, and publishes those of one session.

    Arguments:
        settings: the room and its brokers.
        username: stands in the queue's name.
        hello: makes the first announcement; ``None`` for none.
        counts: whether it counts as here, on a broker that knows by itself who is.
        hears: whether it hears everybody; else, where that makes a difference, lists alone.
        on_event, wait: as of :class:`~kchat.client.connection.Connection`.
    """

    purpose, doing = "presence", "listen"

    def __init__(
        self,
        settings: Settings,
        username: str,
        hello: Callable[[], Announcement | None],
        on_event: events.OnEvent,
        *,
        counts: bool,
        hears: Callable[[], bool],
        wait: bool,
    ) -> None:
        super().__init__(settings, on_event, wait=wait, heartbeat=settings.heartbeat)
        self.arrived: deque[protocols.Delivery] = deque()
        self.alone: bool | None = None
        """Whether nobody else was there when it joined, where that is known."""
        self.let_in = False
        """Whether a broker has ever taken its account."""
        self.blocked = False
        """Whether the broker takes no announcements for now."""
        self.verifies = False
        self.policy = settings.transport.presence(settings.room)
        self._username = username
        self._hello = hello
        self._counts = counts
        self._hears = hears
        self._account: str | None = None  # that messages bear
        self._queue: protocols.Queue | None = None
        self._last_tag: object = None
        self._taken = 0

    def _join(self, connection: protocols.Connection, *, again: bool) -> None:  # noqa: ARG002 - it makes no difference
        transport = self._settings.transport
        self.let_in = True
        try:
            with self.errors:
                channel = connection.channel()
                channel.auto_decode = False
                self._channel = channel
                if self.policy.announces:
                    self._account = transport.account(connection)
                    hello = self._hello()
                    body = None if hello is None else hello.encode()
                    self._queue, self.alone = self.policy.join(
                        channel, self._username, body, account=self._account, hears=self._hears()
                    )
                    channel.basic_qos(0, MOST_HEARD, False)
                    self._queue.consume(
                        consumer_tag=self._queue.name,
                        callback=self.arrived.append,
                        no_ack=not transport.acknowledges,
                    )
                elif self._counts:
                    self.policy.register(channel, self._username)
                self.verifies = getattr(connection.connection, "verifies_accounts", False)
                make: Callable[[Any], protocols.Waker | None] | None = getattr(
                    connection.transport, "waker", None
                )
                self.waker = None if make is None else make(connection.connection)
        except errors.NotFound as error:  # its exchange went in that moment, with the last one who was here
            raise errors.Closed(str(error), error.hint) from error

    @property
    def own_account(self) -> str | None:
        """The account that others see, where the broker checks it."""
        return self._account if self.verifies else None

    def take(self) -> list[tuple[bytes, str | None]]:
        """The bodies that have arrived, each with the account that the broker has checked."""
        exchange, taken = self.policy.exchange.name, []
        while self.arrived:
            delivery = self.arrived.popleft()
            self._last_tag = delivery.delivery_tag
            self._taken += 1
            body = delivery.body
            taken.append(
                (
                    body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass"),
                    delivery.account(exchange) if self.verifies else None,
                )
            )
        return taken

    def acknowledge(self) -> None:
        """What was taken is done with. Some of it may be acknowledged later: nobody needs it again."""
        if self._taken >= _TOGETHER and self._settings.transport.acknowledges:
            self.channel.basic_ack(self._last_tag, multiple=True)
            self._taken = 0

    def announce(self, said: Announcement) -> None:
        """Publish an announcement. Raises as :meth:`~kchat.client.connection.Connection.drain`."""
        if self._queue is not None:
            self.policy.bind_again(self.channel, self._queue, hears=self._hears())
            to_all = said.count >= 0
            self.policy.announce(self.channel, said.encode(), account=self._account, to_all=to_all)

    def hear_everybody_or_lists(self) -> None:
        """Bind the queue as it is wanted now. Raises as :meth:`announce`."""
        if self._queue is not None:
            self.policy.bind(self.channel, self._queue, hears=self._hears())

    def leave(self, goodbye: Announcement | None) -> None:
        """Say goodbye where it is connected, and close the connection; raises nothing of the broker's."""
        if self.connected and self._queue is not None and not self.blocked:
            try:
                with self.errors:
                    if goodbye is not None:
                        self.announce(goodbye)
                    self.policy.leave(self.channel, self._queue)
            except errors.KchatError as error:
                logger.debug("no goodbye: %s", error)
        self.close()

    def _on_blocked(self, reason: str) -> None:  # noqa: ARG002 - the sender tells it
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False

    def _has_worked(self, since: float) -> bool:  # noqa: ARG002 - to be quiet is no failure
        return self.connected and monotonic() - self.connected_at >= _STEADY

    def _reconnected(self, seconds: float) -> events.Reconnected:
        return events.Reconnected(str(self.broker), seconds)

    def _forget(self) -> None:
        self.arrived.clear()
        self.blocked, self._queue, self._last_tag, self._taken = False, None, None, 0
