"""Messages out of an archive's file, as :class:`~kchat.archive.record.Record`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kchat.archive.record import KCHAT, OTHERS, Record

if TYPE_CHECKING:
    from kchat.archive.span import Span

_FACTS = """SELECT at, person.name, verified, length, other, key, mentions
    FROM message JOIN person ON person.id = person
    WHERE room = ? AND at >= ? AND at < ? ORDER BY at, key"""

_WHOLE = """SELECT key, at, person.name, account, verified, text, length, hex(digest),
        sent_at, received_at, position, extra, other, mentions
    FROM message JOIN person ON person.id = person
    WHERE room = ? AND at >= ? AND at < ? ORDER BY at, key"""

_TEXTS = "SELECT text FROM message WHERE room = ? AND at >= ? AND at < ? AND text IS NOT NULL"

EARLIEST, LATEST = -(1 << 62), 1 << 62
"""Before and after all times."""


def times(span: Span) -> tuple[int, int]:
    """The first millisecond of a span, and the first after it."""
    return EARLIEST if span.since is None else span.since, LATEST if span.until is None else span.until


def facts_of(db: sqlite3.Connection, room: int, since: int, until: int) -> Iterator[Record]:
    """The messages of a room in order, with what is needed to count them and nothing else.

    Arguments:
        db: the connection.
        room: its id.
        since: the first millisecond since 1970.
        until: the first that is no longer meant.
    """
    for at, username, verified, length, other, key, mentions in db.execute(_FACTS, (room, since, until)):
        yield Record(
            *("", key, at, username, None, bool(verified), None, length, None, None, None, 0, None, None),
            OTHERS if other else KCHAT,
            tuple(json.loads(mentions)) if mentions else (),
        )


def whole(db: sqlite3.Connection, room: int, name: str, since: int, until: int) -> Iterator[Record]:
    """The messages of a room in order. Arguments as of :func:`facts_of`, and the room's name."""
    for row in db.execute(_WHOLE, (room, since, until)):
        key, at, username, account, verified, text, length, digest = row[:8]
        sent_at, received_at, position, extra, other, mentions = row[8:]
        yield Record(
            room=name,
            key=key,
            at=at,
            username=username,
            account=username if verified and account is None else account,
            verified=bool(verified),
            text=text,
            length=length,
            digest=digest.lower() or None,
            id=key[2:] if key.startswith("i:") else None,
            sent_at=sent_at,
            received_at=received_at,
            position=position,
            extra=extra,
            client=OTHERS if other else KCHAT,
            mentions=tuple(json.loads(mentions)) if mentions else (),
        )


def texts(db: sqlite3.Connection, room: int, since: int, until: int) -> Iterator[str]:
    """The texts of a room. Arguments as of :func:`facts_of`."""
    for (text,) in db.execute(_TEXTS, (room, since, until)):
        yield text
