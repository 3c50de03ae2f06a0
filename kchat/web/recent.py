"""The last messages of a room in memory, with what was read of its history before them: what came after a position."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from kchat.web.past import MOST, Entry
from kchat.web.positions import EMPTY, Place, Positions

if TYPE_CHECKING:
    from kchat.web.options import Limits

OVERLAP = 60.0
"""Seconds by which messages are sent again where the last one that a page has is not found: clocks differ, and a page leaves
out what it has."""


_BEGINNING = 1_000_000_000
"""The number before the first message of a room: those that are read from the history later count down from it."""


class Backlog(NamedTuple):
    """What a page begins with.

    Attributes:
        entries: oldest first.
        place: before the first of them; None where the page was at none.
        missed: how many messages are missing before them; -1 where some may be, and nobody can know how many.
    """

    entries: Sequence[Entry]
    place: Place | None
    missed: int = 0


class Recent:
    """See above. For one thread.

    Arguments:
        room: its name.
        positions: of all rooms of the server.
        limits: how much is kept.
    """

    def __init__(self, room: str, positions: Positions, limits: Limits) -> None:
        self._room = room
        self._positions = positions
        self._limits = limits
        self._entries: deque[Entry] = deque()
        self._past: deque[Entry] = deque()
        self._keeps_past = False
        self._size = 0
        self._number = _BEGINNING
        self._first = _BEGINNING  # no number up to this one was ever followed by what is in memory
        self._last_digest = EMPTY
        positions.last[room] = self.last

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last(self) -> Place:
        """The place at its end."""
        return Place(self._number, self._last_digest)

    def add(self, entry: Entry) -> Entry:
        """A message has arrived; returns it with its numbers."""
        self._number += 1
        if entry.message is not None:
            self._last_digest = entry.digest
        entry = entry._replace(number=self._number, order=self._positions.next(), digest=self._last_digest)
        self._positions.last[self._room] = self.last
        self._entries.append(entry)
        self._size += len(entry.end)
        while len(self._entries) > self._limits.kept or (
            self._size > self._limits.kept_bytes and len(self._entries) > 1
        ):
            self._prune()
        return entry

    def _prune(self) -> None:
        pruned = self._entries.popleft()
        self._size -= len(pruned.end)
        if self._keeps_past:
            self._past.append(pruned)
            while len(self._past) > MOST:
                self._past.popleft()

    def begin_again(self) -> None:
        """What arrives from now on is not what comes next: the room is read again from its history, or without one."""
        self._entries.clear()
        self._size = 0
        self.forget_past()
        self._number += 1  # a place at the end of what was before is not that before the first of what comes
        self._first = self._number
        self._last_digest = EMPTY
        self._positions.last[self._room] = self.last

    # ---- what was read of the history

    def set_past(self, read: Sequence[Entry]) -> bool:
        """Put what the history holds before what is in memory; returns whether it holds all of it up to there.

        Arguments:
            read: the newest of the history, oldest first.
        """
        older = read if not self._entries else self._before_memory(read)
        first = self._entries[0].number if self._entries else self._number + 1
        self._past = deque(
            each._replace(number=first - len(older) + index) for index, each in enumerate(older)
        )
        self._keeps_past = True
        return bool(older) or not self._entries

    def _before_memory(self, read: Sequence[Entry]) -> Sequence[Entry]:
        at = {each.digest: index for index, each in enumerate(read)}  # the last of those that are alike
        before = 0  # messages in memory before this one
        for entry in self._entries:
            if entry.message is None:
                continue
            if (index := at.get(entry.digest)) is not None:
                return read[: max(0, index - before)]
            before += 1
        return () if before else read

    def forget_past(self) -> None:
        """Nobody needs it any more."""
        self._past.clear()
        self._keeps_past = False

    @property
    def keeps_past(self) -> bool:
        """Whether what was read is kept."""
        return self._keeps_past

    @property
    def entries(self) -> list[Entry]:
        """All of it."""
        return [*self._past, *self._entries]

    # ---- what a page gets

    def holds(self, place: Place, *, ours: bool) -> bool:
        """Whether it knows what came after a place.

        Arguments:
            place: where a page is.
            ours: whether the place is of this run of the server.
        """
        return self.index(place, ours=ours) is not None

    def newest(self, count: int) -> Backlog:
        """The last messages: ``count`` of them."""
        found = [each for each in self._entries if each.message is not None]
        return Backlog(found[-count:] if count else [], None)

    def after(self, place: Place, milliseconds: int, *, ours: bool, whole: bool = False) -> Backlog:
        """What came after a place.

        Arguments:
            place: where a page is.
            milliseconds: when it was there, UNIX time: where the place is not found, what was sent a minute before that
                and later.
            ours: whether the place is of this run of the server.
            whole: whether the room has a history, and nothing older is in it.
        """
        entries = self.entries
        if (index := self._index(entries, place, ours=ours)) is not None:
            at = entries[index - 1] if index else None
            return Backlog(entries[index:], Place(place.number, place.digest) if at is None else _place(at))
        if ours and self._first <= place.number < self._number:
            found = [each for each in entries if each.number > place.number]
            missed = found[0].number - 1 - place.number if found else 0
            return Backlog(found, place, missed or -1)
        if place.digest == EMPTY:
            return Backlog(entries, place if ours else Place(0, EMPTY), 0 if whole else -1)
        since = milliseconds / 1000 - OVERLAP
        start = next((at for at, each in enumerate(entries) if (each.sent_at or 0.0) >= since), 0)
        return Backlog(entries[start:], place if ours else Place(0, place.digest), -1)

    def index(self, place: Place, *, ours: bool) -> int | None:
        """The index in :attr:`entries` of what comes next after a place; None where the place is not in it."""
        return self._index(self.entries, place, ours=ours)

    def index_of(self, message_id: str) -> int | None:
        """The index in :attr:`entries` of a message."""
        found = (at for at, each in enumerate(self.entries) if each.message and each.message.id == message_id)
        return next(found, None)

    def _index(self, entries: Sequence[Entry], place: Place, *, ours: bool) -> int | None:
        """The index of what comes next after a place; None where the place is not in it."""
        if ours and place.number == self._number:
            return len(entries)
        if (
            ours
            and self._entries
            and place.number >= self._entries[0].number - 1
            and place.number >= self._first
        ):
            return len(self._past) + place.number - self._entries[0].number + 1
        if place.digest == EMPTY:
            return None
        for index, each in enumerate(entries):  # of those that are alike, the first: rather twice than never
            if each.digest == place.digest and each.message is not None:
                return index + 1
        return None


def _place(entry: Entry) -> Place:
    return Place(entry.number, entry.digest)
