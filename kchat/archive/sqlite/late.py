"""Messages that come after later ones: :func:`include` puts them into an hour that is counted already.

Senders' clocks differ, and archivers share a subscription, so in a busy room some message of every batch is late. Counting
the hour anew would cost what is in it. A late message costs a look at its two neighbours: the time between them is taken out
of the gaps, and the two parts of it are put in.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from kchat.archive.facts import PAUSE, Hour, Name, Tally, hours_of
from kchat.archive.span import HOUR
from kchat.archive.spread import Spread, step
from kchat.archive.sqlite.messages import facts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.archive.record import Record

_NEIGHBOUR = """SELECT at, person.name, key FROM message JOIN person ON person.id = person
    WHERE room = :room AND {} ORDER BY at {}, key {} LIMIT 1"""
_BEFORE = _NEIGHBOUR.format("at >= :start AND (at, key) < (:at, :key)", "DESC", "DESC")
_AFTER = _NEIGHBOUR.format("at < :end AND (at, key) > (:at, :key)", "ASC", "ASC")

_Place = tuple[int, Name, str]
"""A message's time, username and key."""


def include(db: sqlite3.Connection, room: int, hour: Hour, records: Sequence[Record]) -> None:
    """Count new messages, which are in order and in the table already, in an hour that has others.

    Arguments:
        db: the connection, in a transaction.
        room: the id of the room.
        hour: the hour without them.
        records: the new ones.
    """
    assert hour.last is not None
    end = (hour.last[0], hour.last_key)
    behind = next((at for at, each in enumerate(records) if (each.at, each.key) > end), len(records))
    splice = _Splice(db, room, hour)
    before: _Place | None = None
    previous = ""
    for record in records[:behind]:
        hour.count(record)
        place = (record.at, record.username, record.key)
        left = splice.neighbour(_BEFORE, record)
        if left is None or left[2] != previous:
            before = left  # else the left one is new, too, and stands between the same two
        if left is None:
            hour.first = place[:2]
        else:
            splice.put_in(left, place)
        previous = record.key
        right = splice.neighbour(_AFTER, record)
        assert right is not None
        if not splice.is_new(right, records):
            splice.put_in(place, right)
            if before is not None:
                splice.take_out(before, right)
    settled = splice.settle()
    for record in records[behind:]:
        hour.add(record)
    if not settled:
        (whole,) = hours_of(facts_of(db, room, hour.start, hour.start + HOUR))
        hour.gaps, hour.replies = whole.gaps, whole.replies


class _Splice:
    """Changes the gaps of an hour in the middle."""

    def __init__(self, db: sqlite3.Connection, room: int, hour: Hour) -> None:
        self._db = db
        self._hour = hour
        self._where = {"room": room, "start": hour.start, "end": hour.start + HOUR}
        self._new: set[str] | None = None
        # Times that were put in, and whether the longest of all was taken out: of gaps, and of replies.
        self._put: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        self._stale = [False, False]

    def neighbour(self, sql: str, record: Record) -> _Place | None:
        """The message before or after one in its hour."""
        found: _Place | None = self._db.execute(
            sql, {**self._where, "at": record.at, "key": record.key}
        ).fetchone()
        return found

    def is_new(self, place: _Place, records: Sequence[Record]) -> bool:
        """Whether a message is one of the new ones."""
        if self._new is None:
            self._new = {record.key for record in records}
        return place[2] in self._new

    def put_in(self, left: _Place, right: _Place) -> None:
        """Count the time between two messages."""
        self._change(left, right, 1)

    def take_out(self, left: _Place, right: _Place) -> None:
        """Count it no longer."""
        self._change(left, right, -1)

    def _change(self, left: _Place, right: _Place, by: int) -> None:
        gap, at = right[0] - left[0], right[0]
        self._spread(0, gap, at, by)
        if gap >= PAUSE:
            self._hour.people.setdefault(right[1], Tally()).starts += by
        elif left[1] != right[1]:
            self._spread(1, gap, at, by)

    def _spread(self, which: int, gap: int, at: int, by: int) -> None:
        spread = self._spreads[which]
        if by > 0:
            spread.add(gap, at)
            self._put[which].append((gap, -at))
            return
        spread.count -= 1
        spread.total -= gap
        number = step(gap)
        spread.steps[number] -= 1
        if not spread.steps[number]:
            del spread.steps[number]
        # Within one millisecond the parts are as long as what is parted, and end as early.
        if gap and (gap, at) == (spread.longest, spread.longest_at):
            self._stale[which] = True

    @property
    def _spreads(self) -> tuple[Spread, Spread]:
        return self._hour.gaps, self._hour.replies

    def settle(self) -> bool:
        """Find the longest times again; returns whether that is possible from what is known.

        It is where all times of the highest step were put in just now.
        """
        for spread, put, stale in zip(self._spreads, self._put, self._stale, strict=True):
            if not stale:
                continue
            if not spread.steps:
                spread.longest = spread.longest_at = 0
                continue
            highest = max(spread.steps)
            mine = [each for each in put if step(each[0]) == highest]
            if len(mine) < spread.steps[highest]:
                return False
            spread.longest, negative = max(mine)
            spread.longest_at = -negative
        return True
