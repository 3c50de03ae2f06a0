"""Shared queues that nobody reads: they are bounded, and their next reader is told how much was dropped.

A queue that several may share has a row for each message of its fanout exchanges, until it is acknowledged. A
subscriber that was durable once and never came back would fill the disk. So the oldest rows of such a queue go, and
those of no other queue, nor any history. Queues of direct and topic exchanges hold tasks and are not bounded here, but
by ``x-max-length``, as on RabbitMQ.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from . import history, marks, schema

if TYPE_CHECKING:
    from .limits import Limits

#: Messages, and bytes of their bodies, that one step drops at most: a step is a pause for the publisher.
_STEP_MESSAGES = 512
_STEP_BYTES = 4 * 1024 * 1024

_READERS = (
    "SELECT DISTINCT b.queue, b.exchange FROM binding b JOIN queue q ON q.id = b.queue"
    " JOIN exchange e ON e.id = b.exchange"
    " WHERE e.type = 'fanout' AND (q.owner IS NULL OR q.max_priority IS NOT NULL)"
)

_WAITING = (
    "SELECT q.id, q.message, length(m.body) FROM queued q JOIN message m ON m.seq = q.message"
    " WHERE q.queue = ? AND q.holder IS NULL AND +q.message BETWEEN ? AND ? ORDER BY q.id LIMIT ?"
)


class Overflow(NamedTuple):
    """A queue that holds too much of an exchange: all up to ``seq`` is to go."""

    queue: int
    exchange: int
    seq: int


def overflows(db: sqlite3.Connection, limits: Limits) -> list[Overflow]:
    """The queues that hold too much. Takes no lock; costs a few look-ups for each shared queue of a room."""
    found = []
    for queue, exchange in db.execute(_READERS).fetchall():
        overflow = Overflow(queue, exchange, _beyond(db, exchange, limits))
        if any(seq <= overflow.seq for _, seq, _ in _waiting(db, overflow, 1)):
            found.append(overflow)
    return found


def _beyond(db: sqlite3.Connection, exchange: int, limits: Limits) -> int:
    """The last ``seq`` of an exchange that is more than a backlog may hold behind its newest."""
    beyond = history.newest(db, exchange) - limits.backlog_max_messages
    end = marks.last(db, exchange)
    if end is not None:
        mark = marks.last(db, exchange, "total <= ?", end.total - limits.backlog_max_bytes)
        beyond = beyond if mark is None else max(beyond, mark.seq)
    return beyond


def _waiting(db: sqlite3.Connection, overflow: Overflow, limit: int) -> list[tuple[int, int, int]]:
    """Number, ``seq`` and length of the oldest messages of the exchange that wait in the queue."""
    span = schema.first_seq(overflow.exchange), schema.last_seq(overflow.exchange)
    return db.execute(_WAITING, (overflow.queue, *span, limit)).fetchall()


def drop(db: sqlite3.Connection, limits: Limits) -> bool:
    """Drop one step's worth of each queue that holds too much, in the caller's transaction; whether any did."""
    found = overflows(db, limits)
    for overflow in found:
        size, numbers = 0, []
        for number, seq, length in _waiting(db, overflow, _STEP_MESSAGES):
            if seq > overflow.seq or size > _STEP_BYTES:
                break
            numbers.append((number,))
            size += length
        db.executemany("DELETE FROM queued WHERE id = ?", numbers)
        db.execute("UPDATE queue SET dropped = dropped + ? WHERE id = ?", (len(numbers), overflow.queue))
    return bool(found)


def dropped(db: sqlite3.Connection, queue: int) -> int:
    """How many messages a queue has lost that no reader was told of."""
    row = db.execute("SELECT dropped FROM queue WHERE id = ?", (queue,)).fetchone()
    return 0 if row is None else int(row[0])


def was_told(db: sqlite3.Connection, queue: int, count: int) -> None:
    """A reader was told of ``count`` of them, in the caller's transaction."""
    db.execute("UPDATE queue SET dropped = max(0, dropped - ?) WHERE id = ?", (count, queue))
