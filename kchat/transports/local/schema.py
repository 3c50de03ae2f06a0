"""The tables of a room's file.

A message's ``seq`` is its exchange's id in the upper bits and a running number in the lower: each exchange's
messages stand together in the one B-tree, in order. An index on the exchange instead would cost every commit a
second page, which made a commit a third to two thirds slower when measured.

``exchange.floor`` parts history from the rest: a message at or below it is kept only for the queues that still
have it in ``queued`` and goes with the last of them. For exchanges that keep no history that is every message.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from amqp.exceptions import NotAllowed

from . import clock, limits

if TYPE_CHECKING:
    from .options import Options

#: ``PRAGMA application_id`` of a kchat room: the letters "kcht"; and ``PRAGMA user_version`` of a file with these tables.
APPLICATION_ID, VERSION = 0x6B636874, 3

#: How many low bits of ``seq`` count the messages of one exchange.
SEQ_BITS = 40

#: A floor above every message: no history.
NO_HISTORY = (1 << 62) - 1

#: Bytes in the write-ahead log after which it is copied into the file and started over (SQLite's own default).
WAL_BYTES = 4 * 1024 * 1024

EXCHANGE_TYPES = ("direct", "fanout", "topic")

# ruff: noqa: S608 - put together from the constants above

TABLES = (
    "CREATE TABLE topology (version INTEGER NOT NULL)",
    "INSERT INTO topology VALUES (1)",
    """CREATE TABLE exchange (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,            -- NULL: deleted, its history is being removed
        type TEXT NOT NULL,
        durable INTEGER NOT NULL,
        auto_delete INTEGER NOT NULL,
        arguments TEXT NOT NULL,
        floor INTEGER NOT NULL,
        floor_total INTEGER NOT NULL DEFAULT 0  -- bytes of all messages up to the floor, see marks.py
    )""",
    f"""INSERT INTO exchange (name, type, durable, auto_delete, arguments, floor) VALUES
        ('amq.direct', 'direct', 1, 0, '{{}}', {NO_HISTORY}),
        ('amq.fanout', 'fanout', 1, 0, '{{}}', {2 << SEQ_BITS}),
        ('amq.topic', 'topic', 1, 0, '{{}}', {NO_HISTORY})""",
    """CREATE TABLE queue (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        durable INTEGER NOT NULL,
        auto_delete INTEGER NOT NULL,
        owner INTEGER,               -- of an exclusive queue, else NULL
        arguments TEXT NOT NULL,
        max_length INTEGER,
        ttl REAL,                    -- seconds
        expires REAL,                -- seconds without use
        max_priority INTEGER,
        used_at REAL NOT NULL,
        dropped INTEGER NOT NULL DEFAULT 0  -- messages that were dropped unread, and that no reader was told of yet
    )""",
    """CREATE TABLE binding (
        exchange INTEGER NOT NULL,
        queue INTEGER NOT NULL,
        routing_key TEXT NOT NULL,
        PRIMARY KEY (exchange, queue, routing_key)
    ) WITHOUT ROWID""",
    "CREATE INDEX binding_queue ON binding (queue)",
    """CREATE TABLE consumer (
        queue INTEGER NOT NULL,
        owner INTEGER NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (queue, owner, tag)
    ) WITHOUT ROWID""",
    """CREATE TABLE message (
        seq INTEGER PRIMARY KEY,
        exchange TEXT NOT NULL,
        routing_key TEXT NOT NULL,
        published_at REAL NOT NULL,
        expires_at REAL,
        properties TEXT NOT NULL,    -- JSON, the headers among them
        body BLOB NOT NULL
    )""",
    """CREATE TABLE queued (
        id INTEGER PRIMARY KEY,      -- the order in the queue
        queue INTEGER NOT NULL,
        message INTEGER NOT NULL,
        holder INTEGER,              -- the owner that has it unacknowledged
        redelivered INTEGER NOT NULL DEFAULT 0,
        expires_at REAL,
        priority INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX queued_ready ON queued (queue, id) WHERE holder IS NULL",
    "CREATE INDEX queued_urgent ON queued (queue, priority DESC, id) WHERE holder IS NULL AND priority > 0",
    "CREATE INDEX queued_held ON queued (holder) WHERE holder IS NOT NULL",
    "CREATE INDEX queued_message ON queued (message)",
    f"""CREATE TRIGGER queued_gone AFTER DELETE ON queued BEGIN
        DELETE FROM message WHERE seq = OLD.message
            AND seq <= ifnull((SELECT floor FROM exchange WHERE id = OLD.message >> {SEQ_BITS}), {NO_HISTORY})
            AND NOT EXISTS (SELECT 1 FROM queued WHERE message = OLD.message);
    END""",
    "CREATE TABLE mark (seq INTEGER PRIMARY KEY, total INTEGER NOT NULL, latest REAL NOT NULL, passed REAL NOT NULL)",
    # One row each; see clock.py and limits.py.
    "CREATE TABLE clock (passed REAL NOT NULL, wall REAL NOT NULL, kernel REAL NOT NULL, boot TEXT NOT NULL)",
    """CREATE TABLE limits (
        history_max_age REAL NOT NULL,
        history_max_bytes INTEGER NOT NULL,
        backlog_max_bytes INTEGER NOT NULL,
        backlog_max_messages INTEGER NOT NULL
    )""",
)


def create(db: sqlite3.Connection) -> None:
    """Make the tables of a room, inside the caller's transaction."""
    for statement in TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def prepare(db: sqlite3.Connection, path: str, options: Options) -> None:
    """Set a connection up, and make an empty file a room. Raises NotAllowed as :func:`is_empty`, or without a log."""
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")  # see Store.checkpoint_if_due()
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    if not is_empty(db, path) and db.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        return
    if db.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise NotAllowed(f"{path}: the file system does not support SQLite's write-ahead log")
    db.execute("BEGIN IMMEDIATE")
    try:
        if is_empty(db, path):
            create(db)
            clock.start(db)
            limits.store(db, limits.of_new_room(options))
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def is_empty(db: sqlite3.Connection, path: str) -> bool:
    """Whether the file has to be made a room first. Raises NotAllowed if it is another program's, or another version's."""
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise NotAllowed(f"{path}: this is another program's database, not a room")
    if version not in (0, VERSION):
        which, mend = (
            ("a newer", "use that") if version > VERSION else ("an older", "move it away for a new one")
        )
        raise NotAllowed(
            f"{path}: written by {which} kchat (version {version} of the file, this one reads {VERSION}): {mend}"
        )
    return version == 0


def not_a_room(path: str, why: str) -> NotAllowed:
    """The error for a file that is not a room."""
    return NotAllowed(f"{path}: this is not a kchat room: {why}")


def is_closed(db: sqlite3.Connection) -> bool:
    """Whether the log is closed to writers: the topology's version is below 0 then, which no route has."""
    return bool(db.execute("SELECT version < 0 FROM topology").fetchone()[0])


def close_log(db: sqlite3.Connection) -> None:
    """Forbid further writes to this log, in the caller's transaction."""
    db.execute("UPDATE topology SET version = -abs(version) - 1").close()


def open_log(db: sqlite3.Connection) -> None:
    """Let everybody write to this log again, in the caller's transaction."""
    db.execute("UPDATE topology SET version = abs(version) WHERE version < 0").close()


def first_seq(exchange: int) -> int:
    """The ``seq`` just below the first message of that exchange."""
    return exchange << SEQ_BITS


def last_seq(exchange: int) -> int:
    """The highest ``seq`` that a message of that exchange can have."""
    return ((exchange + 1) << SEQ_BITS) - 1
