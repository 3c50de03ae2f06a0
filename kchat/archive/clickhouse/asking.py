"""The facts of a span, by SQL: :func:`facts`."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from kchat.archive.clickhouse.between import Between
from kchat.archive.clickhouse.rollup import doubtful
from kchat.archive.clickhouse.schema import MINUTES
from kchat.archive.clickhouse.source import Source
from kchat.archive.clickhouse.writing import text
from kchat.archive.facts import Facts, Name, Person, most_mentions
from kchat.archive.span import DAY, HOUR, QUARTER, Span, Zone

if TYPE_CHECKING:
    from kchat.archive.clickhouse.connection import Connection

_EPOCH = date(1970, 1, 1).toordinal()


def facts(connection: Connection, span: Span, zone: Zone) -> Facts:
    """What the figures are made of: see :class:`kchat.archive.store.Store`."""
    between = Between(connection, span)
    if between.first is None or between.last is None:
        return Facts()
    source = Source(span, doubtful(connection))
    found = Facts(
        rooms=between.rooms,
        first=between.first,
        last=between.last,
        gaps=between.gaps,
        replies=between.replies,
        conversations=between.starts.total(),
    )
    _people(connection, source, _day(zone, between.first, between.last), found)
    for name, starts in between.starts.items():
        found.people.setdefault(name, Person()).starts = starts
    _firsts(connection, source, span, found)
    _minutes(connection, source, found)
    _mentions(connection, source, found)
    return found


def _people(connection: Connection, source: Source, day: str, found: Facts) -> None:
    sql = f"""
        SELECT
            nameless, name, {day} AS day,
            sum(messages), sum(verified_messages), sum(characters), sum(other_messages), min(quarter)
        FROM {source.sql} WHERE mentioned = '' GROUP BY nameless, name, day
    """
    stream = connection.stream(sql)
    try:
        for nameless, raw, on, messages, verified, characters, others, quarter in stream:
            name = _name(nameless, raw)
            person = found.people.setdefault(name, Person())
            person.messages += messages
            person.verified += verified
            person.characters += characters
            person.others += others
            found.active.add((date.fromordinal(_EPOCH + on), name))
            found.firsts[name] = min(quarter * QUARTER, found.firsts.get(name, quarter * QUARTER))
    finally:
        stream.close()


def _firsts(connection: Connection, source: Source, span: Span, found: Facts) -> None:
    if span.since is None:
        return
    sql = f"SELECT nameless, name, min(quarter) FROM {source.before().sql} WHERE mentioned = '' GROUP BY nameless, name"
    for nameless, raw, quarter in connection.rows(sql):
        name = _name(nameless, raw)
        if name in found.people:
            found.firsts[name] = quarter * QUARTER


def _minutes(connection: Connection, source: Source, found: Facts) -> None:
    sums = ", ".join(f"sum({minute})" for minute in MINUTES)
    sql = f"SELECT quarter, {sums} FROM {source.sql} WHERE mentioned = '' GROUP BY quarter"
    for quarter, *minutes in connection.rows(sql):
        at = quarter * QUARTER
        hour = found.minutes.setdefault(at - at % HOUR, [0] * 60)
        first = at % HOUR // 60_000
        hour[first : first + 15] = minutes


def _mentions(connection: Connection, source: Source, found: Facts) -> None:
    sql = f"""
        SELECT nameless, name, mentioned, sum(times) AS many FROM {source.sql}
        WHERE mentioned != '' GROUP BY nameless, name, mentioned ORDER BY many DESC, nameless, name
    """
    stream = connection.stream(sql)
    try:
        rows = ((_name(nameless, raw), text(mentioned), many) for nameless, raw, mentioned, many in stream)
        found.mentions = most_mentions(rows, found.people)
    finally:
        stream.close()


def _name(nameless: int, name: str | bytes) -> Name:
    return None if nameless else text(name)


def _day(zone: Zone, first: int, last: int) -> str:
    """The number of the day, since 1970, of a quarter, as the zone's clocks have it."""
    stretches = zone.stretches(first - first % QUARTER, last - last % QUARTER + QUARTER)
    offsets = [f"quarter < {stretch.until // QUARTER}, {stretch.offset}" for stretch in stretches[:-1]]
    final = stretches[-1].offset
    offset = f"multiIf({', '.join(offsets)}, {final})" if offsets else str(final)
    return f"toInt32(floor((toInt64(quarter) * {QUARTER} + {offset}) / {DAY}))"
