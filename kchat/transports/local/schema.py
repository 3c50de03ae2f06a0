"""The tables of a room's file.

A message's ``seq`` is its exchange's id in the upper bits and a running number in the lower: each exchange's
messages stand together in the one B-tree, in order. An index on the exchange instead would cost every commit a
second page, which made a commit a third to two thirds slower when measured.

``exchange.floor`` parts history from the rest: a message at or below it is kept only for the queues that still
have it in ``queued`` and goes with the last of them. For exchanges that keep no history that is every message.
"""

from __future__ import annotations

import sqlite3

#: ``PRAGMA application_id`` of a kchat room: the letters "kcht".
APPLICATION_ID = 0x6B636874

#: How many low bits of ``seq`` count the messages of one exchange.
SEQ_BITS = 40

#: A floor above every message: no history.
NO_HISTORY = (1 << 62) - 1

#: The exchange without a name: its id, and so the upper bits of its messages.
DEFAULT_EXCHANGE = 0

EXCHANGE_TYPES = ("direct", "fanout", "topic")

# ruff: noqa: S608 - put together from the constants above

_VERSION_1 = (
    "CREATE TABLE topology (version INTEGER NOT NULL)",
    "INSERT INTO topology VALUES (1)",
    """CREATE TABLE exchange (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,            -- NULL: deleted, its history is being removed
        type TEXT NOT NULL,
        durable INTEGER NOT NULL,
        auto_delete INTEGER NOT NULL,
        arguments TEXT NOT NULL,
        floor INTEGER NOT NULL
    )""",
    f"""INSERT INTO exchange (name, type, durable, auto_delete, arguments, floor) VALUES
        ('amq.direct', 'direct', 1, 0, '{{}}', {NO_HISTORY}),
        ('amq.fanout', 'fanout', 1, 0, '{{}}', {2 << SEQ_BITS}),
        ('amq.topic', 'topic', 1, 0, '{{}}', {NO_HISTORY})""",
    "CREATE TABLE owner (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
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
        used_at REAL NOT NULL
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
        expires_at REAL
    )""",
    "CREATE INDEX queued_ready ON queued (queue, id) WHERE holder IS NULL",
    "CREATE INDEX queued_held ON queued (holder) WHERE holder IS NOT NULL",
    "CREATE INDEX queued_message ON queued (message)",
    f"""CREATE TRIGGER queued_gone AFTER DELETE ON queued BEGIN
        DELETE FROM message WHERE seq = OLD.message
            AND seq <= ifnull((SELECT floor FROM exchange WHERE id = OLD.message >> {SEQ_BITS}), {NO_HISTORY})
            AND NOT EXISTS (SELECT 1 FROM queued WHERE message = OLD.message);
    END""",
)

_VERSION_2 = (
    # Priorities: RabbitMQ's x-max-priority.
    "ALTER TABLE queue ADD COLUMN max_priority INTEGER",
    "ALTER TABLE queued ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX queued_urgent ON queued (queue, priority DESC, id) WHERE holder IS NULL AND priority > 0",
    # Messages that were dropped unread, and that no reader was told of yet.
    "ALTER TABLE queue ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0",
    # Bytes of all messages up to the floor; see marks.py for what the marks say.
    "ALTER TABLE exchange ADD COLUMN floor_total INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE mark (
        seq INTEGER PRIMARY KEY,
        total INTEGER NOT NULL,
        latest REAL NOT NULL,
        passed REAL NOT NULL
    )""",
    # One row each; see clock.py and limits.py.
    "CREATE TABLE clock (passed REAL NOT NULL, wall REAL NOT NULL, kernel REAL NOT NULL, boot TEXT NOT NULL)",
    """CREATE TABLE limits (
        history_max_age REAL NOT NULL,
        history_max_bytes INTEGER NOT NULL,
        backlog_max_bytes INTEGER NOT NULL,
        backlog_max_messages INTEGER NOT NULL
    )""",
)

#: What brings a file of version 0 (empty), 1, 2, ... to the next version.
STEPS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)

#: The version that this code reads and writes: ``PRAGMA user_version``.
VERSION = len(STEPS)

#: The first version in which a room has limits and a clock of its own.
WITH_LIMITS = 2


def upgrade(db: sqlite3.Connection) -> None:
    """Bring the file to :data:`VERSION`, inside the caller's transaction; nothing to do when it is there."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    for step in STEPS[version:]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def first_seq(exchange: int) -> int:
    """The ``seq`` just below the first message of that exchange."""
    return exchange << SEQ_BITS


def last_seq(exchange: int) -> int:
    """The highest ``seq`` that a message of that exchange can have."""
    return ((exchange + 1) << SEQ_BITS) - 1
