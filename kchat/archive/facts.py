"""What an archive tells about a span of messages, from which all figures are made: :class:`Facts`.

Every store fills in the same facts, each in its own way; :mod:`kchat.archive.stats` makes the figures of them. An
:class:`Hour` is the facts of one room and one hour. Hours add up: what they say of one message and the next one is
counted within the hour, and what happens between two hours follows from the last message of one and the first of the other.

Messages are in order by :attr:`~kchat.archive.record.Record.at`; those of one millisecond by their
:attr:`~kchat.archive.record.Record.key`, as text, by code points.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date

from kchat.archive.record import OTHERS, Record, folded
from kchat.archive.span import HOUR, QUARTER
from kchat.archive.spread import Spread

PAUSE = 30 * 60_000
"""Milliseconds without a message after which the next one begins a conversation."""

MINUTE = 60_000

MOST_MENTIONS = 10_000
"""Pairs of people that facts have, of those who mention whom: there may be as many as people times people."""

Name = str | None
"""A username; None for messages without one."""


@dataclass(slots=True)
class Tally:
    """One person's messages.

    Attributes:
        quarters: of an hour: the number of messages in each of its four.
        verified: messages whose account the broker has checked to be the username.
        characters: of the texts together, in code points.
        others: messages that another client than kchat wrote.
        starts: conversations begun.
    """

    quarters: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    verified: int = 0
    characters: int = 0
    others: int = 0
    starts: int = 0

    @property
    def messages(self) -> int:
        """How many there are."""
        return sum(self.quarters)


@dataclass(slots=True)
class Hour:
    """The facts of one room and one hour. Messages are added in their order.

    Attributes:
        start: of the hour, in milliseconds since 1970.
        first: the first message's time and username; None before there is one.
        last: the last one's.
        last_key: the last one's key.
        minutes: the number of messages in each of the sixty.
        gaps: times between one message and the next one.
        replies: those of them that are shorter than :data:`PAUSE` and between messages of different people.
        people: by username.
        mentions: in how many messages somebody mentioned a name: by username and name, folded
            (:func:`~kchat.archive.record.folded`).
    """

    start: int
    first: tuple[int, Name] | None = None
    last: tuple[int, Name] | None = None
    last_key: str = ""
    minutes: list[int] = field(default_factory=lambda: [0] * 60)
    gaps: Spread = field(default_factory=Spread)
    replies: Spread = field(default_factory=Spread)
    people: dict[Name, Tally] = field(default_factory=dict)
    mentions: dict[tuple[Name, str], int] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count the next message of the hour."""
        tally = self.count(record)
        after = (record.at, record.username)
        if self.last is None:
            self.first = after
        elif follows(self.gaps, self.replies, self.last, after):
            tally.starts += 1
        self.last = after
        self.last_key = record.key

    def count(self, record: Record) -> Tally:
        """Count what a message is by itself, whenever it comes; returns its sender's tally."""
        username = record.username
        tally = self.people.get(username)
        if tally is None:
            tally = self.people[username] = Tally()
        into = record.at - self.start
        tally.quarters[into // QUARTER] += 1
        self.minutes[into // MINUTE] += 1
        tally.verified += record.verified
        tally.characters += record.length
        tally.others += record.client == OTHERS
        for name in record.mentions:
            self.mentions[username, name] = self.mentions.get((username, name), 0) + 1
        return tally


def follows(gaps: Spread, replies: Spread, before: tuple[int, Name], after: tuple[int, Name]) -> bool:
    """Count what is between a message and the next one of its room; returns whether that begins a conversation."""
    gap = after[0] - before[0]
    gaps.add(gap, after[0])
    if gap >= PAUSE:
        return True
    if before[1] != after[1]:
        replies.add(gap, after[0])
    return False


def hours_of(records: Iterable[Record]) -> list[Hour]:
    """The facts of messages of one room, which are in order, by hours."""
    found: list[Hour] = []
    for record in records:
        start = record.at - record.at % HOUR
        if not found or found[-1].start != start:
            found.append(Hour(start))
        found[-1].add(record)
    return found


@dataclass(slots=True)
class Person:
    """One person's part of the facts.

    Attributes:
        messages: how many.
        verified: how many of them by an account that the broker has checked to be the username.
        characters: of the texts together, in code points.
        others: messages that another client than kchat wrote.
        starts: conversations begun.
    """

    messages: int = 0
    verified: int = 0
    characters: int = 0
    others: int = 0
    starts: int = 0


@dataclass(slots=True)
class Writers:
    """Who wrote on a day.

    Attributes:
        bits: one for each of them, by :attr:`ActiveDays.numbers`, the lowest of the first byte for the first.
    """

    bits: bytearray = field(default_factory=bytearray)

    def add(self, number: int) -> None:
        """Somebody did."""
        byte = number >> 3
        if byte >= len(self.bits):
            self.bits.extend(bytes(byte + 1 - len(self.bits)))
        self.bits[byte] |= 1 << (number & 7)


@dataclass(slots=True, eq=False)
class ActiveDays:
    """Who wrote on which day: a bit for each pair, since in years a thousand people make a million of them.

    Attributes:
        numbers: of each username: its place in the bits.
        free: the lowest number from which on nobody has one.
        days: who wrote, by date.
    """

    numbers: dict[Name, int] = field(default_factory=dict)
    free: int = 0
    days: dict[date, Writers] = field(default_factory=dict)

    def add(self, pair: tuple[date, Name]) -> None:
        """Somebody wrote on that day, maybe not for the first time."""
        day, name = pair
        number = self.numbers.get(name)
        if number is None:
            number = self.numbers[name] = self.free
            self.free += 1
        self.on(day).add(number)

    def on(self, day: date) -> Writers:
        """Who wrote on that day, to add to."""
        found = self.days.get(day)
        if found is None:
            found = self.days[day] = Writers()
        return found

    def pairs(self) -> set[tuple[date, Name]]:
        """All of them, one by one."""
        return {
            (day, name)
            for day, there in self.days.items()
            for name, number in self.numbers.items()
            if has_bit(there.bits, number)
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActiveDays) and self.pairs() == other.pairs()

    __hash__ = None  # type: ignore[assignment] # as of everything that changes


def has_bit(bits: bytes | bytearray, number: int) -> bool:
    """Whether the bit of a number is there."""
    byte = number >> 3
    return byte < len(bits) and bool(bits[byte] >> (number & 7) & 1)


@dataclass(slots=True)
class Facts:
    """What a store tells about a :class:`~kchat.archive.span.Span`.

    Attributes:
        rooms: that have messages in the span, by name.
        first: the time of the first message, in milliseconds since 1970; None where there is none.
        last: of the last one.
        people: by username.
        minutes: by the start of each hour that has messages, in milliseconds since 1970: the number of messages in each of
            its sixty minutes, all rooms together.
        gaps: times between one message of a room and the next one, both in the span.
        replies: those of them that are shorter than :data:`PAUSE` and between messages of different people.
        conversations: that begin in the span; the first message in the span of each room begins one.
        mentions: in how many messages somebody mentioned one of ``people``, but themselves: by username and name
            (:func:`~kchat.archive.record.folded`); the most frequent ones, as :func:`most_mentions` has them.
        active: who wrote on which day, by the zone that was asked for.
        firsts: of everybody in ``people``, the start of the quarter of an hour of their first message in these rooms, in the
            span or before it, in milliseconds since 1970.
    """

    rooms: list[str] = field(default_factory=list)
    first: int | None = None
    last: int | None = None
    people: dict[Name, Person] = field(default_factory=dict)
    minutes: dict[int, list[int]] = field(default_factory=dict)
    gaps: Spread = field(default_factory=Spread)
    replies: Spread = field(default_factory=Spread)
    conversations: int = 0
    mentions: dict[tuple[Name, str], int] = field(default_factory=dict)
    active: ActiveDays = field(default_factory=ActiveDays)
    firsts: dict[Name, int] = field(default_factory=dict)


def most_mentions(
    rows: Iterable[tuple[Name, str, int]], people: Collection[Name]
) -> dict[tuple[Name, str], int]:
    """The :data:`MOST_MENTIONS` most frequent mentions of people, and those of the last one's number by the same person.

    Arguments:
        rows: who mentioned a name, the name, in how many messages; most first, those of a number by username, by code
            points, those without a username last. No more of them are taken than are needed.
        people: who wrote. A mention by anybody else came after they were counted, and is left out.
    """
    names = {name: folded(name) for name in people if name is not None}
    wanted = frozenset(names.values())
    found: dict[tuple[Name, str], int] = {}
    last: tuple[int, Name] | None = None
    for by, of, many in rows:
        if len(found) >= MOST_MENTIONS and last != (many, by):
            break
        if of in wanted and by in people and (by is None or names[by] != of):
            found[by, of] = many
            last = many, by
    return found
