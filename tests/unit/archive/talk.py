"""Invented rooms: what people said, as an archive has it, and the figures of that."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from kchat.archive.facts import Facts, Person, hours_of
from kchat.archive.record import KCHAT, OTHERS, Record, mentions
from kchat.archive.span import QUARTER, Span, Zone
from kchat.archive.stats import TOP, Stats, compute

NAMES = (
    "ada",
    "grace",
    "linus",
    "zoë",
    "barbara",
    "edsger",
    "margaret",
    "donald",
    "hedy",
    "alan",
    "radia",
    "ken",
)
DAY_MS = 86_400_000


def moment(text: str) -> int:
    """Milliseconds since 1970 of a time in UTC, as ``2026-03-01T12:00``."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def said(
    at: int,
    username: str | None = "ada",
    text: str = "Hello world",
    *,
    room: str = "chat",
    verified: bool = True,
    client: str = KCHAT,
) -> Record:
    """One message."""
    return Record(
        room=room,
        key=f"i:{room}-{at}-{username}",
        at=at,
        username=username,
        account=username if verified else None,
        verified=verified and username is not None,
        text=text,
        length=len(text),
        digest=None,
        id=None,
        sent_at=at,
        received_at=at,
        position=None,
        extra=None,
        client=client,
        mentions=mentions(text),
    )


def talk(
    days: int = 60,
    *,
    first: str = "2026-03-02",
    names: Sequence[str] = NAMES,
    a_day: float = 40,
    room: str = "chat",
    seed: int = 1,
) -> list[Record]:
    """A room as rooms are: more in the evening, less at the weekend, few who write most, people who come later."""
    dice = random.Random(seed)
    start = moment(f"{first}T00:00")
    weights = [1 / (place + 1.5) for place in range(len(names))]
    found: dict[int, Record] = {}
    for day in range(days):
        weekday = (datetime.fromtimestamp(start / 1000, UTC) + timedelta(days=day)).weekday()
        much = a_day * (0.45 if weekday > 4 else 1) * (1 + 0.5 * math.sin(day / 9)) * dice.uniform(0.4, 1.5)
        there = max(2, min(len(names), 3 + day * len(names) // max(1, days)))
        left = round(much)
        while left > 0:
            middle, wide = dice.choices(
                ((10.5, 1.4), (14.5, 1.8), (20.5, 1.5)), (3, 3, 1 if weekday > 4 else 4)
            )[0]
            at = start + day * DAY_MS + round(min(max(dice.gauss(middle, wide), 0), 23.5) * 3_600_000)
            for _ in range(min(left, dice.randint(3, 14))):
                name = dice.choices(names[:there], weights[:there])[0]
                other = dice.choices(names[:there], weights[:there])[0]
                text = (
                    f"@{other} what do you think?" if dice.random() < 0.12 else "words " * dice.randint(1, 12)
                )
                found[at] = said(
                    at,
                    name,
                    text,
                    room=room,
                    verified=dice.random() < 0.82,
                    client=KCHAT if dice.random() < 0.9 else OTHERS,
                )
                at += round(dice.lognormvariate(3, 1.2) * 1000) + 1
                left -= 1
    return [found[at] for at in sorted(found)]


def facts_of(records: Iterable[Record], zone: Zone) -> Facts:
    """What a store tells about messages; here of all that there are."""
    rooms: dict[str, list[Record]] = {}
    for record in records:
        rooms.setdefault(record.room, []).append(record)
    facts = Facts(rooms=sorted(rooms))
    for each in rooms.values():
        _add_room(facts, sorted(each, key=lambda record: (record.at, record.key)), zone)
    return facts


def _add_room(facts: Facts, records: list[Record], zone: Zone) -> None:
    before = None
    for hour in hours_of(records):
        for field in ("gaps", "replies"):
            getattr(facts, field).include(getattr(hour, field))
        sums = facts.minutes.setdefault(hour.start, [0] * 60)
        facts.minutes[hour.start] = [one + other for one, other in zip(sums, hour.minutes, strict=True)]
        for name, tally in hour.people.items():
            person = facts.people.setdefault(name, Person())
            person.messages += tally.messages
            person.verified += tally.verified
            person.characters += tally.characters
            person.others += tally.others
            person.starts += tally.starts
            facts.conversations += tally.starts
        for pair, many in hour.mentions.items():
            facts.mentions[pair] = facts.mentions.get(pair, 0) + many
        assert hour.first is not None
        if begins(facts, before, hour.first):
            facts.conversations += 1
            facts.people[hour.first[1]].starts += 1
        before = hour.last
    for record in records:
        facts.active.add((zone.day(record.at), record.username))
        quarter = record.at - record.at % QUARTER
        facts.firsts[record.username] = min(quarter, facts.firsts.get(record.username, quarter))
    ends = [records[0].at, records[-1].at]
    facts.first = min(ends[:1] if facts.first is None else [facts.first, ends[0]])
    facts.last = max(ends[1:] if facts.last is None else [facts.last, ends[1]])


def begins(facts: Facts, before: tuple[int, str | None] | None, after: tuple[int, str | None]) -> bool:
    """Whether the first message of an hour begins a conversation; what is between two hours is counted."""
    from kchat.archive.facts import follows

    return before is None or follows(facts.gaps, facts.replies, before, after)


def stats_of(
    records: Iterable[Record],
    zone: str = "Europe/Berlin",
    *,
    top: int = TOP,
    words: Sequence[tuple[str, int]] | None = None,
    archive: str = "archive.db",
) -> Stats:
    """The figures of messages."""
    where = Zone(zone)
    return compute(facts_of(records, where), Span(), where, archive=archive, top=top, words=words)
