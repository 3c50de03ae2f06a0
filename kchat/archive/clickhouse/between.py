"""What is between one message and the next one of its room, by arrays: :class:`Between`.

Window functions are missing in old versions, and ``runningDifference`` and ``neighbor`` are refused by new ones. So the
server puts the messages of a room, some hundred thousand at a time, into arrays, in order, and takes each array together
with itself shifted by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kchat.archive.clickhouse.source import from_messages, parts
from kchat.archive.clickhouse.writing import text
from kchat.archive.facts import PAUSE, Name, follows
from kchat.archive.span import DAY, Span
from kchat.archive.spread import Spread

if TYPE_CHECKING:
    from kchat.archive.clickhouse.connection import Connection, Row

AT_ONCE = 300_000
"""Messages that one statement puts into arrays, unless one day has more: some 50 MB in the server."""

# No name is '', and a name @ and the name. A step is that of spread.py: roundToExp2 gives the power of two of the highest
# bit, and the logarithm of a power of two is a whole number.
_WHO = "if(isNull(username), '', concat('@', ifNull(username, '')))"
_STEP = """
    (toInt64(round(log2(roundToExp2(greatest(g, 32))))) - 5) * 32 + intDiv(g * 32, roundToExp2(greatest(g, 32)))
"""

_ASK = f"""
SELECT
    room, n, first_at, first_who, last_at, last_who,
    arraySum(gaps) AS gaps_total,
    arrayReduce('max', gaps) AS gaps_longest,
    ends[indexOf(gaps, gaps_longest)] AS gaps_longest_at,
    arrayFilter((x, y) -> x != y, gap_steps, gap_steps_before) AS gap_values,
    arrayFilter((i, x, y) -> x != y, arrayEnumerate(gap_steps), gap_steps, gap_steps_before) AS gap_places,
    length(replies) AS replies_count,
    arraySum(replies) AS replies_total,
    arrayReduce('max', replies) AS replies_longest,
    reply_ends[indexOf(replies, replies_longest)] AS replies_longest_at,
    arrayFilter((x, y) -> x != y, reply_steps, reply_steps_before) AS reply_values,
    arrayFilter((i, x, y) -> x != y, arrayEnumerate(reply_steps), reply_steps, reply_steps_before) AS reply_places,
    starters
FROM (
    SELECT
        room, n, first_at, first_who, last_at, last_who, gaps, ends, starters, replies, reply_ends,
        arraySort(arrayMap(g -> {_STEP}, gaps)) AS gap_steps,
        arrayPopBack(arrayPushFront(gap_steps, toInt64(-1))) AS gap_steps_before,
        arraySort(arrayMap(g -> {_STEP}, replies)) AS reply_steps,
        arrayPopBack(arrayPushFront(reply_steps, toInt64(-1))) AS reply_steps_before
    FROM (
        SELECT
            room, n, first_at, first_who, last_at, last_who, gaps, ends,
            arrayFilter((w, g) -> g >= {PAUSE}, whos_after, gaps) AS starters,
            arrayFilter((g, a, b) -> g < {PAUSE} AND a != b, gaps, whos_before, whos_after) AS replies,
            arrayFilter((e, g, a, b) -> g < {PAUSE} AND a != b, ends, gaps, whos_before, whos_after) AS reply_ends
        FROM (
            SELECT
                room,
                length(ats) AS n,
                ats[1] AS first_at,
                whos[1] AS first_who,
                ats[-1] AS last_at,
                whos[-1] AS last_who,
                arrayPopFront(ats) AS ends,
                arrayMap((a, b) -> b - a, arrayPopBack(ats), ends) AS gaps,
                arrayPopBack(whos) AS whos_before,
                arrayPopFront(whos) AS whos_after
            FROM (
                SELECT room, arrayMap(x -> x.1, ordered) AS ats, arrayMap(x -> x.3, ordered) AS whos
                FROM (
                    SELECT
                        room,
                        arraySort(groupArray((at, key, {_WHO}))) AS ordered
                    {{source}}
                    GROUP BY room
                )
            )
        )
    )
)
"""


class Between:
    """Gaps, replies and conversations of a span.

    Attributes:
        rooms: that have messages, by name.
        first: the time of the first message; None where there is none.
        last: of the last one.
        gaps: see :class:`kchat.archive.facts.Facts`.
        replies: likewise.
        starts: conversations that somebody began.
    """

    def __init__(self, connection: Connection, span: Span) -> None:
        self.gaps = Spread()
        self.replies = Spread()
        self.starts: Counter[Name] = Counter()
        self.first: int | None = None
        self.last: int | None = None
        self._ends: dict[str, tuple[int, Name]] = {}
        for part in parts(connection, span, DAY, AT_ONCE):
            for row in connection.rows(_ASK.format(source=from_messages(part))):
                self._add(row)
        self.rooms = sorted(self._ends)

    def _add(self, row: Row) -> None:
        room, n, first_at, first_who, last_at, last_who = row[:6]
        first = first_at, _name(first_who)
        before = self._ends.get(text(room))
        if before is None or follows(self.gaps, self.replies, before, first):
            self.starts[first[1]] += 1
        self._ends[text(room)] = last_at, _name(last_who)
        self.gaps.include(_spread(n - 1, *row[6:11]))
        self.replies.include(_spread(*row[11:17]))
        self.starts.update(map(_name, row[17]))
        self.first = first_at if self.first is None else min(self.first, first_at)
        self.last = last_at if self.last is None else max(self.last, last_at)


def _spread(
    count: int, total: int, longest: int, longest_at: int, values: Sequence[int], places: Sequence[int]
) -> Spread:
    """Of a room's times: each step's number, and the place of its first time when they are in order."""
    if not count:
        return Spread()
    ends = [*places[1:], count + 1]
    steps = {value: end - place for value, place, end in zip(values, places, ends, strict=True)}
    return Spread(count, total, longest, longest_at, steps)


def _name(who: str | bytes) -> Name:
    return text(who)[1:] if who else None
