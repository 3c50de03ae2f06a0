"""What a fanout exchange has kept: where a new queue begins in it, and how it stays within its bounds."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from amqp.exceptions import PreconditionFailed

from . import clock, limits, marks, schema
from .definitions import MOST

if TYPE_CHECKING:
    from .definitions import QueueRow
    from .limits import Limits

#: Messages, and bytes of their bodies, that one step removes at most: a step is a pause for the publisher.
STEP_MESSAGES = 512
_STEP_BYTES = 4 * 1024 * 1024


#: When a message expires whose text was cleared: nobody is shown it.
CLEARED = 0.0


class Start(NamedTuple):
    """Where a queue begins in what an exchange has kept: behind ``position``.

    Of what stands up to ``dated_to`` it is only what has the time ``since`` or a later one, or one before ``unlikely``,
    which no right clock has shown.
    """

    position: int
    dated_to: int = 0
    since: float = -math.inf
    unlikely: float = -math.inf


class Read(NamedTuple):
    """How far a queue was read in a file: where it would go on; and of the last message, if any, properties and body."""

    start: Start
    last: tuple[str, bytes] | None


class After(NamedTuple):
    """How far a queue was read before its connection was lost.

    Attributes:
        file: device and inode of the room's file.
        read: by the same, also of files that the room had before.
        away: seconds since the connection was lost.
    """

    file: tuple[int, int]
    read: Mapping[tuple[int, int], Read]
    away: float


class Beginning(NamedTuple):
    """With how much of what is already there a new queue begins: ``x-history-last``, ``-since``, ``-after``.

    Arguments:
        last: that many messages at most; None for no limit of that kind.
        since: UNIX seconds; only what was published from then on; None likewise. Neither: nothing.
        after: where another queue has stopped reading. An exclusive queue goes on there, and regards nothing else.
    """

    last: int | None = None
    since: float | None = None
    after: After | None = None


def read_beginning(arguments: Mapping[str, Any] | None) -> Beginning:
    """The history that a queue's declaration asks for. Raises PreconditionFailed: an argument of the wrong kind."""
    given = arguments or {}
    last, since = given.get("x-history-last"), given.get("x-history-since")
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or not 0 <= last <= MOST):
        raise PreconditionFailed(f"x-history-last is not a whole number, 0 or more: {last!r}")
    if since is not None and (
        isinstance(since, bool) or not isinstance(since, (int, float)) or since != since
    ):
        raise PreconditionFailed(f"x-history-since is not a time in UNIX seconds: {since!r}")
    after = given.get("x-history-after")
    if after is not None and not isinstance(after, After):
        raise PreconditionFailed("x-history-after is for a connection that was lost")
    return Beginning(last, None if since is None else float(since), after)


def newest(db: sqlite3.Connection, exchange: int) -> int:
    """The ``seq`` of an exchange's newest message, or the one below its first."""
    floor = schema.first_seq(exchange)
    row = db.execute(
        "SELECT max(seq) FROM message WHERE seq BETWEEN ? AND ?", (floor, schema.last_seq(exchange))
    ).fetchone()
    return floor if row[0] is None else int(row[0])


IS_WANTED = "(m.seq > ? OR m.published_at >= ? OR m.published_at < ?)"
"""The condition for a message ``m`` behind a :class:`Start`, with its other three numbers for the ``?``."""

#: Seconds by which a clock that counts as right may differ from the room's.
_SLACK = 60.0

#: Seconds in which it is not noticed that another file has the room's name.
_UNNOTICED = 2.0

_LAST_GAP = (
    "SELECT max(earlier) FROM (SELECT passed, lag(passed) OVER (ORDER BY passed) AS earlier"
    " FROM (SELECT passed FROM mark UNION ALL SELECT ?)) WHERE passed - earlier BETWEEN ? AND ?"
)


def start_of(db: sqlite3.Connection, exchange: int, beginning: Beginning) -> Start:
    """Where a queue that is bound now begins to read.

    The cost does not depend on how much there is: the last few are counted from the end, and look at no sender's clock;
    what came since a time is looked for between the marks around it. What is older than the file's limit is left out:
    nobody prunes it before somebody sends.
    """
    end = newest(db, exchange)
    if beginning.last is None and beginning.since is None:
        return Start(end)
    start = not_too_old(db, exchange)
    if beginning.since is not None:
        asked = _since(db, exchange, beginning.since, start.position, end)
        if asked.since >= start.since or asked.unlikely == -math.inf:
            start = asked
    if beginning.last is not None:
        row = db.execute(
            f"SELECT seq FROM message m WHERE m.seq > ? AND m.seq <= ? AND {IS_WANTED}"  # noqa: S608 - a constant
            " ORDER BY m.seq DESC LIMIT 1 OFFSET ?",
            (start.position, end, *start[1:], beginning.last),
        ).fetchone()
        if row is not None:
            start = start._replace(position=int(row[0]))
    return start


def not_too_old(db: sqlite3.Connection, exchange: int) -> Start:
    """Where what is not older than the file's limit begins, by the room's clock alone, as for pruning."""
    (floor,) = db.execute("SELECT floor FROM exchange WHERE id = ?", (exchange,)).fetchone()
    since = time.time() - limits.read(db).history_max_age
    return _around(db, exchange, since, int(floor), newest(db, exchange))


def _since(db: sqlite3.Connection, exchange: int, since: float, floor: int, end: int) -> Start:
    """Where what came since a time begins, by the room's clock.

    While the machine was off for longer than a day, the room's clock has counted only that day. So of what came before,
    messages' own times are believed.
    """
    start, now = _around(db, exchange, since, floor, end), clock.passed(db)
    (gap,) = db.execute(_LAST_GAP, (now, clock.DAY, clock.DAY + _SLACK)).fetchone()
    if gap is None or now - (time.time() - since) >= gap:
        return start
    last = marks.last(db, exchange, "passed <= ?", gap)
    dated_to = start.dated_to if last is None else max(start.dated_to, min(last.seq, end))
    return start._replace(dated_to=dated_to, unlikely=-math.inf)


def _around(db: sqlite3.Connection, exchange: int, since: float, floor: int, end: int) -> Start:
    """The marks around a time tell, whatever the senders' clocks showed.

    Between these two, messages are told apart by their own times, unless those are impossible there: such a message is
    shown, since it may be meant.
    """
    now, wall = clock.passed(db), time.time()
    moment = now - (wall - since)
    before = marks.last(db, exchange, "passed < ?", moment - _SLACK)
    after = marks.first(db, exchange, "passed >= ?", moment + _SLACK)
    position, passed = (floor, 0.0) if before is None else (max(floor, before.seq), before.passed)
    unlikely = wall - (now - passed) - _SLACK
    return Start(position, end if after is None else min(after.seq, end), since, unlikely)


class Span(NamedTuple):
    """Neighbouring messages of an exchange, behind ``position`` and up to ``end``, and when they came, by the room's clock.

    That is between ``early`` and ``late``, in UNIX seconds; both are infinite where messages' own times are believed.
    """

    position: int
    end: int
    early: float
    late: float

    def came_at(self, said: float) -> float:
        """When one of them came that has this time. Where that is impossible, as early as is likely: it may be meant.

        While somebody writes, there is a mark about once a minute.
        """
        possible = self.early - _SLACK <= said <= self.late + _SLACK
        return said if possible else max(self.early, self.late - _SLACK)


def span_of(db: sqlite3.Connection, seq: int) -> Span:
    """The span of a message: between the marks around it; see :func:`_since`."""
    exchange = seq >> schema.SEQ_BITS
    now, wall = clock.passed(db), time.time()
    before = marks.last(db, exchange, "seq < ?", seq)
    after = marks.first(db, exchange, "seq >= ?", seq)
    position, early = (schema.first_seq(exchange), 0.0) if before is None else (before.seq, before.passed)
    end, late = (newest(db, exchange), now) if after is None else (after.seq, after.passed)
    (gap,) = db.execute(_LAST_GAP, (now, clock.DAY, clock.DAY + _SLACK)).fetchone()
    if gap is not None and early <= gap:
        return Span(position, end, -math.inf, math.inf)
    return Span(position, end, wall - (now - early), wall - (now - late))


def resume(
    db: sqlite3.Connection, exchange: int, after: After, file: tuple[int, int]
) -> tuple[Start | None, bool]:
    """Where to go on reading after a lost connection, and whether nothing is missed then; None where that is not known.

    In the same file, or a copy of it, that is behind what was read; but not where it was put back to an earlier state, so
    that numbers came again. What was made since then, a file or an exchange, holds nothing that was read; what the one
    before held, nobody knows.
    """
    same = file in after.read
    start, last = after.read[file if same else after.file]
    (floor,) = db.execute("SELECT floor FROM exchange WHERE id = ?", (exchange,)).fetchone()
    if start.position >> schema.SEQ_BITS == exchange:
        row = db.execute(
            "SELECT properties, body, expires_at FROM message WHERE seq = ?", (start.position,)
        ).fetchone()
        found = row is not None and last is not None and (row[:2] == last or row[2] == CLEARED)
        unknown = (row is None or last is None) and start.position <= newest(db, exchange)
        if found or (same and unknown):
            return start, True
        if same:
            return None, False
    is_new = same or clock.passed(db) <= after.away + _UNNOTICED
    return Start(int(floor)) if is_new else None, False


def copy_into(db: sqlite3.Connection, exchange: int, queue: QueueRow, beginning: Beginning) -> None:
    """Queue that much history of an exchange for a queue that several may share, in the caller's transaction."""
    start = start_of(db, exchange, beginning)
    db.execute(
        "INSERT INTO queued (queue, message, expires_at)"  # noqa: S608 - a constant
        " SELECT ?, seq, CASE WHEN ? IS NULL THEN expires_at"
        " ELSE min(ifnull(expires_at, 9e99), published_at + ?) END"
        f" FROM message m WHERE m.seq > ? AND m.seq <= ? AND {IS_WANTED} ORDER BY m.seq",
        (queue.id, queue.ttl, queue.ttl, start.position, schema.last_seq(exchange), *start[1:]),
    )


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes that the histories in the file take, as of their last marks. What only queues hold does not count."""
    rows = db.execute(
        "SELECT id, floor_total FROM exchange WHERE type = 'fanout' AND name NOT NULL"
    ).fetchall()
    ends = [(marks.last(db, exchange), floor_total) for exchange, floor_total in rows]
    return sum(max(0, end.total - floor_total) for end, floor_total in ends if end is not None)


def room_bytes(db: sqlite3.Connection, exchange: int) -> int:
    """Bytes that the history of one exchange takes."""
    floor, floor_total = db.execute(
        "SELECT floor, floor_total FROM exchange WHERE id = ?", (exchange,)
    ).fetchone()
    end = marks.last(db, exchange)
    position, total = (
        (floor, floor_total) if end is None else (max(floor, end.seq), max(floor_total, end.total))
    )
    (behind,) = db.execute(
        f"SELECT ifnull(sum({marks.COST}), 0) FROM message WHERE seq > ? AND seq <= ?",  # noqa: S608 - a constant
        (position, schema.last_seq(exchange)),
    ).fetchone()
    return int(total - floor_total + behind)


def clear(db: sqlite3.Connection, exchange: int, limits: Limits) -> None:
    """Forget all that an exchange has kept, in the caller's transaction, but what durable queues still hold.

    The newest message stays, as its number has to; its text goes.
    """
    while due := marks.missing(db, limits, leaving=True):
        marks.add(db, limits, due)
    top, end = newest(db, exchange), marks.last(db, exchange)
    total = 0 if end is None else end.total
    db.execute("UPDATE exchange SET floor = ?, floor_total = ? WHERE id = ?", (top, total, exchange))
    held = "EXISTS (SELECT 1 FROM queued WHERE queued.message = message.seq)"
    span = schema.first_seq(exchange), top
    db.execute(f"DELETE FROM message WHERE seq > ? AND seq < ? AND NOT {held}", span)  # noqa: S608 - constants
    db.execute(
        f"UPDATE message SET properties = '{{}}', body = x'', expires_at = ? WHERE seq = ? AND NOT {held}",  # noqa: S608
        (CLEARED, top),
    )
    marks.forget(db, exchange, top, limits)


class Prunable(NamedTuple):
    """An exchange from which history is to go: what stands above ``floor``, up to ``ceiling``, but ``most`` bytes."""

    exchange: int
    floor: int
    ceiling: int
    most: float = math.inf
    deleted: bool = False


def prunable(db: sqlite3.Connection, limits: Limits) -> list[Prunable]:
    """The exchanges from which history is to go, the first one first. Takes no lock."""
    rows = db.execute("SELECT id, name, floor FROM exchange WHERE type = 'fanout'").fetchall()
    deleted = [
        Prunable(each, floor, schema.last_seq(each), deleted=True)
        for each, name, floor in rows
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
    return deleted + [
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
    """Remove one step's worth of history that is too old or too much, in the caller's transaction; whether there was any.

    The newest message of each exchange stays: the numbers of the next ones go on from it.
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


# -- Shared queues that nobody reads. Such a queue has a row for each message of its fanout exchanges, until it is
# acknowledged: a subscriber that was durable once and never came back would fill the disk. So the oldest rows of such a
# queue go, and those of no other queue, nor any history; the next reader is told how many. Queues of direct and topic
# exchanges hold tasks and are not bounded here, but by ``x-max-length``, as on RabbitMQ. A queue's own
# ``x-max-length-bytes`` holds where it is smaller than the room's limit.

_READERS = (
    "SELECT DISTINCT b.queue, b.exchange, q.arguments FROM binding b JOIN queue q ON q.id = b.queue"
    " JOIN exchange e ON e.id = b.exchange"
    " WHERE e.type = 'fanout' AND (q.owner IS NULL OR q.max_priority IS NOT NULL)"
)

_WAITING = (
    "SELECT q.id, q.message, length(m.body) FROM queued q JOIN message m ON m.seq = q.message"
    " WHERE q.queue = ? AND q.holder IS NULL AND +q.message BETWEEN ? AND ? ORDER BY q.id LIMIT ?"
)


def max_bytes_of(arguments: str) -> float:
    """``x-max-length-bytes`` of a queue's arguments as the file has them, where anybody may have written them."""
    try:
        given = json.loads(arguments)["x-max-length-bytes"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return math.inf
    return given if isinstance(given, int) and given >= 0 else math.inf


def overflows(db: sqlite3.Connection, limits: Limits) -> list[tuple[int, int, int]]:
    """The queues that hold too much of an exchange, and the last ``seq`` that is to go.

    Takes no lock; costs a few look-ups for each shared queue of a room.
    """
    found = []
    for queue, exchange, arguments in db.execute(_READERS).fetchall():
        most = min(limits.backlog_max_bytes, max_bytes_of(arguments))
        beyond = newest(db, exchange) - limits.backlog_max_messages
        end = marks.last(db, exchange)
        if end is not None:
            mark = marks.last(db, exchange, "total <= ?", end.total - most)
            beyond = beyond if mark is None else max(beyond, mark.seq)
        if any(seq <= beyond for _, seq, _ in _waiting(db, queue, exchange, 1)):
            found.append((queue, exchange, beyond))
    return found


def _waiting(db: sqlite3.Connection, queue: int, exchange: int, limit: int) -> list[tuple[int, int, int]]:
    """Number, ``seq`` and length of the oldest messages of the exchange that wait in the queue."""
    span = schema.first_seq(exchange), schema.last_seq(exchange)
    return db.execute(_WAITING, (queue, *span, limit)).fetchall()


def drop(db: sqlite3.Connection, limits: Limits) -> bool:
    """Drop one step's worth of each queue that holds too much, in the caller's transaction; whether any did."""
    found = overflows(db, limits)
    for queue, exchange, beyond in found:
        size, numbers = 0, []
        for number, seq, length in _waiting(db, queue, exchange, STEP_MESSAGES):
            if seq > beyond or size > _STEP_BYTES:
                break
            numbers.append((number,))
            size += length
        db.executemany("DELETE FROM queued WHERE id = ?", numbers)
        db.execute("UPDATE queue SET dropped = dropped + ? WHERE id = ?", (len(numbers), queue))
    return bool(found)
