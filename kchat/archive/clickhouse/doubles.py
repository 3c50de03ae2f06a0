"""Messages that two archivers have written at the same moment: :class:`Doubles`.

Each looks for what is there before it writes, where it has reason to, and sees nothing of what the other one is about to
write: two that read the same room by queues of their own, or two imports of one file. Of two inserts, the one that ends
later sees both, when it looks afterwards at the time that its messages are of. In order of the table's key that is a small
part of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from kchat.archive.clickhouse.connection import Connection, literals
from kchat.archive.clickhouse.deleting import change
from kchat.archive.clickhouse.rollup import mend
from kchat.archive.clickhouse.schema import MESSAGES, MONTH, is_distributed
from kchat.archive.span import DAY
from kchat.errors import ArchiveError

if TYPE_CHECKING:
    from kchat.archive.record import Record

_PAUSE = 600.0
"""Seconds between two repairs at the least: each writes the month anew."""

_EDGE = 20
"""One part in this many, at each end of a batch's times, may be far from the others: senders choose their times."""


_SKEW = 60_000
"""Milliseconds by which the archivers' clocks may differ: a message's time is at most that at which it was received."""

_MOST = 2_000
"""Messages that one deletion names: a statement has up to 256 KiB."""


class Doubles:
    """Finds them after each insert, and has the server keep one of each.

    The first ones go at once, later ones together: until then, figures count them twice.

    Arguments:
        connection: to the archive's database. What two servers have of a ``Distributed`` table, neither can see.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._months: dict[int, tuple[int, int]] = {}  # and between which times, at most
        self._due = 0.0
        self._looks = not is_distributed(connection)
        if self._looks:
            self._look(f"at >= {time.time_ns() // 1_000_000 - DAY}")  # left by one that was killed

    def look(self, written: Sequence[Record]) -> None:
        """Look after an insert."""
        if not self._looks or not written:
            return
        times = sorted(record.at for record in written)
        edge = len(times) // _EDGE
        rooms = literals({record.room for record in written})
        self._look(f"room IN {rooms} AND at >= {times[edge]} AND at <= {times[-1 - edge]}")

    def close(self) -> None:
        """Repair what is left."""
        with suppress(ArchiveError):
            self._repair()

    def _look(self, where: str) -> None:
        """Find the months of doubles; repair them if that is due. What fails is done the next time: nothing is missing."""
        sql = f"""
            SELECT {MONTH} AS month, count(), uniqExact(hash), min(at), max(at)
            FROM {MESSAGES} WHERE {where} GROUP BY month
        """
        with suppress(ArchiveError):
            for month, many, different, first, last in self._connection.rows(sql):
                if many > different:
                    before = self._months.get(month, (first, last))
                    self._months[month] = min(first, before[0]), max(last, before[1])
            if time.monotonic() >= self._due:
                self._repair()

    def _repair(self) -> None:
        if not self._months:
            return
        self._due = time.monotonic() + _PAUSE
        for month, (first, last) in sorted(self._months.items()):
            # The parts of the month become one, in which ReplacingMergeTree keeps one row of each room, time and key.
            self._connection.rows(f"OPTIMIZE TABLE {MESSAGES} PARTITION {month} FINAL")
            self._delete_later_ones(f"at >= {first - _SKEW} AND at <= {last + _SKEW}")
        mend(self._connection)
        self._months.clear()

    def _delete_later_ones(self, where: str) -> None:
        """Delete what has another time: the sender's clock was ahead of one of the archivers'."""
        sql = f"""
            SELECT hash, min(at) AS first FROM {MESSAGES} WHERE {where} GROUP BY hash HAVING max(at) > first LIMIT {_MOST}
        """
        while found := self._connection.rows(sql):
            hashes = literals(number for number, _ in found)
            first = ", ".join(f"({number}, {at})" for number, at in found)
            change(
                self._connection,
                MESSAGES,
                f"DELETE WHERE {where} AND hash IN {hashes} AND (hash, at) NOT IN ({first})",
            )
