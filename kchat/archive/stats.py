"""The figures of a room: :class:`Stats`, made of a store's facts by :func:`compute`.

Times are in seconds, moments are aware datetimes in the zone that was asked for. :meth:`Stats.to_json` has the keys that
``kchat stats --json`` prints; ``docs/stats.md`` explains each.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from kchat.archive.facts import has_bit
from kchat.archive.record import folded
from kchat.archive.span import HOUR, Span, Zone

if TYPE_CHECKING:
    from kchat.archive.facts import Facts, Name, Person
    from kchat.archive.spread import Spread

VERSION = 1
"""Of the keys of :meth:`Stats.to_json`. It grows when a key changes its meaning or goes; new ones may come without."""

TOP = 10
"""How many of each list are given, unless said otherwise."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Active:
    """One person's part.

    Attributes:
        username: None for the messages without one.
        messages: how many.
        share: of all messages, 0 to 1.
        characters: of the texts together.
        verified: how many of the messages.
        conversations: begun.
    """

    username: str | None
    messages: int
    share: float
    characters: int
    verified: int
    conversations: int


@dataclass(frozen=True, slots=True)
class Day:
    """One date in the zone, or one week.

    Attributes:
        date: of the day; of a week, its Monday.
        messages: how many.
        people: who wrote.
        new: those of them that had never written before.
        returning: the others.
    """

    date: date
    messages: int
    people: int
    new: int
    returning: int


@dataclass(frozen=True, slots=True)
class Times:
    """How times spread; in seconds, None where there is no time. ``p50`` and ``p95`` are within 1.6 %.

    Attributes:
        count: how many times.
        mean: of them.
        p50: half of them are not longer.
        p95: 95 of 100 are not longer.
        longest: of them.
        longest_at: when the first of the longest ended.
    """

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    longest: float | None
    longest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mention:
    """In how many messages ``by`` mentioned ``of``, ``@of``, who wrote in these rooms and this time too."""

    by: str | None
    of: str
    messages: int


@dataclass(frozen=True, slots=True)
class Starter:
    """Who began how many conversations."""

    username: str | None
    conversations: int


@dataclass(frozen=True, slots=True)
class Busiest:
    """The minute with the most messages, the first of them; of all rooms together."""

    at: datetime
    messages: int


@dataclass(frozen=True, slots=True)
class Word:
    """How often a word is in the texts."""

    word: str
    count: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures of some rooms and some time.

    Attributes:
        archive: which one, safe to show.
        rooms: that have messages in this time.
        since: asked for; None from the beginning.
        until: asked for; None to the end.
        zone: of all times, by its IANA name.
        messages: how many.
        people: different usernames.
        first: the first message; None where there is none.
        last: the last one.
        days: dates from the first message to the last one, both included.
        per_day: messages per day, over all of these.
        top: the most active people, most messages first, then by name.
        per_date: one for each date from the first message to the last one.
        per_week: one for each week from Monday on.
        per_hour: messages in each hour of the day, 24 of them.
        heat: messages by weekday, Monday first, and hour: seven times 24.
        gaps: times between a message and the next one of its room.
        replies: those shorter than 30 minutes and between different people.
        conversations: begun; one begins after a pause of 30 minutes.
        starters: who began the most.
        mentions: who mentions whom, the most frequent.
        busiest: the minute with the most messages.
        verified: messages of people whose account the broker has checked to be the username.
        verified_share: of all messages, 0 to 1.
        clients: messages by client, ``kchat`` and ``others``.
        words: the most frequent; None where they were not asked for.
    """

    archive: str
    rooms: Sequence[str]
    since: datetime | None
    until: datetime | None
    zone: str
    messages: int
    people: int
    first: datetime | None
    last: datetime | None
    days: int
    per_day: float
    top: Sequence[Active]
    per_date: Sequence[Day]
    per_week: Sequence[Day]
    per_hour: Sequence[int]
    heat: Sequence[Sequence[int]]
    gaps: Times
    replies: Times
    conversations: int
    starters: Sequence[Starter]
    mentions: Sequence[Mention]
    busiest: Busiest | None
    verified: int
    verified_share: float
    clients: dict[str, int]
    words: Sequence[Word] | None

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON has them: moments in RFC 3339 with the zone's offset, dates, and ``version``."""
        return {"version": VERSION, **_plain(asdict(self))}


def compute(
    facts: Facts,
    span: Span,
    zone: Zone,
    *,
    archive: str,
    top: int = TOP,
    words: Sequence[tuple[str, int]] | None = None,
) -> Stats:
    """The figures of a store's facts.

    Arguments:
        facts: of the span, with the zone.
        span: that was asked about.
        zone: of the times.
        archive: which one, safe to show.
        top: how many of each list. Default: ten.
        words: with how often they come. Default: not asked for.
    """
    total = sum(person.messages for person in facts.people.values())
    starts = ((name, person.starts) for name, person in facts.people.items() if person.starts)
    dates, heat = _by_clock(facts, zone)
    per_date, per_week = _by_day_and_week(facts, zone, dates)
    verified = sum(person.verified for person in facts.people.values())
    others = sum(person.others for person in facts.people.values())
    return Stats(
        archive=archive,
        rooms=tuple(facts.rooms),
        since=_moment(span.since, zone),
        until=_moment(span.until, zone),
        zone=zone.name,
        messages=total,
        people=sum(name is not None for name in facts.people),
        first=_moment(facts.first, zone),
        last=_moment(facts.last, zone),
        days=len(per_date),
        per_day=total / len(per_date) if per_date else 0.0,
        top=tuple(
            Active(name, each.messages, each.messages / total, each.characters, each.verified, each.starts)
            for name, each in nsmallest(top, facts.people.items(), key=_most_active)
        ),
        per_date=per_date,
        per_week=per_week,
        per_hour=tuple(map(sum, zip(*heat, strict=True))),
        heat=heat,
        gaps=_times(facts.gaps, zone),
        replies=_times(facts.replies, zone),
        conversations=facts.conversations,
        starters=tuple(Starter(name, many) for name, many in nsmallest(top, starts, key=_most)),
        mentions=_mentions(facts)[:top],
        busiest=_busiest(facts, zone),
        verified=verified,
        verified_share=verified / total if total else 0.0,
        clients={"kchat": total - others, "others": others},
        words=None if words is None else tuple(Word(*each) for each in words),
    )


def _most_active(item: tuple[Name, Person]) -> tuple[int, bool, str]:
    name, person = item
    return -person.messages, name is None, name or ""


def _most(item: tuple[Name, int]) -> tuple[int, bool, str]:
    name, many = item
    return -many, name is None, name or ""


def _moment(at: int | None, zone: Zone) -> datetime | None:
    return None if at is None else zone.moment(at)


def _times(spread: Spread, zone: Zone) -> Times:
    if not spread.count:
        return Times(0, None, None, None, None, None)
    mean, half, most = (
        ms and ms / 1000 for ms in (spread.mean, spread.percentile(50), spread.percentile(95))
    )
    return Times(spread.count, mean, half, most, spread.longest / 1000, zone.moment(spread.longest_at))


def _mentions(facts: Facts) -> tuple[Mention, ...]:
    """Of people who wrote; of several whose names fold to the same, the most active. Not of oneself."""
    if not facts.mentions:
        return ()
    people: dict[str, str] = {}
    for name, _ in sorted(facts.people.items(), key=_most_active):
        if name is not None:
            people.setdefault(folded(name), name)
    found = [
        Mention(by, people[of], many)
        for (by, of), many in facts.mentions.items()
        if of in people and (by is None or folded(by) != of)
    ]
    found.sort(key=lambda each: (-each.messages, each.by is None, each.by or "", each.of))
    return tuple(found)


def _busiest(facts: Facts, zone: Zone) -> Busiest | None:
    most, at = 0, 0
    for start in sorted(facts.minutes):
        minutes = facts.minutes[start]
        if (many := max(minutes)) > most:
            most, at = many, start + minutes.index(many) * 60_000
    return Busiest(zone.moment(at), most) if most else None


def _by_clock(facts: Facts, zone: Zone) -> tuple[Counter[date], tuple[tuple[int, ...], ...]]:
    """Messages by date, and by weekday and hour, as clocks in the zone show them."""
    days: Counter[int] = Counter()
    heat = [[0] * 24 for _ in range(7)]
    starts = sorted(facts.minutes)
    stretches = iter(zone.stretches(starts[0], starts[-1] + HOUR) if starts else ())
    until = offset = 0
    for start in starts:
        minutes = facts.minutes[start]
        # An hour of UTC is one there as well, unless the offset changes in it or is not of whole hours.
        whole = start + HOUR <= until and offset % HOUR == 0
        for first in (0,) if whole else (0, 15, 30, 45):
            many = sum(minutes) if whole else sum(minutes[first : first + 15])
            at = start + first * 60_000
            while at >= until:
                _, until, offset = next(stretches)
            if many:
                day, hour = divmod((at + offset) // HOUR, 24)
                days[day] += many
                heat[(day + _EPOCH.weekday()) % 7][hour] += many
    dates = Counter({date.fromordinal(_EPOCH.toordinal() + day): many for day, many in days.items()})
    return dates, tuple(map(tuple, heat))


def _by_day_and_week(
    facts: Facts, zone: Zone, dates: Counter[date]
) -> tuple[tuple[Day, ...], tuple[Day, ...]]:
    """Messages and people by date and by week, without gaps."""
    if not dates:
        return (), ()
    numbers = facts.active.numbers
    by_day: dict[date, bytes | bytearray] = {day: there.bits for day, there in facts.active.days.items()}
    of_week: defaultdict[date, int] = defaultdict(int)
    weeks: Counter[date] = Counter()
    for day, people in by_day.items():
        of_week[_monday(day)] |= int.from_bytes(people, "little")
    by_week: dict[date, bytes | bytearray] = {}
    while of_week:  # one number after the other becomes bytes: together they take megabytes
        monday, number = of_week.popitem()
        by_week[monday] = number.to_bytes((number.bit_length() + 7) // 8, "little")
    for day, many in dates.items():
        weeks[_monday(day)] += many
    day_of = lru_cache(1_000)(zone.day)  # there may be as many times as people
    new: Counter[date] = Counter()
    new_in_week: Counter[date] = Counter()
    for name, at in facts.firsts.items():
        if name is None or name not in numbers:
            continue
        day, number = day_of(at), numbers[name]
        new[day] += has_bit(by_day.get(day, b""), number)
        monday = _monday(day)
        new_in_week[monday] += has_bit(by_week.get(monday, b""), number)
    nobody = numbers.get(None)
    return (
        tuple(_line(day, dates, by_day, nobody, new) for day in _every(min(dates), max(dates), 1)),
        tuple(
            _line(monday, weeks, by_week, nobody, new_in_week) for monday in _every(min(weeks), max(weeks), 7)
        ),
    )


def _every(first: date, last: date, days: int) -> list[date]:
    return [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1, days)]


def _line(
    day: date,
    counts: Counter[date],
    people: Mapping[date, bytes | bytearray],
    nobody: int | None,
    new: Counter[date],
) -> Day:
    bits = people.get(day, b"")
    active = int.from_bytes(bits, "little").bit_count()
    if nobody is not None:
        active -= has_bit(bits, nobody)
    return Day(day, counts[day], active, new[day], active - new[day])


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    return value
