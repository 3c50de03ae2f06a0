"""Where the figures of a span come from: :class:`Source`, the rollup for whole quarters, and the messages for the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from kchat.archive.clickhouse.rollup import bounds, rooms_are
from kchat.archive.clickhouse.schema import KEY, MESSAGES, QUARTERS, ROLLUP, SUMS
from kchat.archive.span import QUARTER, Span

if TYPE_CHECKING:
    from kchat.archive.clickhouse.connection import Connection

_COLUMNS = ", ".join((*KEY, *SUMS))


class Source:
    """The rows of the rollup as they would be if there were messages of the span alone.

    Arguments:
        span: of the messages.
        doubtful: months that the rollup cannot be asked about.
    """

    def __init__(self, span: Span, doubtful: Collection[int] = ()) -> None:
        self._span = span
        self._doubtful = [bounds(month) for month in sorted(doubtful)]

    @property
    def sql(self) -> str:
        """A subquery, in parentheses."""
        rolled = f"SELECT {_COLUMNS} FROM {QUARTERS} WHERE {self._rolled()}{rooms_are(self._span.rooms)}"
        ranges = self._edges() + self._doubtful
        if not ranges:
            return f"({rolled})"
        some = " OR ".join(f"(at >= {first} AND at < {end})" for first, end in ranges)
        where = f"WHERE {messages_of(self._span)} AND ({some})"
        return f"({rolled} UNION ALL SELECT {_COLUMNS} FROM ({ROLLUP.format(where=where)}))"

    def before(self) -> Source:
        """The same with all that was before the span."""
        source = Source(self._span._replace(since=None))
        source._doubtful = self._doubtful
        return source

    def _rolled(self) -> str:
        _, since, until = self._span
        conditions = [f"quarter >= {-(-since // QUARTER)}"] if since is not None else []
        if until is not None:
            conditions.append(f"quarter < {until // QUARTER}")
        for first, end in self._doubtful:
            conditions.append(f"NOT (quarter >= {first // QUARTER} AND quarter < {end // QUARTER})")
        return " AND ".join(conditions) or "1"

    def _edges(self) -> list[tuple[int, int]]:
        """The parts of quarters that the span begins and ends with."""
        found = []
        for moment in (self._span.since, self._span.until):
            if moment is not None and moment % QUARTER:
                first = moment - moment % QUARTER
                found.append((first, first + QUARTER))
        return found


def messages_of(span: Span) -> str:
    """The condition that messages are in a span."""
    conditions = [f"at >= {span.since}"] if span.since is not None else []
    if span.until is not None:
        conditions.append(f"at < {span.until}")
    return (" AND ".join(conditions) or "1") + rooms_are(span.rooms)


def from_messages(span: Span) -> str:
    """``FROM`` and ``WHERE`` for the messages of a span."""
    return f"FROM {MESSAGES} WHERE {messages_of(span)}"


def parts(connection: Connection, span: Span, unit: int, most: int) -> Iterator[Span]:
    """The span in pieces, so that one after the other can be looked at.

    Arguments:
        connection: to the archive's database.
        span: of the messages.
        unit: milliseconds at a multiple of which a piece ends.
        most: number of messages in a piece, but for one of a single unit.
    """
    sql = f"SELECT intDiv(at, {unit}) AS place, count() {from_messages(span)} GROUP BY place ORDER BY place"
    since, many = span.since, 0
    for place, messages in connection.rows(sql):
        if many and many + messages > most:
            yield span._replace(since=since, until=place * unit)
            since, many = place * unit, 0
        many += messages
    if many:
        yield span._replace(since=since)
