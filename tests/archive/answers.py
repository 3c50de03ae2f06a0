"""The figures of messages, worked out from the list of them: :func:`figures`.

Everything here is written from what :mod:`kchat.archive.stats` promises, in the plainest way, and uses nothing of
:mod:`kchat.archive`: each message has its datetime in the zone, everything is counted one by one, and percentiles are places
in a sorted list.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from math import ceil
from statistics import mean
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.archive.corpus import Said

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR = 366 * 24 * 3_600_000
_PAUSE = 30 * 60 * 1000


class Known(NamedTuple):
    """What counts of one message.

    Attributes:
        room: the room.
        at: its time, in milliseconds since 1970.
        key: decides which of two is the first in a millisecond.
        name: username, or None.
        length: of the text.
        verified: or not.
        by_kchat: or by another client.
        mentioned: names, each once, folded.
        text: of the message; empty where the archive keeps none.
    """

    room: str
    at: int
    key: str
    name: str | None
    length: int
    verified: bool
    by_kchat: bool
    mentioned: tuple[str, ...]
    text: str


def known(delivered: Iterable[Said], *, texts: bool = True) -> list[Known]:
    """Different messages: of those that came twice, the first delivery; in their order, by room."""
    found: dict[tuple[str, str], Known] = {}
    for said in delivered:
        if said.id is not None:
            key = "i:" + said.id
        elif said.position is not None:
            key = "p:" + said.position
        else:
            key = f"b:{blake2b(said.body, digest_size=16).hexdigest()}:{said.place}"
        if (said.room, key) in found:
            continue
        at = said.received_at
        if said.sent_at is not None and at - _YEAR <= said.sent_at < at:
            at = said.sent_at
        found[said.room, key] = Known(
            said.room,
            at,
            key,
            said.username,
            len(said.text),
            said.is_verified,
            said.by_kchat,
            mentions(said.text) if texts else (),
            said.text if texts else "",
        )
    return sorted(found.values(), key=lambda each: (each.room, each.at, each.key))


def without(messages: Iterable[Known], username: str, rooms: Sequence[str] = ()) -> list[Known]:
    """What is left when somebody is forgotten: neither messages of theirs, nor mentions of their name."""
    left = []
    for each in messages:
        if rooms and each.room not in rooms:
            left.append(each)
        elif each.name != username:
            names = tuple(name for name in each.mentioned if name != folded(username))
            left.append(each._replace(mentioned=names))
    return left


def words(messages: Iterable[Known], counted: Collection[str]) -> Counter[str]:
    """How often some words of lower case are in the texts, where spaces separate them from others."""
    return Counter(word for each in messages for word in each.text.casefold().split(" ") if word in counted)


def folded(name: str) -> str:
    """A name as mentions are compared: without case, accents in one way."""
    return unicodedata.normalize("NFC", name.casefold())


def mentions(text: str) -> tuple[str, ...]:
    """The names after ``@`` in a text, letter by letter."""
    found: list[str] = []
    for place, character in enumerate(text):
        before = text[place - 1] if place else " "
        if character != "@" or before in "@." or _is_letter(before):
            continue
        name = ""
        for following in text[place + 1 :]:
            if not (_is_letter(following) or (name and following in ".-")):
                break
            name += following
        name = name.rstrip(".-")
        if name and not unicodedata.category(name[0]).startswith("M"):
            found.append(folded(name))
    return tuple(dict.fromkeys(found))


def _is_letter(character: str) -> bool:
    return character == "_" or character.isalnum() or unicodedata.category(character).startswith("M")


def figures(
    messages: Sequence[Known],
    *,
    rooms: Sequence[str] = (),
    since: int | None = None,
    until: int | None = None,
    zone: str = "UTC",
    top: int = 10,
) -> dict[str, Any]:
    """The figures, by the names and in the shapes of ``dataclasses.asdict`` of a :class:`kchat.archive.stats.Stats`.

    Without ``archive`` and ``words``; percentiles are exact. Times in milliseconds since 1970.
    """
    of_rooms = [each for each in messages if not rooms or each.room in rooms]
    chosen = within(of_rooms, since=since, until=until)
    clock = _Clock(zone)
    theirs: defaultdict[str | None, list[Known]] = defaultdict(list)
    for each in chosen:
        theirs[each.name].append(each)
    spoken = {name: len(each) for name, each in theirs.items()}
    begun: Counter[str | None] = Counter()
    gaps: list[tuple[int, int]] = []
    replies: list[tuple[int, int]] = []
    for room in {each.room for each in chosen}:
        there = [each for each in chosen if each.room == room]
        begun[there[0].name] += 1
        for one, other in pairwise(there):
            gap = other.at - one.at
            gaps.append((gap, other.at))
            if gap >= _PAUSE:
                begun[other.name] += 1
            elif one.name != other.name:
                replies.append((gap, other.at))
    heat = [[0] * 24 for _ in range(7)]
    for each in chosen:
        moment = clock(each.at)
        heat[moment.weekday()][moment.hour] += 1
    days = _days(of_rooms, chosen, clock, weekly=False)
    verified = sum(each.verified for each in chosen)
    by_kchat = sum(each.by_kchat for each in chosen)
    return {
        "rooms": tuple(sorted({each.room for each in chosen})),
        "since": None if since is None else clock(since),
        "until": None if until is None else clock(until),
        "zone": zone,
        "messages": len(chosen),
        "people": len(set(spoken) - {None}),
        "first": clock(min(each.at for each in chosen)) if chosen else None,
        "last": clock(max(each.at for each in chosen)) if chosen else None,
        "days": len(days),
        "per_day": len(chosen) / len(days) if days else 0.0,
        "top": tuple(_person(name, theirs[name], len(chosen), begun) for name, _ in _ranked(spoken)[:top]),
        "per_date": days,
        "per_week": _days(of_rooms, chosen, clock, weekly=True),
        "per_hour": tuple(sum(heat[day][hour] for day in range(7)) for hour in range(24)),
        "heat": tuple(tuple(row) for row in heat),
        "gaps": _times(gaps, clock),
        "replies": _times(replies, clock),
        "conversations": sum(begun.values()),
        "starters": tuple({"username": name, "conversations": many} for name, many in _ranked(begun)[:top]),
        "mentions": _mentions(chosen, spoken)[:top],
        "busiest": _busiest(chosen, clock),
        "verified": verified,
        "verified_share": verified / len(chosen) if chosen else 0.0,
        "clients": {"kchat": by_kchat, "others": len(chosen) - by_kchat},
    }


def within(
    messages: Iterable[Known],
    *,
    rooms: Sequence[str] = (),
    since: int | None = None,
    until: int | None = None,
) -> list[Known]:
    """Those of some rooms, or of all, and of a time."""
    return [
        each
        for each in messages
        if (not rooms or each.room in rooms)
        and (since is None or each.at >= since)
        and (until is None or each.at < until)
    ]


class _Clock:
    """Datetimes in a zone; each is asked for several times."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._moments: dict[int, datetime] = {}

    def __call__(self, at: int) -> datetime:
        found = self._moments.get(at)
        if found is None:
            found = self._moments[at] = _utc(at).astimezone(self._zone)
        return found


@cache
def _utc(at: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at)


def _ranked(counts: Mapping[str | None, int]) -> list[tuple[str | None, int]]:
    """The most first; of as many by name, and those without one after all others."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0] is None, item[0] or ""))


def _person(
    name: str | None, theirs: Sequence[Known], total: int, begun: Mapping[str | None, int]
) -> dict[str, Any]:
    return {
        "username": name,
        "messages": len(theirs),
        "share": len(theirs) / total,
        "characters": sum(each.length for each in theirs),
        "verified": sum(each.verified for each in theirs),
        "conversations": begun[name],
    }


def _days(
    of_rooms: Sequence[Known], chosen: Sequence[Known], clock: _Clock, *, weekly: bool
) -> tuple[dict[str, Any], ...]:
    """Each date, or each week's Monday, from the first message to the last one."""

    def day_of(each: Known) -> date:
        day = clock(each.at).date()
        return day - timedelta(days=day.weekday()) if weekly else day

    if not chosen:
        return ()
    messages: Counter[date] = Counter()
    names: defaultdict[date, set[str]] = defaultdict(set)
    for each in chosen:
        day = day_of(each)
        messages[day] += 1
        if each.name is not None:
            names[day].add(each.name)
    ever: dict[str, date] = {}
    for each in of_rooms:
        if each.name is not None:
            ever[each.name] = min(day_of(each), ever.get(each.name, date.max))
    found = []
    day = min(messages)
    while day <= max(messages):
        new = [name for name in names[day] if ever[name] == day]
        found.append(
            {
                "date": day,
                "messages": messages[day],
                "people": len(names[day]),
                "new": len(new),
                "returning": len(names[day]) - len(new),
            }
        )
        day += timedelta(days=7 if weekly else 1)
    return tuple(found)


def _times(times: Sequence[tuple[int, int]], clock: _Clock) -> dict[str, Any]:
    if not times:
        nothing = dict.fromkeys(("mean", "p50", "p95", "longest", "longest_at"))
        return {"count": 0, **nothing}
    lengths = sorted(length for length, _ in times)
    longest = lengths[-1]
    return {
        "count": len(lengths),
        "mean": mean(lengths) / 1000,
        "p50": lengths[ceil(0.50 * len(lengths)) - 1] / 1000,
        "p95": lengths[ceil(95 * len(lengths) / 100) - 1] / 1000,
        "longest": longest / 1000,
        "longest_at": clock(min(at for length, at in times if length == longest)),
    }


def _mentions(chosen: Sequence[Known], spoken: Mapping[str | None, int]) -> tuple[dict[str, Any], ...]:
    """By whom and of whom: a name of somebody else who wrote; of those whose names fold to the same, the most active."""
    meant: dict[str, str] = {}
    for name, _ in _ranked(spoken):
        if name is not None and folded(name) not in meant:
            meant[folded(name)] = name
    counts = Counter(
        (each.name, meant[of])
        for each in chosen
        for of in each.mentioned
        if of in meant and (each.name is None or folded(each.name) != of)
    )
    ranked = sorted(
        counts.items(), key=lambda item: (-item[1], item[0][0] is None, item[0][0] or "", item[0][1])
    )
    return tuple({"by": by, "of": of, "messages": many} for (by, of), many in ranked)


def _busiest(chosen: Sequence[Known], clock: _Clock) -> dict[str, Any] | None:
    minutes = Counter(each.at // 60_000 for each in chosen)
    if not minutes:
        return None
    most = max(minutes.values())
    first = min(minute for minute, many in minutes.items() if many == most)
    return {"at": clock(first * 60_000), "messages": most}
