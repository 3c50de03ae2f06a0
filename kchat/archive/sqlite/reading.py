"""The facts of a span, from an archive's file: :func:`facts`.

Whole hours come from the rollups; of an hour that the span cuts, its messages are read. People are added up from days, and
from hours at the ends of a span. So the cost is that of hours and people, whatever number of messages there are.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from kchat.archive.facts import Facts, Hour, Name, Person, follows, hours_of, most_mentions
from kchat.archive.record import folded
from kchat.archive.span import DAY, HOUR, QUARTER, Span, Zone
from kchat.archive.sqlite import hours
from kchat.archive.sqlite.messages import facts_of
from kchat.archive.sqlite.names import ids
from kchat.archive.sqlite.schema import BLOCK

if TYPE_CHECKING:
    from kchat.archive.sqlite.names import Names

# ruff: noqa: S608 - put together from constants and numbers

_EPOCH = date(1970, 1, 1).toordinal()
_QUARTERS = DAY // QUARTER
_HALF = _QUARTERS // 2

_HOURS = f"SELECT hour, {hours.COLUMNS} FROM hour WHERE room = ? AND hour >= ? AND hour < ? ORDER BY hour"

_ENDS = " UNION ALL ".join(
    f"SELECT {{columns}} FROM {{table}} WHERE room IN ({{rooms}}) AND hour >= :{first} AND hour < :{end}"
    for first, end in (("first", "inner_first"), ("inner_end", "end"))
)
"""Rows of the hours before and after the whole days, or blocks, of a span."""

_SUMS = "messages, verified, characters, others, starts"

_BITS = """person, hour / 24,
    CASE WHEN hour % 24 < 12 THEN quarters << hour % 24 * 4 ELSE 0 END,
    CASE WHEN hour % 24 < 12 THEN 0 ELSE quarters << (hour % 24 - 12) * 4 END"""

_PEOPLE = f"""SELECT person, day, early, late, {_SUMS} FROM person_day
        WHERE room IN ({{rooms}}) AND day >= :first_unit AND day < :end_unit
    UNION ALL {_ENDS.format(columns=f"{_BITS}, {_SUMS}", table="person_hour", rooms="{rooms}")}"""

_FIRSTS = "SELECT person, min(day), early, late FROM person_day WHERE room = ? GROUP BY person"

_COUNTS = "person, called, messages"

# Of names that nobody has, there may be any number: they are left out before anything is added up.
_MENTIONS = f"""SELECT person.name, called.name, sums.messages FROM (
        SELECT person, called, sum(messages) AS messages FROM (
            SELECT {_COUNTS} FROM mention_block
            WHERE room IN ({{rooms}}) AND block >= :first_unit AND block < :end_unit
            UNION ALL {_ENDS.format(columns=_COUNTS, table="mention_hour", rooms="{rooms}")}
            UNION ALL SELECT
                (SELECT id FROM person WHERE name IS json_extract(value, '$[0]')),
                (SELECT id FROM called WHERE name = json_extract(value, '$[1]')),
                json_extract(value, '$[2]')
            FROM json_each(:edges)
        ) WHERE called IN (SELECT id FROM called WHERE name IN (SELECT value FROM json_each(:people)))
        GROUP BY person, called
    ) AS sums JOIN person ON person.id = sums.person JOIN called ON called.id = sums.called
    WHERE sums.messages > 0 ORDER BY sums.messages DESC, person.name IS NULL, person.name"""


_Dates = dict[int, list[tuple[int, date]]]
"""By the day of UTC: some of its quarters, as bits, and the date that they are of in a zone."""


class _Cut(NamedTuple):
    """A span in hours: from ``first`` up to ``end`` they are whole; ``edges`` are the times before and after these."""

    first: int
    end: int
    edges: tuple[tuple[int, int] | None, tuple[int, int] | None]


@dataclass
class _Sum:
    """What is being added up. Edges are hours of which the span has a part; they are counted from their messages."""

    facts: Facts = field(default_factory=Facts)
    gaps: hours.SpreadSum = field(default_factory=hours.SpreadSum)
    replies: hours.SpreadSum = field(default_factory=hours.SpreadSum)
    edges: list[Hour] = field(default_factory=list)


def rooms_of(db: sqlite3.Connection, span: Span) -> list[tuple[int, str]]:
    """The ids and names of a span's rooms that the archive has, by name."""
    found = sorted(db.execute("SELECT id, name FROM room"), key=lambda row: row[1])
    return found if not span.rooms else [row for row in found if row[1] in span.rooms]


def facts(db: sqlite3.Connection, names: Names, span: Span, zone: Zone) -> Facts:
    """The facts of a span, within one transaction."""
    rooms = rooms_of(db, span)
    total = _Sum()
    cut = _cut(db, span)
    for room, name in rooms:
        _add_room(db, names, total, room, name, cut)
    found = total.facts
    found.gaps, found.replies = total.gaps.finish(), total.replies.finish()
    if found.first is None or found.last is None:
        return found
    numbers = [room for room, _ in rooms]
    dates = _dates(found.first, found.last + 1, zone)
    name_of = _add_people(db, names, found, numbers, cut, dates)
    for hour in total.edges:
        _add_edge(found, hour, dates)
    _add_firsts(db, name_of, found, numbers)
    _add_mentions(db, found, numbers, cut, total.edges)
    return found


def _cut(db: sqlite3.Connection, span: Span) -> _Cut:
    """The span in hours. Where it has no end, it ends after all messages, on a day and block."""
    (lowest,), (highest,) = (
        db.execute(f"SELECT {which}(hour) FROM hour").fetchone() for which in ("min", "max")
    )
    if lowest is None:
        return _Cut(0, 0, (None, None))
    least, most = lowest // BLOCK * BLOCK, (highest // BLOCK + 1) * BLOCK
    since = least * HOUR if span.since is None else max(span.since, least * HOUR)
    until = most * HOUR if span.until is None else min(span.until, most * HOUR)
    if since >= until:
        return _Cut(0, 0, (None, None))
    first, end = -(-since // HOUR), until // HOUR
    if first > end:  # within one hour
        return _Cut(0, 0, ((since, until), None))
    # What a span begins with that begins before the first message, or ends after the last one, is whole.
    left = (since, first * HOUR) if since % HOUR else None
    right = (end * HOUR, until) if until % HOUR else None
    if not left and first <= lowest:
        first = least
    if not right and end > highest:
        end = most
    return _Cut(first, end, (left, right))


def _add_room(db: sqlite3.Connection, names: Names, total: _Sum, room: int, name: str, cut: _Cut) -> None:
    """Add the hours of a room, in order."""
    facts = total.facts
    last: tuple[int, Name] | None = None
    left, right = cut.edges
    if left is not None:
        last = _edge(db, total, room, left, last)
    include_gaps, include_replies = total.gaps.include, total.replies.include
    spreads = (total.gaps.spread, total.replies.spread)
    for row in db.execute(_HOURS, (room, cut.first, cut.end)):
        number, _, first_at, first_person, last_at, last_person, _, minutes = row[:8]
        first = (first_at, names.person(db, first_person))
        if last is None:
            _begin(facts, first)
        elif follows(*spreads, last, first):
            _start(facts, first[1])
        last = (last_at, names.person(db, last_person))
        include_gaps(*row[8:13])
        include_replies(*row[13:18])
        _add_minutes(facts, number * HOUR, hours.unpack_minutes(minutes))
    if right is not None:
        last = _edge(db, total, room, right, last)
    if last is not None:
        facts.rooms.append(name)
        facts.last = last[0] if facts.last is None else max(facts.last, last[0])


def _edge(
    db: sqlite3.Connection, total: _Sum, room: int, times: tuple[int, int], last: tuple[int, Name] | None
) -> tuple[int, Name] | None:
    """Add the part of an hour from its messages, after the last one; returns the last one then."""
    facts = total.facts
    for hour in hours_of(facts_of(db, room, *times)):
        assert hour.first is not None
        if last is None:
            _begin(facts, hour.first)
        elif follows(total.gaps.spread, total.replies.spread, last, hour.first):
            _start(facts, hour.first[1])
        last = hour.last
        total.gaps.spread.include(hour.gaps)
        total.replies.spread.include(hour.replies)
        _add_minutes(facts, hour.start, hour.minutes)
        total.edges.append(hour)
    return last


def _begin(facts: Facts, first: tuple[int, Name]) -> None:
    """The first message of a room in the span begins a conversation."""
    facts.first = first[0] if facts.first is None else min(facts.first, first[0])
    _start(facts, first[1])


def _start(facts: Facts, name: Name) -> None:
    facts.conversations += 1
    facts.people.setdefault(name, Person()).starts += 1


def _add_minutes(facts: Facts, start: int, minutes: Iterable[int]) -> None:
    before = facts.minutes.get(start)
    facts.minutes[start] = (
        list(minutes) if before is None else [one + other for one, other in zip(before, minutes, strict=True)]
    )


def _add_people(
    db: sqlite3.Connection, names: Names, facts: Facts, rooms: list[int], cut: _Cut, dates: _Dates
) -> Callable[[int], Name]:
    """Add people and their days, of the whole hours; returns what gives the username with an id."""
    people = ids(db)
    # By the person's place in them, as few bytes as can be: there may be a hundred thousand of them.
    sums = [array("q", bytes(8 * len(people))) for _ in range(5)]
    all_messages, all_verified, all_characters, all_others, all_starts = sums
    wrote = bytearray(len(people))
    writers = {
        day: [(mask, facts.active.on(when).bits) for mask, when in parts] for day, parts in dates.items()
    }
    for bits in {id(bits): bits for parts in writers.values() for _, bits in parts}.values():
        bits.extend(bytes(len(people) // 8 + 1 - len(bits)))
    rows: Iterable[tuple[int, ...]] = db.execute(_PEOPLE.format(rooms=_listed(rooms)), _units(cut, 24))
    if not isinstance(people, range):
        places = {number: place for place, number in enumerate(people)}
        rows = ((places[number], *row) for number, *row in rows)
    # The longest loop of all: as many rows as people on each day.
    for person, day, early, late, messages, verified, characters, others, starts in rows:
        wrote[person] = 1
        all_messages[person] += messages
        all_characters[person] += characters
        if verified:
            all_verified[person] += verified
        if others:
            all_others[person] += others
        if starts:
            all_starts[person] += starts
        quarters = early | late << _HALF
        for mask, bits in writers[day]:
            if quarters & mask:
                bits[person >> 3] |= 1 << (person & 7)
    facts.active.free = len(people)
    name_of = names.of_people(db, people)  # of everybody in these rooms it is asked when they began
    number = wrote.find(1)
    while number >= 0:
        name = name_of(people[number])
        facts.active.numbers[name] = number
        _add_person(facts, name, *(each[number] for each in sums))
        number = wrote.find(1, number + 1)
    return name_of


def _add_person(
    facts: Facts, name: Name, messages: int, verified: int, characters: int, others: int, starts: int
) -> None:
    person = facts.people.setdefault(name, Person())
    person.messages += messages
    person.verified += verified
    person.characters += characters
    person.others += others
    person.starts += starts
    facts.conversations += starts


def _add_edge(facts: Facts, hour: Hour, dates: _Dates) -> None:
    start = hour.start % DAY // QUARTER
    for name, tally in hour.people.items():
        _add_person(facts, name, tally.messages, tally.verified, tally.characters, tally.others, tally.starts)
        bits = sum((many > 0) << start + at for at, many in enumerate(tally.quarters))
        for mask, when in dates[hour.start // DAY]:
            if bits & mask:
                facts.active.add((when, name))


def _add_firsts(
    db: sqlite3.Connection, name_of: Callable[[int], Name], facts: Facts, rooms: list[int]
) -> None:
    """Add when everybody of the span began, in it or before it."""
    firsts = facts.firsts
    for room in rooms:
        for person, day, early, late in db.execute(_FIRSTS, (room,)):
            name = name_of(person)
            if name in facts.people:
                bits = early | late << _HALF
                at = day * DAY + ((bits & -bits).bit_length() - 1) * QUARTER
                firsts[name] = min(firsts.get(name, at), at)


def _add_mentions(
    db: sqlite3.Connection, facts: Facts, rooms: list[int], cut: _Cut, edges: Iterable[Hour]
) -> None:
    """Add who mentions whom, of the people that were added."""
    if db.execute("SELECT 1 FROM called LIMIT 1").fetchone() is None:
        return
    people = json.dumps([folded(name) for name in facts.people if name is not None])
    parts = json.dumps([(*pair, many) for hour in edges for pair, many in hour.mentions.items()])
    given = {**_units(cut, BLOCK), "people": people, "edges": parts}
    facts.mentions = most_mentions(db.execute(_MENTIONS.format(rooms=_listed(rooms)), given), facts.people)


def _dates(since: int, until: int, zone: Zone) -> _Dates:
    """For each day of UTC with some of a time: which of its quarters, as bits, are of which date in the zone."""
    masks: dict[int, dict[int, int]] = {}
    since, until = since // QUARTER * QUARTER, -(-until // QUARTER) * QUARTER
    for start, end, offset in zone.stretches(since, until):
        at = start
        while at < end:
            local = (at + offset) // DAY
            # Up to midnight there, midnight in UTC, or the stretch's end; by quarters, of which the start counts.
            stop = min(end, (local + 1) * DAY - offset, (at // DAY + 1) * DAY)
            low, high = at % DAY // QUARTER, -(-(at % DAY + stop - at) // QUARTER)
            of_day = masks.setdefault(at // DAY, {})
            of_day[local] = of_day.get(local, 0) | (1 << high) - (1 << low)
            at += (high - low) * QUARTER
    return {
        day: [(mask, date.fromordinal(_EPOCH + local)) for local, mask in of_day.items()]
        for day, of_day in masks.items()
    }


def _units(cut: _Cut, size: int) -> dict[str, int]:
    """The whole hours in units of so many: those that are whole, and the hours before and after these."""
    first, end = -(-cut.first // size), cut.end // size
    if first > end:  # all within one unit
        first = end = 0
        inner = (cut.end, cut.end)
    else:
        inner = (first * size, end * size)
    return {
        "first": cut.first,
        "end": cut.end,
        "first_unit": first,
        "end_unit": end,
        "inner_first": inner[0],
        "inner_end": inner[1],
    }


def _listed(rooms: list[int]) -> str:
    return ",".join(map(str, rooms))
