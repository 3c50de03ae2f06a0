"""Declaring and deleting exchanges, queues and bindings, with AMQP's rules and reply codes, and sweeping up after the dead.

Every function but :func:`sweep` works inside the caller's transaction. Each change raises the topology's version, by
which publishers and consumers, here and in other processes, notice.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from amqp.exceptions import NotFound, PreconditionFailed, ResourceLocked

from . import last_used, schema

if TYPE_CHECKING:
    from .store import Store

#: Queue arguments that only say how a new queue begins.
HISTORY_ARGUMENTS = ("x-history-last", "x-history-since", "x-history-after")

#: The largest number that an argument may be: one that a float holds exactly, too.
MOST = 1 << 53

#: The highest ``x-max-priority``, as on RabbitMQ: https://www.rabbitmq.com/docs/priority
HIGHEST_PRIORITY = 255

#: The longest name, in bytes: AMQP's short string.
_NAME_BYTES = 255


class QueueRow(NamedTuple):
    """A queue as the file has it. ``owner`` is set for an exclusive one; ``ttl`` and ``expires`` are seconds."""

    id: int
    name: str
    durable: bool
    auto_delete: bool
    owner: int | None
    arguments: str
    max_length: int | None
    ttl: float | None
    expires: float | None
    max_priority: int | None


def check_name(name: str, what: str) -> None:
    """Refuse a name that AMQP could not carry. Raises PreconditionFailed: over 255 bytes of UTF-8, or not valid Unicode."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise PreconditionFailed(f"the {what} {name!r} is not valid Unicode") from None
    if size > _NAME_BYTES:
        raise PreconditionFailed(f"the {what} is {size} bytes long; at most {_NAME_BYTES} are allowed")


def moved(db: sqlite3.Connection) -> None:
    """Note for everybody that exchanges, queues or bindings changed."""
    db.execute("UPDATE topology SET version = version + 1")


def canonical(arguments: Mapping[str, Any] | None) -> str:
    """Arguments as the file has them."""
    kept = {key: value for key, value in (arguments or {}).items() if key not in HISTORY_ARGUMENTS}
    return json.dumps(kept, sort_keys=True, default=str)


def create_exchange(db: sqlite3.Connection, name: str, values: tuple[str, int, int, str]) -> None:
    """Create an exchange of that type, durable, auto-delete and with those arguments."""
    db.execute(
        "INSERT INTO exchange (name, type, durable, auto_delete, arguments, floor) VALUES (?, ?, ?, ?, ?, ?)",
        (name, *values, schema.NO_HISTORY),
    )
    if values[0] == "fanout":
        db.execute("UPDATE exchange SET floor = id << ? WHERE name = ?", (schema.SEQ_BITS, name))
    moved(db)


def compare(what: str, names: tuple[str, ...], there: tuple[Any, ...], wanted: tuple[Any, ...]) -> None:
    """Compare a declaration with what exists. Raises PreconditionFailed where they differ."""
    for name, now, then in zip(names, there, wanted, strict=True):
        if now != then:
            raise PreconditionFailed(f"{what} exists with {name}={now!r}, not {then!r}")


def drop_exchange(db: sqlite3.Connection, number: int, kind: str) -> None:
    """Delete an exchange and its bindings. Its history goes bit by bit, see :mod:`.history`."""
    db.execute("DELETE FROM binding WHERE exchange = ?", (number,))
    if kind == "fanout":
        db.execute("UPDATE exchange SET name = NULL WHERE id = ?", (number,))
    else:
        db.execute("DELETE FROM exchange WHERE id = ?", (number,))


def find_exchange(db: sqlite3.Connection, name: str) -> tuple[int, str]:
    """Id and type of an exchange. Raises NotFound: it does not exist."""
    check_name(name, "exchange name")
    row = db.execute("SELECT id, type FROM exchange WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound(f"no exchange {name!r}")
    return row[0], row[1]


def find_queue(db: sqlite3.Connection, name: str) -> QueueRow | None:
    """The queue of that name, if there is one."""
    check_name(name, "queue name")
    row = db.execute(
        "SELECT id, name, durable, auto_delete, owner, arguments, max_length, ttl, expires, max_priority FROM queue"
        " WHERE name = ?",
        (name,),
    ).fetchone()
    return None if row is None else QueueRow(row[0], row[1], bool(row[2]), bool(row[3]), *row[4:])


def own_queue(db: sqlite3.Connection, name: str, owner: int | None) -> QueueRow:
    """The queue of that name, for the connection ``owner`` to use. Raises NotFound, or ResourceLocked: it is another's."""
    queue = find_queue(db, name)
    if queue is None:
        raise NotFound(f"no queue {name!r}")
    if queue.owner is not None and queue.owner != owner:
        raise ResourceLocked(f"queue {name!r} is exclusive to another connection")
    return queue


def _limit(arguments: Mapping[str, Any], key: str, name: str, most: int = MOST) -> int | None:
    value = arguments.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        wanted = "from 0 on" if most == MOST else f"from 0 to {most}"
        raise PreconditionFailed(f"queue {name!r}: {key} is not a whole number {wanted}: {value!r}")
    return value


def create_queue(
    db: sqlite3.Connection,
    name: str,
    *,
    durable: bool,
    auto_delete: bool,
    owner: int | None,
    arguments: Mapping[str, Any] | None,
) -> QueueRow:
    """Create a queue, with an ``owner`` an exclusive one. Raises PreconditionFailed: an argument is not allowed."""
    given = arguments or {}
    if given.get("x-overflow", "drop-head") != "drop-head":
        raise PreconditionFailed(f"queue {name!r}: x-overflow can only be drop-head here")
    _limit(given, "x-max-length-bytes", name)  # see history.overflows()
    times = [_limit(given, key, name) for key in ("x-message-ttl", "x-expires")]
    ttl, expires = (None if ms is None else ms / 1000 for ms in times)
    db.execute(
        "INSERT INTO queue (name, durable, auto_delete, owner, arguments, max_length, ttl, expires, max_priority,"
        " used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            int(bool(durable)),
            int(bool(auto_delete)),
            owner,
            canonical(given),
            _limit(given, "x-max-length", name),
            ttl,
            expires,
            _limit(given, "x-max-priority", name, HIGHEST_PRIORITY),
            last_used.stamp(db, expires),
        ),
    )
    moved(db)
    return own_queue(db, name, owner)


def delete_queue(db: sqlite3.Connection, queue: int) -> None:
    """Delete a queue with all that is in it and bound to it."""
    bound = db.execute("SELECT DISTINCT exchange FROM binding WHERE queue = ?", (queue,)).fetchall()
    db.execute("DELETE FROM binding WHERE queue = ?", (queue,))
    db.execute("DELETE FROM queued WHERE queue = ?", (queue,))
    db.execute("DELETE FROM consumer WHERE queue = ?", (queue,))
    db.execute("DELETE FROM queue WHERE id = ?", (queue,))
    for (exchange,) in bound:
        _leave_exchange(db, exchange)
    moved(db)


def _leave_exchange(db: sqlite3.Connection, exchange: int) -> None:
    """An auto-delete exchange goes with its last binding."""
    row = db.execute("SELECT type FROM exchange WHERE id = ? AND auto_delete", (exchange,)).fetchone()
    if row and not db.execute("SELECT 1 FROM binding WHERE exchange = ?", (exchange,)).fetchone():
        drop_exchange(db, exchange, row[0])


def bind(db: sqlite3.Connection, exchange: int, queue: int, routing_key: str) -> bool:
    """Bind; returns whether that is new."""
    check_name(routing_key, "binding key")
    cursor = db.execute("INSERT OR IGNORE INTO binding VALUES (?, ?, ?)", (exchange, queue, routing_key))
    if cursor.rowcount:
        moved(db)
    return bool(cursor.rowcount)


def unbind(db: sqlite3.Connection, exchange: int, queue: int, routing_key: str) -> bool:
    """Remove a binding, if it exists; returns whether the queue is still bound to the exchange."""
    cursor = db.execute(
        "DELETE FROM binding WHERE exchange = ? AND queue = ? AND routing_key = ?",
        (exchange, queue, routing_key),
    )
    if cursor.rowcount:
        _leave_exchange(db, exchange)
        moved(db)
    bound = db.execute("SELECT 1 FROM binding WHERE exchange = ? AND queue = ?", (exchange, queue)).fetchone()
    return bound is not None


# -- what the dead have left


def sweep(store: Store) -> int:
    """Release what dead connections had, and delete queues unused for too long (``x-expires``); returns how many were dead.

    Exclusive queues, consumers and unacknowledged messages are theirs. No process is in charge of that: publishers and
    consumers do it at intervals, and so does a declaration of a queue that a dead connection still seems to own.
    """
    dead = [number for number in store.attempt(_numbers_in_use) if not store.file.is_alive(number)]
    for number in dead:
        store.write(partial(release, owner=number))
    if store.attempt(_expired):

        def expire(db: sqlite3.Connection) -> None:
            for queue in _expired(db):
                delete_queue(db, queue)

        store.write(expire)
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


_UNUSED = (
    "SELECT id, used_at, expires FROM queue WHERE expires IS NOT NULL AND owner IS NULL AND used_at + expires < ?"
    " AND NOT EXISTS (SELECT 1 FROM consumer WHERE consumer.queue = queue.id)"
)


def _expired(db: sqlite3.Connection) -> list[int]:
    unused = db.execute(_UNUSED, (time.time(),)).fetchall()
    return [queue for queue, used_at, expires in unused if last_used.is_over(db, used_at, expires)]


def release(db: sqlite3.Connection, owner: object) -> None:
    """End what an owner had, in the caller's transaction: when it closes, or after its death."""
    db.execute("UPDATE queued SET holder = NULL, redelivered = 1 WHERE holder = ?", (owner,))
    consumed = [row[0] for row in db.execute("SELECT DISTINCT queue FROM consumer WHERE owner = ?", (owner,))]
    db.execute("DELETE FROM consumer WHERE owner = ?", (owner,))
    for (queue,) in db.execute("SELECT id FROM queue WHERE owner = ?", (owner,)).fetchall():
        delete_queue(db, queue)
    for queue in consumed:
        left_by_consumer(db, queue)


def left_by_consumer(db: sqlite3.Connection, queue: int) -> None:
    """A consumer of a shared queue ended: an auto-delete queue goes with its last one."""
    if db.execute("SELECT 1 FROM consumer WHERE queue = ?", (queue,)).fetchone():
        return
    for auto_delete, expires in db.execute(
        "SELECT auto_delete, expires FROM queue WHERE id = ?", (queue,)
    ).fetchall():
        if auto_delete:
            delete_queue(db, queue)
        else:
            db.execute("UPDATE queue SET used_at = ? WHERE id = ?", (last_used.stamp(db, expires), queue))
