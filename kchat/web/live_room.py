"""A room as it is served: one subscriber for all who have it open, and its last messages for those who come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from kchat import errors, events
from kchat.web.frames import frame, tail, with_id
from kchat.web.past import MOST, Encoder, Entry, Read, read_history
from kchat.web.positions import EMPTY
from kchat.web.receiving import Receiver
from kchat.web.recent import Backlog, Recent

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.web.options import Limits
    from kchat.web.positions import Place, Position, Positions
    from kchat.web.stream import Stream

_LOAD_SECONDS = 10.0
"""For which a page that comes while the room's history is read waits for it."""

_PAST_SECONDS = 60.0
"""For which what was read of a history is kept for others who come back, or for the next page up."""


class LiveRoom:
    """One room. For the thread of the event loop.

    Arguments:
        settings: the room and its brokers, by the host's account.
        username: the host's.
        positions: of all rooms of the server.
        limits: how much is kept.
        wait: as of :class:`~kchat.client.subscriber.Subscriber`.
    """

    def __init__(
        self, settings: Settings, username: str, positions: Positions, limits: Limits, *, wait: bool = False
    ) -> None:
        self.settings = settings
        self.name = settings.room
        self.connected = False
        self.problem: errors.KchatError | None = None
        """Why it cannot be read; it is tried again."""
        self.has_history = False
        """Whether the room itself keeps messages."""
        self._username = username
        self._positions = positions
        self._limits = limits
        self._recent = Recent(self.name, positions, limits)
        self._whole = False  # whether the history holds nothing that is older
        self._before: Place | None = None  # where streams were when the room could not be read any more
        self._loaded = asyncio.Event()
        self._groups: dict[tuple[str, ...], set[Stream]] = {}
        self._reading = asyncio.Lock()
        self._past_used = 0.0
        self._left = Event()
        self._receiver = Receiver(settings, username, limits.kept, self._encoder, self, wait=wait)

    def _encoder(self) -> Encoder:
        return Encoder(self.name, mark_unverified=self.settings.transport.verifies_accounts)

    async def open(self) -> None:
        """Join.

        Raises:
            kchat.errors.BrokerError: it cannot be reached.
        """
        await self._receiver.open()

    async def close(self) -> None:
        """Leave."""
        self._left.set()
        await self._receiver.close()

    # ---- those who have it open

    def attach(self, stream: Stream, rooms: tuple[str, ...]) -> None:
        """Send a stream, which has these rooms open, what arrives from now on."""
        self._groups.setdefault(rooms, set()).add(stream)

    def detach(self, stream: Stream) -> None:
        """Not any more."""
        for rooms, streams in tuple(self._groups.items()):
            streams.discard(stream)
            if not streams:
                del self._groups[rooms]

    def tell(self, event: str, value: dict[str, object]) -> None:
        """Tell all who have it open something about the room."""
        data = frame(event, {"room": self.name, **value})
        for streams in tuple(self._groups.values()):
            for stream in tuple(streams):
                stream.push(data)

    async def prepare(self, position: Position | None) -> None:
        """Read what :meth:`backlog` needs of the history, where memory does not hold it."""
        if not self._loaded.is_set():
            try:
                await asyncio.wait_for(self._loaded.wait(), _LOAD_SECONDS)
            except TimeoutError:
                return
        if position is None or (place := position.of(self.name)) is None:
            return
        if place.digest == EMPTY:
            if not position.is_ours:
                await self._reach(lambda: False, self._limits.kept)
        else:
            await self._reach(lambda: self._recent.holds(place, ours=position.is_ours), self._away(place))

    def _away(self, place: Place) -> int:
        return 2 * max(self._recent.last.number - place.number if place.number else 0, self._limits.kept)

    def backlog(self, position: Position | None, count: int, since: float) -> Backlog:
        """What a page begins with.

        Arguments:
            position: where it was.
            count: maximum number of messages, where it was nowhere.
            since: where the room keeps none itself, only what arrived since then (UNIX seconds).
        """
        place = None if position is None else position.of(self.name)
        if position is None or place is None:
            return self._since(self._recent.newest(self._limits.kept), since, count)
        found = self._recent.after(
            place, position.milliseconds, ours=position.is_ours, whole=self.has_history and self._whole
        )
        return found if position.is_ours else self._since(found, since)

    def _since(self, found: Backlog, since: float, count: int | None = None) -> Backlog:
        entries = found.entries
        if not self.has_history:
            entries = [each for each in entries if each.arrived >= since]
        if count is not None:
            entries = entries[-count:] if count else []
        return found._replace(entries=entries)

    async def page(
        self, count: int, before: str, position: Position | None, since: float
    ) -> tuple[list[Entry], bool]:
        """Some messages before one, oldest first; and whether there may be older ones.

        Arguments:
            count: maximum number of them.
            before: the id of a message; empty for the newest ones.
            position: ... or where it is, as of :attr:`Place`: the message is the one that it names.
            since: as of :meth:`backlog`.
        """
        await self.prepare(None)
        place = None if position is None else position.of(self.name)

        def index() -> int | None:
            if not before:
                return len(self._recent.entries)
            if place is not None and position is not None:
                found = self._recent.index(place, ours=position.is_ours)
                return None if found is None else found - 1
            return self._recent.index_of(before)

        await self._reach(lambda: (found := index()) is not None and found >= count, count)
        end = index()
        entries = self._recent.entries[: 0 if end is None else end]
        if not self.has_history:
            entries = [each for each in entries if each.arrived >= since]
        messages = [each for each in entries if each.message is not None]
        more = len(messages) > count or (self.has_history and not self._whole and end is not None)
        return (messages[-count:] if count else []), more

    # ---- its history

    async def _reach(self, enough: Callable[[], bool], number: int) -> None:
        """Read the history, until there is enough of it, or no more: one at a time, for all who want some of it."""
        if not self.has_history or enough():
            return
        async with self._reading:
            self._past_used = monotonic()
            loop = asyncio.get_running_loop()
            number = max(number, 2 * len(self._recent.entries))
            while not (enough() or self._whole or self._left.is_set()):
                number = min(number, MOST)
                job = partial(
                    read_history, self.settings, self._username, number, self._encoder(), self._left.is_set
                )
                try:
                    read: Read = await loop.run_in_executor(None, job)
                except errors.KchatError:
                    return  # the subscriber tells what is wrong
                self._recent.set_past(read.entries)
                self._whole = not read.more
                loop.call_later(_PAST_SECONDS, self._forget_past)
                if number == MOST:
                    return
                number *= 4

    def _forget_past(self) -> None:
        if monotonic() - self._past_used >= _PAST_SECONDS * 0.9 and self._recent.keeps_past:
            self._recent.forget_past()
            self._whole = False

    # ---- what the receiver tells, in the thread of the event loop

    def joined(self, *, has_history: bool) -> None:
        """It has joined: what comes is its history, until :meth:`loaded`."""
        self.connected, self.problem, self.has_history = True, None, has_history
        self._whole = False

    def loaded(self, messages: int) -> None:
        """The history was read: this number of messages."""
        self._whole = self.has_history and messages < self._limits.kept
        self._loaded.set()
        if self._before is None:
            return
        place, self._before = self._before, None
        found = self._recent.after(place, 0, ours=False, whole=self._whole)
        if found.missed:
            self._mark("messages may be missing here", None)
        for each in found.entries:
            self._send(each)
        self.tell("connection", {"connected": True, "text": "the room can be read again"})

    def arrive(self, entries: list[Entry]) -> None:
        """Messages have come."""
        for entry in entries:
            added = self._recent.add(entry)
            if self._loaded.is_set():
                self._send(added)
        if len(self._recent) >= self._limits.kept and not self._recent.keeps_past:
            self._whole = False  # some may have left memory

    def _send(self, entry: Entry) -> None:
        for rooms, streams in self._groups.items():
            data = with_id(entry.event, self._positions.text(self._at(rooms)), entry.end)
            for stream in tuple(streams):
                stream.push(data)

    def _at(self, rooms: tuple[str, ...]) -> dict[str, Place]:
        return {room: self._positions.last[room] for room in rooms}

    def _mark(self, text: str, count: int | None) -> None:
        """Tell that some messages are missing here: those who are here, and those who come back later."""
        value = {"room": self.name, "text": text, **({} if count is None else {"count": count})}
        self.arrive([Entry(0, 0, "", None, tail(value), 0.0)])

    def failed(self, error: errors.KchatError) -> None:
        """It cannot be read any more; the receiver tries again."""
        if self._loaded.is_set():
            self._before = self._recent.last
            self._loaded.clear()
        self._recent.begin_again()
        self.connected, self.problem = False, error
        self.tell("connection", {"connected": False, "text": "the room cannot be read any more"})

    def happened(self, event: events.Event) -> None:
        """Something has happened to the connection."""
        match event:
            case events.Disconnected():
                self.connected = False
                text = "the server's connection to the broker is lost"
                self.tell("connection", {"connected": False, "text": text})
            case events.Reconnected():
                self.connected = True
                self.tell("connection", {"connected": True, "text": event.missed})
                if event.caught_up is None:
                    self._mark("messages may be missing here", None)
                elif event.missing:
                    self._mark("messages are missing here", event.missing if event.missing > 0 else None)
            case events.Dropped():
                self._mark("messages are missing here", event.count)
            case events.CaughtUp() if event.missing:
                self._mark("messages are missing here", event.missing if event.missing > 0 else None)
            case _:
                pass
