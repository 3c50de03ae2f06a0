"""Records to write, and the facts of a list of them, counted one by one: :func:`count`.

It shares the types and :class:`~kchat.archive.spread.Spread` with the stores, but no hours, no days, no rollups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from unicodedata import normalize

from hypothesis import strategies as st

from kchat.archive.facts import PAUSE, Facts, Person
from kchat.archive.record import KCHAT, OTHERS, Record, body_digest, mentions
from kchat.archive.span import Span, Zone

MONDAY = 1_741_564_800_000
"""The 10th of March 2025, 00:00 UTC, in milliseconds since 1970."""

_QUARTER, _HOUR, _MINUTE = 900_000, 3_600_000, 60_000


def record(number: int, at: int, **other: Any) -> Record:
    """A message as an archive keeps it.

    Arguments:
        number: tells it from others.
        at: its time, in milliseconds since 1970.
        **other: fields that differ from those of a message of ada's in the room ``chat``, sent with kchat.
    """
    text = str(other.get("text", f"message {number}"))
    found = Record(
        room="chat",
        key=f"i:{number:08d}",
        at=at,
        username="ada",
        account=None,
        verified=False,
        text=text,
        length=len(text),
        digest=None,
        id=f"{number:08d}",
        sent_at=at,
        received_at=at + 7,
        position=None,
        extra=None,
        client=KCHAT,
        mentions=mentions(text),
    )
    return found._replace(**other)


def bare(number: int, at: int, body: bytes = b"hi", **other: Any) -> Record:
    """A message with neither id nor position, of an unknown sender."""
    key = f"b:{body_digest(body)}:{number}"
    return record(
        number, at, key=key, id=None, username=None, sent_at=None, text=body.decode(), client=OTHERS, **other
    )


@st.composite
def talks(draw: st.DrawFn, most: int = 60) -> list[Record]:
    """Lists of different records in any order: few people and rooms, times close together and far apart."""
    times = st.one_of(
        st.integers(0, 3 * _HOUR),
        st.integers(0, 40 * 24 * _HOUR),
        st.sampled_from([0, 1, _HOUR - 1, _HOUR, 90 * _MINUTE]),
    )
    said = draw(
        st.lists(
            st.tuples(
                times,
                st.sampled_from(["chat", "ops"]),
                st.sampled_from(["ada", "bob", "Eve", None]),
                st.sampled_from(["hi", "@ada look", "@bob @EVE?", "x" * 40]),
                st.booleans(),
            ),
            max_size=most,
        )
    )
    return [
        record(
            number,
            MONDAY + at,
            room=room,
            username=name,
            account=name if name == "ada" else None,
            verified=name == "ada",
            text=text,
            client=KCHAT if by_kchat else OTHERS,
        )
        for number, (at, room, name, text, by_kchat) in enumerate(said)
    ]


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """Spans that cut hours, days and blocks of days, or do not."""
    moment = st.one_of(
        st.none(),
        st.integers(MONDAY - 2 * _HOUR, MONDAY + 41 * 24 * _HOUR),
        st.integers(MONDAY, MONDAY + 3 * _HOUR),
        st.integers(0, 41 * 24).map(lambda hours: MONDAY + hours * _HOUR),
        st.integers(0, 41).map(lambda days: MONDAY + days * 24 * _HOUR),
    )
    rooms = draw(st.sampled_from([(), ("chat",), ("ops", "chat"), ("nowhere",)]))
    return Span(rooms, draw(moment), draw(moment))


def ordered(records: Iterable[Record]) -> list[Record]:
    """By room, each room's in order."""
    return sorted(records, key=lambda each: (each.room, each.at, each.key))


def count(records: Iterable[Record], span: Span, zone: Zone) -> Facts:
    """The facts of a span of different records."""
    facts = Facts()
    begun: dict[str | None, int] = {}
    of_room: defaultdict[str, list[Record]] = defaultdict(list)
    for each in ordered(records):
        if span.rooms and each.room not in span.rooms:
            continue
        quarter = each.at - each.at % _QUARTER
        begun[each.username] = min(begun.get(each.username, quarter), quarter)
        if (span.since is None or each.at >= span.since) and (span.until is None or each.at < span.until):
            of_room[each.room].append(each)
    for room, said in of_room.items():
        facts.rooms.append(room)
        for each in said:
            _count_one(facts, each, zone)
        for before, after in zip([None, *said[:-1]], said, strict=True):
            _count_gap(facts, before, after)
    facts.firsts = {name: begun[name] for name in facts.people}
    called = {name: normalize("NFC", name.casefold()) for name in facts.people if name is not None}
    facts.mentions = {
        (by, of): many
        for (by, of), many in facts.mentions.items()
        if of in called.values() and called.get(by or "") != of
    }
    return facts


def _count_one(facts: Facts, each: Record, zone: Zone) -> None:
    facts.first = each.at if facts.first is None else min(facts.first, each.at)
    facts.last = each.at if facts.last is None else max(facts.last, each.at)
    person = facts.people.setdefault(each.username, Person())
    person.messages += 1
    person.verified += each.verified
    person.characters += each.length
    person.others += each.client == OTHERS
    minutes = facts.minutes.setdefault(each.at - each.at % _HOUR, [0] * 60)
    minutes[each.at % _HOUR // _MINUTE] += 1
    facts.active.add((zone.moment(each.at).date(), each.username))
    for name in each.mentions:
        facts.mentions[each.username, name] = facts.mentions.get((each.username, name), 0) + 1


def _count_gap(facts: Facts, before: Record | None, after: Record) -> None:
    if before is None or after.at - before.at >= PAUSE:
        facts.conversations += 1
        facts.people[after.username].starts += 1
    if before is None:
        return
    facts.gaps.add(after.at - before.at, after.at)
    if after.at - before.at < PAUSE and before.username != after.username:
        facts.replies.add(after.at - before.at, after.at)


def mentioning() -> list[Record]:
    """Messages of people who mention each other, some as often as others, and names that nobody has."""
    names = ["ada", "Bob", "eve", "joe", "\U0001f600", "ﬀ", None]
    said = [
        (by, of)
        for one, by in enumerate(names)
        for other, of in enumerate(["ada", "bob", "eve", "joe", "nobody"])
        for _ in range(1 + (one * other) % 3)
    ]
    times = ((number * 7_919) % len(said) * 40 * _MINUTE for number in range(len(said)))
    return [
        record(number, MONDAY + at, username=by, mentions=(of,))
        for number, ((by, of), at) in enumerate(zip(said, times, strict=True))
    ]


def differences(one: Facts, other: Facts) -> dict[str, tuple[object, object]]:
    """The fields in which two facts differ, by name."""
    return {
        name: (getattr(one, name), getattr(other, name))
        for name in Facts.__slots__
        if getattr(one, name) != getattr(other, name)
    }
