"""What a fanout exchange has kept: where a new queue begins in it, and how it stays within its bounds."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amqp.exceptions import PreconditionFailed

from . import schema
from .topology import MOST

if TYPE_CHECKING:
    from .options import Options
    from .topology import QueueRow

#: Messages, and bytes of their bodies, that one step removes at most: a step is a pause for the publisher.
_STEP_MESSAGES = 512
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
        raise PreconditionFailed(f"x-history-last is no whole number from 0 on: {last!r}")
    if since is not None and (
        isinstance(since, bool) or not isinstance(since, (int, float)) or since != since
    ):
        raise PreconditionFailed(f"x-history-since is no time in UNIX seconds: {since!r}")
    return Beginning(last, None if since is None else float(since))


def newest(db: sqlite3.Connection, exchange: int) -> int:
    """The ``seq`` of an exchange's newest message, or the one below its first."""
    floor = schema.first_seq(exchange)
    row = db.execute(
        "SELECT max(seq) FROM message WHERE seq BETWEEN ? AND ?", (floor, schema.last_seq(exchange))
    ).fetchone()
    return floor if row[0] is None else int(row[0])


def position_of(db: sqlite3.Connection, exchange: int, beginning: Beginning, options: Options) -> int:
    """The ``seq`` after which a queue that is bound now begins to read.

    The cost does not depend on how much there is: the last few are counted from the end, a time is searched for
    by halving.
    """
    end = newest(db, exchange)
    if beginning.last is None and beginning.since is None:
        return end
    (floor,) = db.execute("SELECT floor FROM exchange WHERE id = ?", (exchange,)).fetchone()
    since = max(beginning.since or 0.0, time.time() - options.history_max_age)
    position = _before(db, int(floor), end, since)
    if beginning.last is not None:
        row = db.execute(
            "SELECT seq FROM message WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT 1 OFFSET ?",
            (position, end, beginning.last),
        ).fetchone()
        if row is not None:
            position = int(row[0])
    return position


def _before(db: sqlite3.Connection, low: int, high: int, since: float) -> int:
    """The ``seq`` in ``low..high`` below the first message published at ``since`` or later."""
    while low < high:
        middle = (low + high + 1) // 2
        row = db.execute(
            "SELECT published_at FROM message WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT 1",
            (middle, high),
        ).fetchone()
        if row is not None and row[0] < since:
            low = middle
        else:
            high = middle - 1
    return low


def copy_into(
    db: sqlite3.Connection, exchange: int, queue: QueueRow, beginning: Beginning, options: Options
) -> None:
    """Queue that much history of an exchange for a queue that several may share, in the caller's transaction."""
    position = position_of(db, exchange, beginning, options)
    db.execute(
        "INSERT INTO queued (queue, message, expires_at)"
        " SELECT ?, seq, CASE WHEN ? IS NULL THEN expires_at"
        " ELSE min(ifnull(expires_at, 9e99), published_at + ?) END"
        " FROM message WHERE seq > ? AND seq <= ? ORDER BY seq",
        (queue.id, queue.ttl, queue.ttl, position, schema.last_seq(exchange)),
    )


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the file that hold something. Pages set free by pruning are used again and do not count."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def _victims(db: sqlite3.Connection, options: Options) -> list[tuple[int, int, float | None]]:
    """The exchanges from which history is to go, each as ``(id, floor, published before)``, the first one first."""
    oldest = db.execute(
        "SELECT e.id, e.name, e.floor, (SELECT published_at FROM message"
        " WHERE seq > e.floor AND seq < (e.id + 1) << ? ORDER BY seq LIMIT 1)"
        " FROM exchange e WHERE e.type = 'fanout'",
        (schema.SEQ_BITS,),
    ).fetchall()
    deleted = [(exchange, floor, None) for exchange, name, floor, _ in oldest if name is None]
    live = sorted(
        (row for row in oldest if row[1] is not None and row[3] is not None), key=lambda row: row[3]
    )
    if used_bytes(db) > options.history_max_bytes:
        return deleted + [(exchange, floor, None) for exchange, _, floor, _ in live]
    cutoff = time.time() - options.history_max_age
    return deleted + [(exchange, floor, cutoff) for exchange, _, floor, at in live if at < cutoff]


def is_due(db: sqlite3.Connection, options: Options) -> bool:
    """Whether :func:`prune` may have something to do. Takes no lock, so ask this first."""
    return bool(_victims(db, options))


def prune(db: sqlite3.Connection, options: Options) -> bool:
    """Remove one step's worth of history that is too old or too much; in the caller's transaction.

    The newest message of each exchange stays: the numbers of the next ones go on from it.

    Returns:
        bool: whether anything was removed, so that there may be more.
    """
    for exchange, floor, cutoff in _victims(db, options):
        (name,) = db.execute("SELECT name FROM exchange WHERE id = ?", (exchange,)).fetchone()
        if name is None:
            if not _step(db, exchange, floor, schema.last_seq(exchange), None):
                db.execute("DELETE FROM exchange WHERE id = ?", (exchange,))
            return True
        if _step(db, exchange, floor, newest(db, exchange) - 1, cutoff):
            return True
    return False


def _step(db: sqlite3.Connection, exchange: int, floor: int, ceiling: int, cutoff: float | None) -> bool:
    """Raise an exchange's floor by one step, up to ``ceiling``, and remove what no queue has below it."""
    size, top = 0, floor
    rows = db.execute(
        "SELECT seq, published_at, length(body) FROM message WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        (floor, ceiling, _STEP_MESSAGES),
    )
    for seq, published_at, length in rows.fetchall():
        if size > _STEP_BYTES or (cutoff is not None and published_at >= cutoff):
            break
        top, size = seq, size + length
    if top == floor:
        return False
    db.execute("UPDATE exchange SET floor = ? WHERE id = ?", (top, exchange))
    db.execute(
        "DELETE FROM message WHERE seq > ? AND seq <= ?"
        " AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.message = message.seq)",
        (floor, top),
    )
    return True
