"""What a fanout exchange has kept: where a new queue begins in it, and how it stays within its bounds."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amqp.exceptions import PreconditionFailed

from . import clock, marks, schema
from .definitions import MOST

if TYPE_CHECKING:
    from .definitions import QueueRow
    from .limits import Limits

#: Messages, and bytes of their bodies, that one step removes at most: a step is a pause for the publisher.
STEP_MESSAGES = 512
_STEP_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Beginning:
    """With how much of what is already there a new queue begins: ``x-history-last``, ``x-history-since``.

    Arguments:
        last: that many messages at most; None for no limit of that kind.
        since: UNIX seconds; only what was published from then on; None likewise. Neither: nothing.
    """

    last: int | None = None
    since: float | None = None


def read_beginning(arguments: Mapping[str, Any] | None) -> Beginning:
    """The history that a queue's declaration asks for.

    Raises:
        amqp.exceptions.PreconditionFailed: an argument of the wrong kind.
    """
    given = arguments or {}
    last, since = given.get("x-history-last"), given.get("x-history-since")
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or not 0 <= last <= MOST):
        raise PreconditionFailed(f"x-history-last is not a whole number, 0 or more: {last!r}")
    if since is not None and (
        isinstance(since, bool) or not isinstance(since, (int, float)) or since != since
    ):
        raise PreconditionFailed(f"x-history-since is not a time in UNIX seconds: {since!r}")
    return Beginning(last, None if since is None else float(since))


def newest(db: sqlite3.Connection, exchange: int) -> int:
    """The ``seq`` of an exchange's newest message, or the one below its first."""
    floor = schema.first_seq(exchange)
    row = db.execute(
        "SELECT max(seq) FROM message WHERE seq BETWEEN ? AND ?", (floor, schema.last_seq(exchange))
    ).fetchone()
    return floor if row[0] is None else int(row[0])


def position_of(db: sqlite3.Connection, exchange: int, beginning: Beginning) -> int:
    """The ``seq`` after which a queue that is bound now begins to read.

    The cost does not depend on how much there is: the last few are counted from the end, and look at no clock; what
    came since a time is looked for from the last mark on up to which all is older. With ``since`` there may be older
    ones behind the position, too, whose senders' clocks were slow: those who read from there leave them out.
    """
    end = newest(db, exchange)
    if beginning.last is None and beginning.since is None:
        return end
    (position,) = db.execute("SELECT floor FROM exchange WHERE id = ?", (exchange,)).fetchone()
    since = -math.inf if beginning.since is None else beginning.since
    if beginning.since is not None:
        older = marks.last(db, exchange, "latest < ?", since)
        position = position if older is None else max(position, older.seq)
    if beginning.last is not None:
        row = db.execute(
            "SELECT seq FROM message WHERE seq > ? AND seq <= ? AND published_at >= ?"
            " ORDER BY seq DESC LIMIT 1 OFFSET ?",
            (position, end, since, beginning.last),
        ).fetchone()
        if row is not None:
            position = row[0]
    return int(position)


def copy_into(db: sqlite3.Connection, exchange: int, queue: QueueRow, beginning: Beginning) -> None:
    """Queue that much history of an exchange for a queue that several may share, in the caller's transaction."""
    position = position_of(db, exchange, beginning)
    db.execute(
        "INSERT INTO queued (queue, message, expires_at)"
        " SELECT ?, seq, CASE WHEN ? IS NULL THEN expires_at"
        " ELSE min(ifnull(expires_at, 9e99), published_at + ?) END"
        " FROM message WHERE seq > ? AND seq <= ? AND published_at >= ifnull(?, -9e99) ORDER BY seq",
        (queue.id, queue.ttl, queue.ttl, position, schema.last_seq(exchange), beginning.since),
    )


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes that the histories in the file take, as of their last marks. What only queues hold does not count."""
    used = 0
    for exchange, floor_total in db.execute(
        "SELECT id, floor_total FROM exchange WHERE type = 'fanout' AND name NOT NULL"
    ).fetchall():
        end = marks.last(db, exchange)
        used += 0 if end is None else max(0, end.total - floor_total)
    return used


@dataclass(frozen=True)
class Prunable:
    """An exchange from which history is to go: what stands above ``floor``, up to ``ceiling``, but ``most`` bytes."""

    exchange: int
    floor: int
    ceiling: int
    most: float = math.inf
    deleted: bool = False


def prunable(db: sqlite3.Connection, limits: Limits) -> list[Prunable]:
    """The exchanges from which history is to go, the first one first. Takes no lock."""
    rows = db.execute("SELECT id, name, floor FROM exchange WHERE type = 'fanout'").fetchall()
    found = [
        Prunable(exchange, floor, schema.last_seq(exchange), deleted=True)
        for exchange, name, floor in rows
        if name is None
    ]
    live = [(exchange, floor) for exchange, name, floor in rows if name is not None]
    excess = used_bytes(db) - limits.history_max_bytes
    if excess > 0:
        # The oldest by the room's own clock: senders' may be wrong.
        live.sort(key=lambda each: _age_mark(db, *each))
        ends = {exchange: newest(db, exchange) - 1 for exchange, _ in live}
    else:
        cutoff = clock.passed(db) - limits.history_max_age
        old = {exchange: marks.last(db, exchange, "passed <= ?", cutoff) for exchange, _ in live}
        ends = {exchange: min(mark.seq, newest(db, exchange) - 1) for exchange, mark in old.items() if mark}
    return found + [
        Prunable(exchange, floor, ends[exchange], excess if excess > 0 else math.inf)
        for exchange, floor in live
        if ends.get(exchange, 0) > floor
    ]


def _age_mark(db: sqlite3.Connection, exchange: int, floor: int) -> float:
    """When the room's clock was read first after an exchange's oldest message."""
    row = db.execute(
        "SELECT passed FROM mark WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1",
        (floor, schema.last_seq(exchange)),
    ).fetchone()
    return math.inf if row is None else float(row[0])


def prune(db: sqlite3.Connection, limits: Limits) -> bool:
    """Remove one step's worth of history that is too old or too much; in the caller's transaction.

    The newest message of each exchange stays: the numbers of the next ones go on from it.

    Returns:
        bool: whether anything was removed, so that there may be more.
    """
    for each in prunable(db, limits):
        if _step(db, each):
            if not each.deleted:
                marks.forget(db, each.exchange, each.floor, limits)
            return True
        if each.deleted:
            span = schema.first_seq(each.exchange), schema.last_seq(each.exchange)
            db.execute("DELETE FROM mark WHERE seq BETWEEN ? AND ?", span)
            db.execute("DELETE FROM exchange WHERE id = ?", (each.exchange,))
            return True
    return False


def _step(db: sqlite3.Connection, what: Prunable) -> bool:
    """Raise an exchange's floor by one step and remove what no queue has below it."""
    size, cost, top = 0, 0, what.floor
    rows = db.execute(
        f"SELECT seq, length(body), {marks.COST} FROM message WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",  # noqa: S608 - a constant
        (what.floor, what.ceiling, STEP_MESSAGES),
    )
    for seq, length, each in rows.fetchall():
        if size > _STEP_BYTES or cost >= what.most:
            break
        top, size, cost = seq, size + length, cost + each
    if top == what.floor:
        return False
    db.execute(
        "UPDATE exchange SET floor = ?, floor_total = floor_total + ? WHERE id = ?",
        (top, cost, what.exchange),
    )
    db.execute(
        "DELETE FROM message WHERE seq > ? AND seq <= ?"
        " AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message = message.seq)",
        (what.floor, top),
    )
    return True
