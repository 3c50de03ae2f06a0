"""Messages that two archivers have written at the same moment: :class:`Doubles`.

Each looks for what is there before it writes, where it has reason to, and sees nothing of what the other one is about to
write: two that read the same room by queues of their own, or two imports of one file. Of two inserts, the one that ends
later sees both, when it looks afterwards at the time that its messages are of. In order of the table's key that is a small
part of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from kchat.archive.clickhouse.connection import Connection, literals
from kchat.archive.clickhouse.deleting import change
from kchat.archive.clickhouse.rollup import mend
from kchat.archive.clickhouse.schema import MESSAGES, MONTH, is_distributed
from kchat.archive.span import DAY
from kchat.errors import ArchiveError

_APART = 1.0
"""Seconds between two looks at the least: where batches come faster, one look is for all of them."""

_SHARE = 10
"""One part in this many of the time goes to looks, at the most."""

_FAILED = 30.0
"""Seconds after a look that failed until the next one."""

_MOST_RANGES = 100
"""Ranges of times that wait for a look: what comes then has it at once."""

_PAUSE = 600.0
"""Seconds between two repairs at the least: each writes the month anew."""

_EDGE = 20
"""One part in this many, at each end of a batch's times, may be far from the others: senders choose their times."""


_SKEW = 60_000
"""Milliseconds by which the archivers' clocks may differ: a message's time is at most that at which it was received."""

_MOST = 2_000
"""Messages that one deletion names: a statement has up to 256 KiB."""


class Doubles:
    """Finds them after inserts, and has the server keep one of each.

    The first ones go at once, later ones together: until then, figures count them twice.

    Arguments:
        connection: to the archive's database. What two servers have of a ``Distributed`` table, neither can see.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._months: dict[int, tuple[int, int]] = {}  # and between which times, at most
        self._repair_due = 0.0
        self._rooms: set[str] = set()
        self._ranges: list[tuple[int, int]] = []
        self._look_due = 0.0
        self._failed = False
        self._looks = not is_distributed(connection)
        if self._looks:  # one that was killed has left some, and came no more to looking
            self._look(f"received_at >= {time.time_ns() // 1_000_000 - DAY}")
            self._repair_if_due()

    def look(self, rooms: Iterable[str], times: Sequence[int]) -> None:
        """Look after an insert, or after the next ones too, where they come one upon the other.

        Arguments:
            rooms: of the messages inserted.
            times: theirs, as many as there are messages.
        """
        if not self._looks or not times:
            return
        ordered = sorted(times)
        edge = len(ordered) // _EDGE
        self._rooms.update(rooms)
        self._ranges.append((ordered[edge], ordered[-1 - edge]))
        many = len(self._ranges) >= _MOST_RANGES and not self._failed
        if many or time.monotonic() >= self._look_due:
            self._look_now()

    def rest(self) -> None:
        """Look at what was put off, and repair, if that is due. Costs nothing where there is nothing."""
        if self._ranges and time.monotonic() >= self._look_due:
            self._look_now()
        else:
            self._repair_if_due()

    def close(self) -> None:
        """Look and repair what is left."""
        if self._ranges:
            self._look_now()
        with suppress(ArchiveError):
            self._repair()

    def _look_now(self) -> None:
        begin = time.monotonic()
        times = " OR ".join(f"(at >= {first} AND at <= {last})" for first, last in merged(self._ranges))
        self._failed = not self._look(f"room IN {literals(self._rooms)} AND ({times})")
        end = time.monotonic()
        if self._failed:
            self._ranges = _joined(self._ranges)
            self._look_due = end + _FAILED
        else:
            self._ranges.clear()
            self._rooms.clear()
            self._look_due = end + max(_APART, (end - begin) * (_SHARE - 1))
        self._repair_if_due()

    def _look(self, where: str) -> bool:
        """Find the months of doubles. What fails is done another time: nothing is missing."""
        sql = f"""
            SELECT {MONTH} AS month, count(), uniqExact(hash), min(at), max(at)
            FROM {MESSAGES} WHERE {where} GROUP BY month
        """
        try:
            found = self._connection.rows(sql)
        except ArchiveError:
            return False
        for month, many, different, first, last in found:
            if many > different:
                before = self._months.get(month, (first, last))
                self._months[month] = min(first, before[0]), max(last, before[1])
        return True

    def _repair_if_due(self) -> None:
        if self._months and time.monotonic() >= self._repair_due:
            with suppress(ArchiveError):
                self._repair()

    def _repair(self) -> None:
        if not self._months:
            return
        self._repair_due = time.monotonic() + _PAUSE
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


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges, those next to each other joined until few enough are left: a statement has to end somewhere."""
    found = merged(ranges)
    while len(found) > _MOST_RANGES:
        found = [(found[at][0], found[min(at + 1, len(found) - 1)][1]) for at in range(0, len(found), 2)]
    return found


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges, both ends of them included, in order and without those that another one has or touches."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found
