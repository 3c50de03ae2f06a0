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


class Doubles:
    """Finds them after each insert, and has the server keep one of each.

    The first ones go at once, later ones together: until then, figures count them twice.

    Arguments:
        connection: to the archive's database. What two servers have of a ``Distributed`` table, neither can see.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._months: set[int] = set()
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
        sql = (
            f"SELECT {MONTH} AS month, count(), uniqExact(hash) FROM {MESSAGES} WHERE {where} GROUP BY month"
        )
        with suppress(ArchiveError):
            found = self._connection.rows(sql)
            self._months |= {month for month, many, different in found if many > different}
            if time.monotonic() >= self._due:
                self._repair()

    def _repair(self) -> None:
        """Have the server merge the parts of a month into one, by which ReplacingMergeTree keeps one row of each key."""
        if not self._months:
            return
        self._due = time.monotonic() + _PAUSE
        for month in sorted(self._months):
            self._connection.rows(f"OPTIMIZE TABLE {MESSAGES} PARTITION {month} FINAL")
        mend(self._connection)
        self._months.clear()
