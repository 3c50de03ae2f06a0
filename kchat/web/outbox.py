"""What was sent of late, by guest and id: so that a page that has not heard whether its message arrived may ask again.

The same id within ten minutes is the same message. It is sent once; whoever asks again gets the first one's answer, and
waits for it where the first one is still under way. Where nobody can know whether the broker has it, the same message is
sent again, by its id the same for all who receive it. One that certainly was not sent is forgotten.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from kchat import errors

if TYPE_CHECKING:
    from kchat.client.in_flight import Receipt
    from kchat.message import Message

KEPT = 600.0
"""Seconds for which an id is remembered."""

MOST, MOST_OF_GUEST = 100_000, 2_000
"""Messages that are remembered, of all guests and of one."""

WAITING = 20
"""Requests of one guest that wait for the broker at the same time."""

UNSURE = (errors.NotConfirmed, errors.Blocked)
"""After these a message may or may not have been delivered."""


class OtherText(Exception):
    """Another message of the same guest had this id."""


class TooManyWaiting(Exception):
    """The guest has more requests waiting than it may."""


class _Entry:
    __slots__ = ("at", "message", "room", "sending", "unsure")

    def __init__(self, room: str, message: Message, at: float) -> None:
        self.room = room
        self.message = message
        self.at = at
        self.sending: asyncio.Future[Receipt] | None = None
        self.unsure = False


class Outbox:
    """For the thread of the event loop.

    Arguments:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._of_guest: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def knows(self, guest: str, message_id: str) -> bool:
        """Whether a message of this id was sent or may have been, so that asking again sends no other one."""
        self._forget_old()
        return (guest, message_id) in self._entries

    async def send(
        self, guest: str, room: str, message: Message, start: Callable[[Message], asyncio.Future[Receipt]]
    ) -> Receipt:
        """Send a message, unless that was done.

        Arguments:
            guest: whose it is.
            room: where to.
            message: the message, with its id.
            start: hands a message to a lane. It is called before anything is waited for.

        Returns:
            The receipt: of the message that was sent, which has the time of the first one.

        Raises:
            OtherText: the id was another message's, or another room's.
            TooManyWaiting: the guest has 20 requests waiting.
            kchat.errors.KchatError: what the future gets.
        """
        self._forget_old()
        assert message.id is not None
        key = guest, message.id
        entry = self._entries.get(key)
        if entry is not None and (entry.room, entry.message.text) != (room, message.text):
            raise OtherText
        settled = entry is not None and entry.sending is not None and entry.sending.done()
        if self._waiting[guest] >= WAITING and not settled:
            raise TooManyWaiting
        if entry is None:
            entry = _Entry(room, message, self._clock())
            self._add(key, entry)
        if entry.sending is None:
            entry.sending = start(entry.message)
            entry.sending.add_done_callback(lambda done: self._settled(key, entry, done))
        sending = entry.sending
        self._waiting[guest] += 1
        try:
            return await asyncio.shield(sending)  # it goes on though this request may end
        finally:
            self._waiting -= Counter([guest])

    def _add(self, key: tuple[str, str], entry: _Entry) -> None:
        self._entries[key] = entry
        self._of_guest[key[0]] += 1
        if self._of_guest[key[0]] > MOST_OF_GUEST:
            self._remove(next(each for each in self._entries if each[0] == key[0]))
        elif len(self._entries) > MOST:
            self._remove(next(iter(self._entries)))

    def _remove(self, key: tuple[str, str]) -> None:
        if self._entries.pop(key, None) is not None:
            self._of_guest -= Counter([key[0]])

    def _forget_old(self) -> None:
        now = self._clock()
        while self._entries and now - next(iter(self._entries.values())).at > KEPT:
            self._remove(next(iter(self._entries)))

    def _settled(self, key: tuple[str, str], entry: _Entry, done: asyncio.Future[Receipt]) -> None:
        if done.cancelled():
            self._remove(key)
        elif (error := done.exception()) is not None:
            if isinstance(error, UNSURE) or entry.unsure:
                entry.unsure, entry.sending = True, None
            elif self._entries.get(key) is entry:
                self._remove(key)
