"""Sweeping what dead connections have left: exclusive queues, consumers, unacknowledged messages.

No process is in charge of that. Publishers and consumers do it at intervals, and so does a declaration of a queue that a
dead connection still seems to own.
"""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING

from . import definitions

if TYPE_CHECKING:
    from .store import Store


def sweep(store: Store) -> int:
    """Release what dead connections had, and delete queues that were unused for too long (``x-expires``).

    Returns:
        int: the number of dead connections.
    """
    dead = [number for number in store.attempt(_numbers_in_use) if not store.file.is_alive(number)]
    for number in dead:
        store.write(partial(release, owner=number))
    now = time.time()
    if store.value(_EXPIRED, now) is not None:
        store.write(lambda db: _expire(db, now))
    return len(dead)


#: Connections that are checked in one pass: more than a room has, and few enough for one step.
_MOST_NUMBERS = 10_000

_OWNING = (
    "SELECT DISTINCT owner FROM queue WHERE owner IS NOT NULL LIMIT ?",
    "SELECT DISTINCT owner FROM consumer LIMIT ?",
    # From one to the next by the index: they may hold very many messages.
    (
        "WITH RECURSIVE held (holder) AS (SELECT min(holder) FROM queued WHERE holder IS NOT NULL UNION ALL"
        " SELECT (SELECT min(holder) FROM queued WHERE holder > held.holder) FROM held WHERE held.holder IS NOT NULL)"
        " SELECT holder FROM held WHERE holder IS NOT NULL LIMIT ?"
    ),
)


def _numbers_in_use(db: sqlite3.Connection) -> set[object]:
    """The numbers of all connections that own something, as the file has them."""
    return {number for sql in _OWNING for (number,) in db.execute(sql, (_MOST_NUMBERS,))}


_EXPIRED = (
    "SELECT id FROM queue WHERE expires IS NOT NULL AND owner IS NULL AND used_at + expires < ?"
    " AND NOT EXISTS (SELECT 1 FROM consumer WHERE consumer.queue = queue.id)"
)


def _expire(db: sqlite3.Connection, now: float) -> None:
    for (queue,) in db.execute(_EXPIRED, (now,)).fetchall():
        definitions.delete_queue(db, queue)


def release(db: sqlite3.Connection, owner: object) -> None:
    """End what an owner had, in the caller's transaction: when it closes, or after its death."""
    db.execute("UPDATE queued SET holder = NULL, redelivered = 1 WHERE holder = ?", (owner,))
    consumed = [row[0] for row in db.execute("SELECT DISTINCT queue FROM consumer WHERE owner = ?", (owner,))]
    db.execute("DELETE FROM consumer WHERE owner = ?", (owner,))
    for (queue,) in db.execute("SELECT id FROM queue WHERE owner = ?", (owner,)).fetchall():
        definitions.delete_queue(db, queue)
    for queue in consumed:
        left_by_consumer(db, queue)


def left_by_consumer(db: sqlite3.Connection, queue: int) -> None:
    """A consumer of a shared queue ended: an auto-delete queue goes with its last one."""
    if db.execute("SELECT 1 FROM consumer WHERE queue = ?", (queue,)).fetchone():
        return
    if db.execute("SELECT 1 FROM queue WHERE id = ? AND auto_delete", (queue,)).fetchone():
        definitions.delete_queue(db, queue)
    else:
        db.execute("UPDATE queue SET used_at = ? WHERE id = ?", (time.time(), queue))
