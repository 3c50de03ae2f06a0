"""The facts of a list of messages, as a store would tell them; one room."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from kchat.archive.facts import Facts, Person, follows, hours_of
from kchat.archive.record import OTHERS, Record, mentions
from kchat.archive.span import QUARTER, Span, Zone
from kchat.archive.stats import Stats, compute


def at(text: str) -> int:
    """Milliseconds since 1970 of ``2026-01-05 09:12``, in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def said(
    when: str | int,
    username: str | None = "ada",
    text: str = "hello",
    *,
    verified: bool = False,
    client: str = "kchat",
    room: str = "chat",
) -> Record:
    """A message."""
    moment = at(when) if isinstance(when, str) else when
    account = username if verified else None
    return Record(
        room=room,
        key=f"i:{moment}",
        at=moment,
        username=username,
        account=account,
        verified=verified,
        text=text,
        length=len(text),
        digest=None,
        id=str(moment),
        sent_at=moment,
        received_at=moment,
        position=None,
        extra=None,
        client=client,
        mentions=mentions(text),
    )


def facts_of(records: Iterable[Record], zone: Zone) -> Facts:
    """The facts of messages that are in order."""
    records = list(records)
    found = Facts(rooms=["chat"] if records else [])
    for number, record in enumerate(records):
        person = found.people.setdefault(record.username, Person())
        person.messages += 1
        person.verified += record.verified
        person.characters += record.length
        person.others += record.client == OTHERS
        before = records[number - 1] if number else None
        if before is None or follows(
            found.gaps, found.replies, (before.at, before.username), (record.at, record.username)
        ):
            person.starts += 1
            found.conversations += 1
        for name in record.mentions:
            pair = record.username, name
            found.mentions[pair] = found.mentions.get(pair, 0) + 1
        found.active.add((zone.day(record.at), record.username))
        found.firsts.setdefault(record.username, record.at - record.at % QUARTER)
    found.minutes = {hour.start: hour.minutes for hour in hours_of(records)}
    if records:
        found.first, found.last = records[0].at, records[-1].at
    return found


def stats_of(
    records: Iterable[Record],
    zone: str = "UTC",
    *,
    top: int = 10,
    span: Span | None = None,
    words: list[tuple[str, int]] | None = None,
    firsts: dict[str | None, int] | None = None,
    archive: str = "archive.db",
) -> Stats:
    """The figures of messages that are in order.

    Arguments:
        firsts: first messages from before these.
    """
    in_zone = Zone(zone)
    facts = facts_of(records, in_zone)
    facts.firsts |= firsts or {}
    return compute(facts, span or Span(("chat",)), in_zone, archive=archive, top=top, words=words)
