"""Declaring and deleting exchanges, queues and bindings, with AMQP's rules and reply codes.

Every function works inside the caller's transaction. Each change raises the topology's version, by which
publishers and consumers, here and in other processes, notice.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed, ResourceLocked

from . import schema

#: Queue arguments that only say how a new queue begins.
HISTORY_ARGUMENTS = ("x-history-last", "x-history-since")

#: The largest number that an argument may be: one that a float holds exactly, too.
MOST = 1 << 53

#: The highest ``x-max-priority``, as on RabbitMQ: https://www.rabbitmq.com/docs/priority
HIGHEST_PRIORITY = 255

#: The longest name, in bytes: AMQP's short string.
_NAME_BYTES = 255


@dataclass(frozen=True)
class QueueRow:
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
    """Refuse a name that AMQP could not carry.

    Raises:
        amqp.exceptions.PreconditionFailed: over 255 bytes of UTF-8, or not valid Unicode.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise PreconditionFailed(f"the {what} {name!r} is not valid Unicode") from None
    if size > _NAME_BYTES:
        raise PreconditionFailed(f"the {what} is {size} bytes long; at most {_NAME_BYTES} are allowed")


def moved(db: sqlite3.Connection) -> None:
    """Note for everybody that exchanges, queues or bindings changed."""
    db.execute("UPDATE topology SET version = version + 1")


def _canonical(arguments: Mapping[str, Any] | None) -> str:
    kept = {key: value for key, value in (arguments or {}).items() if key not in HISTORY_ARGUMENTS}
    return json.dumps(kept, sort_keys=True, default=str)


def declare_exchange(
    db: sqlite3.Connection,
    name: str,
    kind: str,
    *,
    durable: bool,
    auto_delete: bool,
    arguments: Mapping[str, Any] | None,
    passive: bool,
) -> None:
    """Create an exchange, or make sure that the existing one is the same; ``passive``: only that it exists.

    Raises:
        amqp.exceptions.NotFound: passive, and it does not exist.
        amqp.exceptions.PreconditionFailed: it exists with other properties, or the type is unknown.
        amqp.exceptions.AccessRefused: the name is reserved.
    """
    check_name(name, "exchange name")
    row = db.execute(
        "SELECT type, durable, auto_delete, arguments FROM exchange WHERE name = ?", (name,)
    ).fetchone()
    if row is None and passive:
        raise NotFound(f"no exchange {name!r}")
    if passive:
        return
    if kind not in schema.EXCHANGE_TYPES:
        raise PreconditionFailed(
            f"exchange {name!r}: type {kind!r} is not supported, only direct, fanout and topic"
        )
    wanted = (kind, int(durable), int(auto_delete), _canonical(arguments))
    if row is None:
        if not name or name.startswith("amq."):
            raise AccessRefused(f"exchange {name!r}: the name is reserved")
        db.execute(
            "INSERT INTO exchange (name, type, durable, auto_delete, arguments, floor) VALUES (?, ?, ?, ?, ?, ?)",
            (name, *wanted, schema.NO_HISTORY),
        )
        if kind == "fanout":
            db.execute("UPDATE exchange SET floor = id << ? WHERE name = ?", (schema.SEQ_BITS, name))
        moved(db)
        return
    for what, now, then in zip(("type", "durable", "auto_delete", "arguments"), row, wanted, strict=True):
        if now != then:
            raise PreconditionFailed(f"exchange {name!r} exists with {what}={now!r}, not {then!r}")


def delete_exchange(db: sqlite3.Connection, name: str, *, if_unused: bool) -> None:
    """Delete an exchange and its bindings. Its history goes bit by bit, see :mod:`.history`.

    Raises:
        amqp.exceptions.NotFound: it does not exist.
        amqp.exceptions.PreconditionFailed: ``if_unused``, and queues are bound.
        amqp.exceptions.AccessRefused: the name is reserved.
    """
    number, kind = find_exchange(db, name)
    if name.startswith("amq."):
        raise AccessRefused(f"exchange {name!r}: the name is reserved")
    if if_unused and db.execute("SELECT 1 FROM binding WHERE exchange = ?", (number,)).fetchone():
        raise PreconditionFailed(f"exchange {name!r} has bindings")
    _drop_exchange(db, number, kind)
    moved(db)


def _drop_exchange(db: sqlite3.Connection, number: int, kind: str) -> None:
    db.execute("DELETE FROM binding WHERE exchange = ?", (number,))
    if kind == "fanout":
        db.execute("UPDATE exchange SET name = NULL WHERE id = ?", (number,))
    else:
        db.execute("DELETE FROM exchange WHERE id = ?", (number,))


def find_exchange(db: sqlite3.Connection, name: str) -> tuple[int, str]:
    """Id and type of an exchange.

    Raises:
        amqp.exceptions.NotFound: it does not exist.
    """
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
    """The queue of that name, for the connection ``owner`` to use.

    Raises:
        amqp.exceptions.NotFound: it does not exist.
        amqp.exceptions.ResourceLocked: it belongs to another connection.
    """
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


def _seconds(arguments: Mapping[str, Any], key: str, name: str) -> float | None:
    """An argument in milliseconds, as AMQP has them, in seconds."""
    value = _limit(arguments, key, name)
    return None if value is None else value / 1000


def create_queue(
    db: sqlite3.Connection,
    name: str,
    *,
    durable: bool,
    auto_delete: bool,
    owner: int | None,
    arguments: Mapping[str, Any] | None,
) -> QueueRow:
    """Create a queue that does not exist yet; with an ``owner`` an exclusive one.

    Raises:
        amqp.exceptions.PreconditionFailed: a name or argument is not allowed.
    """
    given = arguments or {}
    if given.get("x-overflow", "drop-head") != "drop-head":
        raise PreconditionFailed(f"queue {name!r}: x-overflow can only be drop-head here")
    db.execute(
        "INSERT INTO queue (name, durable, auto_delete, owner, arguments, max_length, ttl, expires, max_priority,"
        " used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            int(bool(durable)),
            int(bool(auto_delete)),
            owner,
            _canonical(given),
            _limit(given, "x-max-length", name),
            _seconds(given, "x-message-ttl", name),
            _seconds(given, "x-expires", name),
            _limit(given, "x-max-priority", name, HIGHEST_PRIORITY),
            time.time(),
        ),
    )
    moved(db)
    return own_queue(db, name, owner)


def check_same(
    queue: QueueRow, *, durable: bool, exclusive: bool, auto_delete: bool, arguments: Mapping[str, Any] | None
) -> None:
    """Compare a declaration with the queue that exists.

    Raises:
        amqp.exceptions.PreconditionFailed: they differ.
    """
    there = (queue.durable, queue.owner is not None, queue.auto_delete, queue.arguments)
    wanted = (bool(durable), bool(exclusive), bool(auto_delete), _canonical(arguments))
    for what, now, then in zip(
        ("durable", "exclusive", "auto_delete", "arguments"), there, wanted, strict=True
    ):
        if now != then:
            raise PreconditionFailed(f"queue {queue.name!r} exists with {what}={now!r}, not {then!r}")


def touch(db: sqlite3.Connection, queue: QueueRow) -> None:
    """Note that a queue with ``x-expires`` was used."""
    if queue.expires is not None:
        db.execute("UPDATE queue SET used_at = ? WHERE id = ?", (time.time(), queue.id))


def delete_queue(db: sqlite3.Connection, queue: int) -> int:
    """Delete a queue with all that is in it and bound to it; returns how many rows it had ready."""
    (ready,) = db.execute(
        "SELECT count(*) FROM queued WHERE queue = ? AND holder IS NULL", (queue,)
    ).fetchone()
    exchanges = [
        row[0] for row in db.execute("SELECT DISTINCT exchange FROM binding WHERE queue = ?", (queue,))
    ]
    db.execute("DELETE FROM binding WHERE queue = ?", (queue,))
    db.execute("DELETE FROM queued WHERE queue = ?", (queue,))
    db.execute("DELETE FROM consumer WHERE queue = ?", (queue,))
    db.execute("DELETE FROM queue WHERE id = ?", (queue,))
    for exchange in exchanges:
        _leave_exchange(db, exchange)
    moved(db)
    return int(ready)


def _leave_exchange(db: sqlite3.Connection, exchange: int) -> None:
    """An auto-delete exchange goes with its last binding."""
    row = db.execute("SELECT type FROM exchange WHERE id = ? AND auto_delete", (exchange,)).fetchone()
    if row and not db.execute("SELECT 1 FROM binding WHERE exchange = ?", (exchange,)).fetchone():
        _drop_exchange(db, exchange, row[0])


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
