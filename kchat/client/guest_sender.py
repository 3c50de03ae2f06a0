"""Sending for others, as a server does for its guests: to several rooms, under several names, on one connection.

The same connection tells who is here. It consumes nothing, so a broker that stops reading from it, being short of memory,
keeps nobody from acknowledging (:mod:`kchat.client.presence`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from kchat import errors
from kchat.client.sender import Sender
from kchat.client.sender_connection import SenderConnection
from kchat.transports.protocols import FOR_GUESTS

if TYPE_CHECKING:
    from kchat.client.in_flight import Receipt
    from kchat.config.settings import Settings
    from kchat.message import Message
    from kchat.message.announcement import Announcement
    from kchat.transports import protocols
    from kchat.transports.presence import PresencePolicy

RECONNECT_FOR = 10.0
"""Seconds to keep trying after a connection that worked was lost: somebody waits in front of a page."""

_BLOCKED_FOR = 5.0
"""Seconds to wait while the broker refuses messages."""

_TICK = 0.5
"""Seconds between looks at the clock while a confirmation is waited for."""


class _GuestConnection(SenderConnection):
    purpose = FOR_GUESTS


class GuestSender(Sender):
    """Sends to the rooms of one broker by one account, one message after the other. Any thread may call anything.

    Arguments:
        settings: one of the rooms, with the account.
        reconnect_for: as of :class:`~kchat.client.sender.Sender`, default 10.

    Attributes:
        ending: set it to have it give up what waits for a broker.
    """

    _connection_type = _GuestConnection

    def __init__(self, settings: Settings, *, reconnect_for: float = RECONNECT_FOR) -> None:
        super().__init__(
            replace(settings, confirm_timeout=min(settings.confirm_timeout, reconnect_for)),
            settings.username or "guest",
            reconnect_for=reconnect_for,
            rejoin_for=0.0,
            blocked_for=_BLOCKED_FOR,
        )
        self.ending = Event()
        stopping = self._connection.stopping
        self._connection.stopping = lambda: self.ending.is_set() or stopping()
        self._channel: protocols.Channel | None = None  # that announcements go through
        self._confirmed = 0  # announcements on it
        self._registered: dict[tuple[str, str], str] = {}
        self._registered_at = 0.0  # when the connection was made that they are known by

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection.connected

    def send_to(self, room: Settings, message: Message) -> Receipt:
        """Send one message to a room, and return when the broker has confirmed it.

        Arguments:
            room: the room; its brokers and account are those that the sender was made with.
            message: the message.

        Raises:
            kchat.errors.SendError: as :meth:`~kchat.client.sender.Sender.send`.
            kchat.errors.BrokerError: likewise.
        """
        with self._in_use:
            self._connection.switch(room, message.username or self.username)
            return self.send(message)

    # ---- who is here

    def announce(self, room: Settings, said: Announcement) -> None:
        """Announce somebody in a room whose broker does not know by itself who is there. Connects, if it has to.

        Arguments:
            room: the room.
            said: the announcement.

        Raises:
            kchat.errors.NotFound: nobody hears announcements there.
            kchat.errors.BrokerError: it is not allowed, or the broker cannot be reached.
        """
        policy = room.transport.presence(room.room)
        self._on_channel(lambda channel: self._announce(policy, channel, said))

    def register(self, room: Settings, username: str) -> None:
        """Have somebody count as here, where the broker knows by itself who is there, as long as the connection lives.

        To be called again from time to time: it does nothing unless there is a new connection since.

        Arguments:
            room: the room.
            username: the name that counts.

        Raises:
            kchat.errors.BrokerError: it is not allowed, or the broker cannot be reached.
        """
        policy = room.transport.presence(room.room)

        def act(channel: protocols.Channel) -> None:
            if self._registered_at != self._connection.connected_at:
                self._registered_at = self._connection.connected_at
                self._registered.clear()
            if (room.room, username) not in self._registered:
                self._registered[room.room, username] = policy.register(channel, username)

        self._on_channel(act)

    def unregister(self, room: Settings, username: str) -> None:
        """Take back :meth:`register`; nothing where the connection is gone. Raises as that."""
        policy = room.transport.presence(room.room)
        with self._in_use:
            registered = self._registered.pop((room.room, username), "")
            if registered and self.connected and self._registered_at == self._connection.connected_at:
                self._on_channel(lambda channel: policy.unregister(channel, registered))

    def _on_channel(self, act: Callable[[protocols.Channel], None]) -> None:
        connection = self._connection
        with self._in_use:
            self.open()
            try:
                with connection.errors:
                    act(connection.beside())
            except (errors.Closed, errors.Unreachable):
                connection.drop()
                raise
            except BaseException:
                connection.close_beside()
                raise

    def _announce(self, policy: PresencePolicy, channel: protocols.Channel, said: Announcement) -> None:
        """Publish, and wait for the confirmation: an error that came later would look like one of a message."""
        connection = self._connection
        confirms = hasattr(channel, "confirm_select")
        if channel is not self._channel:
            self._channel, self._confirmed = channel, 0
            if self.settings.transport.declares_in_process:
                policy.exchange(cast("Any", channel)).declare()
            if confirms:
                cast("protocols.Confirms", channel).confirm_select()
                channel.events["basic_ack"] = channel.events["basic_nack"] = {self._on_settled}
        policy.announce(channel, said.encode(), account=connection.account)
        if not confirms:
            return
        awaited, ends = self._confirmed + 1, monotonic() + self.settings.confirm_timeout
        while self._confirmed < awaited:
            connection.drain_any(_TICK)
            if monotonic() > ends or self.ending.is_set():
                raise errors.Closed(f"{connection.broker}: an announcement was not confirmed")

    def _on_settled(self, tag: int, multiple: bool) -> None:  # noqa: ARG002, FBT001 - py-amqp's signature
        self._confirmed = max(self._confirmed, tag)
