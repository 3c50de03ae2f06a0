"""Sending for guests: one connection for each account in use, and each guest's messages one after the other."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from kchat.client.background import Worker
from kchat.client.sender import Sender

if TYPE_CHECKING:
    from kchat.client.in_flight import Receipt
    from kchat.config.settings import Settings
    from kchat.message import Message

IDLE = 300.0
"""Seconds without a message after which an account's connection is closed."""


class Lane:
    """The sending half of one guest in one room. Connects with the first message.

    Arguments:
        settings: the room, by the guest's account.
        username: the guest's.
    """

    def __init__(self, settings: Settings, username: str) -> None:
        self._sender = Sender(settings, username, reconnect_for=5.0, rejoin_for=0.0)
        self._worker = Worker("kchat send for a guest")
        self.used_at = monotonic()

    async def send(self, message: Message) -> Receipt:
        """Send a message after those before it.

        Raises:
            kchat.errors.SendError: see :meth:`kchat.client.sender.Sender.send`.
            kchat.errors.BrokerError: likewise.
        """
        self.used_at = monotonic()
        receipt: Receipt = await self._worker.submit(lambda: self._sender.send(message))
        self.used_at = monotonic()
        return receipt

    def close(self) -> None:
        """Close its connection, when what is being sent is confirmed; returns at once."""
        self._worker.start(self._sender.close)
        self._worker.end()


class Lanes:
    """The lanes in use. For the thread of the event loop."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str], Lane] = {}

    def of(self, guest: str, settings: Settings, username: str) -> Lane:
        """A guest's lane in a room."""
        key = guest, settings.room
        if key not in self._lanes:
            self._lanes[key] = Lane(settings, username)
        return self._lanes[key]

    def close_idle(self) -> None:
        """Close those that nobody has used for a while."""
        self._close(key for key, lane in tuple(self._lanes.items()) if monotonic() - lane.used_at > IDLE)

    def close_guest(self, guest: str) -> None:
        """Close a guest's."""
        self._close(key for key in tuple(self._lanes) if key[0] == guest)

    def close(self) -> None:
        """Close all."""
        self._close(tuple(self._lanes))

    def _close(self, keys: object) -> None:
        for key in list(keys):  # type: ignore[call-overload]
            self._lanes.pop(key).close()
