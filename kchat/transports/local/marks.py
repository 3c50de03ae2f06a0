"""Marks in a room's history, a few hundred for all of it, by which it is measured without being read.

A mark says of its exchange how many bytes all messages up to this ``seq`` take, their latest time, and what the room's
clock showed by then. Publishers make one now and then; a message costs nothing for it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from . import clock, schema

if TYPE_CHECKING:
    from .limits import Limits

#: Bytes of messages, and seconds, from one mark to the next; less where the room keeps little.
_BYTES = 256 * 1024
_SECONDS = 60.0
_PARTS = 16

_ROW = "(length(body) + length(properties) + length(exchange) + length(routing_key) + 24)"

#: What a message takes in the file, nearly: as many as fit share a page of 4,096 bytes, and what does not fit takes
#: pages of its own (https://www.sqlite.org/fileformat2.html#b_tree_pages).
COST = f"CASE WHEN {_ROW} <= 4061 THEN 4096 / (4088 / ({_ROW} + 6)) ELSE {_ROW} + 600 END"


class Mark(NamedTuple):
    """See the module. ``latest`` is in UNIX seconds, ``passed`` in seconds of the room's clock."""

    seq: int
    total: int
    latest: float
    passed: float


_COLUMNS = "seq, total, latest, passed"

#: Messages that are read at most for one mark: it is a pause for the publisher.
_MESSAGES = 4096

_BEHIND = (
    f"SELECT max(seq), sum({COST}),"  # noqa: S608
    " max(CASE typeof(published_at) WHEN 'real' THEN published_at END), count(*)"
    " FROM (SELECT * FROM message WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)"
)


def last(db: sqlite3.Connection, exchange: int, where: str = "1", value: float = 0) -> Mark | None:
    """The last mark of an exchange, of those for which ``where`` holds, a condition with ``value`` for its ``?``."""
    return _one(db, exchange, where, value, "DESC")


def first(db: sqlite3.Connection, exchange: int, where: str = "1", value: float = 0) -> Mark | None:
    """The first such mark; see :func:`last`."""
    return _one(db, exchange, where, value, "ASC")


def _one(db: sqlite3.Connection, exchange: int, where: str, value: float, order: str) -> Mark | None:
    row = db.execute(
        f"SELECT {_COLUMNS} FROM mark WHERE seq BETWEEN ? AND ? AND {where} ORDER BY seq {order} LIMIT 1",  # noqa: S608
        (schema.first_seq(exchange), schema.last_seq(exchange), *([value] if "?" in where else [])),
    ).fetchone()
    return None if row is None else _sound(*row)


def _sound(seq: object, total: object, latest: object, passed: object) -> Mark:
    if type(seq) is int and type(total) is int and type(latest) is float and type(passed) is float:
        return Mark(seq, total, latest, passed)
    raise ValueError(f"mark {seq!r:.80}")  # anybody may have written it


def _is_near(seconds: float, size: int, limits: Limits) -> bool:
    """Whether there need not be two marks so near each other."""
    return seconds < min(_SECONDS, limits.history_max_age / _PARTS) and size < min(
        _BYTES, limits.history_max_bytes // _PARTS
    )


def missing(db: sqlite3.Connection, limits: Limits, *, leaving: bool = False) -> list[Mark]:
    """The marks that are due: now and then, and for all that is there when a publisher leaves.

    Takes no lock, and reads what came since the last one.
    """
    now, due = clock.passed(db), []
    exchanges = db.execute(
        "SELECT id, floor, floor_total FROM exchange WHERE type = 'fanout' AND name NOT NULL"
    )
    for exchange, floor, floor_total in exchanges.fetchall():
        before = last(db, exchange)
        start, total, latest = (floor, floor_total, 0.0) if before is None else before[:3]
        span = start, schema.last_seq(exchange)
        seq, size, time, count = db.execute(_BEHIND, (*span, _MESSAGES)).fetchone()
        if seq is None:
            continue
        if leaving or before is None or count == _MESSAGES or not _is_near(now - before.passed, size, limits):
            due.append(Mark(seq, total + size, max(latest, time or 0.0), now))
    return due


def add(db: sqlite3.Connection, limits: Limits, due: list[Mark]) -> None:
    """Set marks, in the caller's transaction. The last one moves on where the one before it is near."""
    for mark in due:
        exchange = mark.seq >> schema.SEQ_BITS
        end = last(db, exchange)
        near = None if end is None else last(db, exchange, "seq < ?", end.seq)
        if end and near and _is_near(mark.passed - near.passed, mark.total - near.total, limits):
            db.execute("DELETE FROM mark WHERE seq = ?", (end.seq,))
        db.execute("INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?)", mark)
    clock.save(db)


def forget(db: sqlite3.Connection, exchange: int, floor: int, limits: Limits) -> None:
    """Remove the marks that are no longer needed, in the caller's transaction."""
    end = last(db, exchange)
    if end is not None:
        db.execute(
            "DELETE FROM mark WHERE seq BETWEEN ? AND ? AND total < ?",
            (schema.first_seq(exchange), min(floor, end.seq) - 1, end.total - limits.backlog_max_bytes),
        )
