"""A room's file that a stranger has made: nothing of ours is touched, nothing hangs, nothing inflates, one clear line."""

from __future__ import annotations

import os
import signal
import sqlite3
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import kombu
import pytest
from amqp.exceptions import AMQPError, InternalError, NotAllowed

from kchat.transports.local import schema
from tests.brokers.processes import Commands
from tests.integration.local.conftest import Connect, Work
from tests.integration.local.drive import drain, listen, own_queue, rest, send

Change = Callable[[sqlite3.Connection], Any]


@pytest.fixture
def changed(connect: Connect, path: Path) -> Callable[..., None]:
    """Makes a room with a message in it, and lets a stranger change it by SQL."""

    def change(*statements: str) -> None:
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
        connection = connect()
        channel = connection.channel()
        channel.exchange_declare("chat", "fanout")
        channel.queue_declare("jobs", durable=True)
        channel.queue_bind("jobs", "chat")
        send(channel, "hello", exchange="chat")
        connection.release()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                db.execute(statement)
            db.execute("PRAGMA journal_mode = DELETE")  # so that all is in the one file

    return change


def attempt(path: Path) -> str:
    """Uses the room as senders, subscribers and workers do; returns what is raised, empty where all is well."""
    try:
        with kombu.Connection(f"local://{path}") as connection:
            channel = connection.channel()
            send(channel, "x", exchange="chat")
            rest(connection, listen(channel, own_queue(channel, "chat", x_history_last=10)))
            rest(connection, listen(channel, "jobs"))
            channel.queue_delete("jobs")
    except AMQPError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"

FOREIGN_SCHEMAS = {
    "a view for a table": (
        "ALTER TABLE message RENAME TO other",
        "CREATE VIEW message AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT i AS seq, 'chat' AS exchange, '' AS routing_key, 0.0 AS published_at, NULL AS expires_at,"
        " '{}' AS properties, x'78' AS body FROM n",
    ),
    "a view that inflates": (
        "ALTER TABLE message RENAME TO other",
        "CREATE VIEW message AS SELECT seq, exchange, routing_key, published_at, expires_at, properties,"
        " zeroblob(900000000) AS body FROM other",
    ),
    "a trigger": (
        f"CREATE TRIGGER t AFTER INSERT ON message BEGIN DELETE FROM queue WHERE id IN ({ENDLESS}); END",
    ),
    "another body of the trigger": (
        "DROP TRIGGER queued_gone",
        "CREATE TRIGGER queued_gone AFTER DELETE ON queued BEGIN DELETE FROM message; END",
    ),
    "no trigger": ("DROP TRIGGER queued_gone",),
    "an index with an expression": ("CREATE INDEX i ON message (length(body) + 1)",),
    "a generated column": ("ALTER TABLE message ADD COLUMN g AS (zeroblob(900000000))",),
    "one column more": ("ALTER TABLE message ADD COLUMN more DEFAULT (1)",),
    "a table more": ("CREATE TABLE more (x)",),
    "a virtual table": ("CREATE VIRTUAL TABLE more USING fts5 (x)",),
    "a check": (
        "UPDATE sqlite_master SET sql = replace(sql, 'body BLOB NOT NULL',"
        " 'body BLOB NOT NULL CHECK (length(body) > 0)') WHERE name = 'message'",
    ),
    "a collation": (
        "UPDATE sqlite_master SET sql = replace(sql, 'name TEXT NOT NULL UNIQUE', 'name TEXT NOT NULL UNIQUE"
        " COLLATE nocase') WHERE name = 'queue'",
    ),
    "a schema that is no SQL": ("UPDATE sqlite_master SET sql = 'CREATE TABLE oops' WHERE name = 'message'",),
    "a table's pages elsewhere": ("UPDATE sqlite_master SET rootpage = 100000 WHERE name = 'topology'",),
    "statistics": ("ANALYZE",),
    "no version": ("PRAGMA user_version = 0",),
    "a version below the first": ("PRAGMA user_version = -1",),
}


def test_tables_that_kchat_has_not_made_are_refused_and_the_file_is_left_alone(
    changed: Callable[..., None], path: Path
) -> None:
    wrong = {}
    for name, statements in FOREIGN_SCHEMAS.items():
        changed(*statements)
        content, begin = path.read_bytes(), time.monotonic()
        told = attempt(path)
        if "room" not in told and "damaged" not in told:
            wrong[name] = told or "accepted"
        elif path.read_bytes() != content or os.listdir(path.parent) != [path.name]:
            wrong[name] = "changed"
        elif time.monotonic() - begin > 5:
            wrong[name] = "slow"
    assert not wrong


VALUES = ("NULL", "'text'", "x'00ff'", "1.5", "-1", "9223372036854775807", "-9223372036854775808", "zeroblob(70000000)")


def test_a_value_of_any_kind_anywhere_ends_in_one_clear_line(changed: Callable[..., None], path: Path) -> None:
    changed()
    original = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [
            (table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})").fetchall()
        ]
    wrong = {}
    for table, column in columns:
        for value in VALUES:
            path.write_bytes(original)
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                # Also where a constraint forbids it: who writes the bytes of a file is held by none.
                db.execute("PRAGMA writable_schema = ON")
                db.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE type = 'table' AND sql NOT LIKE '%WITHOUT%'")
                db.execute("PRAGMA writable_schema = RESET")
                try:
                    if not db.execute(f"UPDATE {table} SET {column} = {value}").rowcount:
                        db.execute(f"INSERT INTO {table} ({column}) VALUES ({value})")
                except sqlite3.Error:
                    continue
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("PRAGMA writable_schema = ON")
                for name, sql in made():
                    db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, name))
            try:
                attempt(path)
            except Exception as error:  # noqa: BLE001 - each is a traceback for somebody
                wrong[f"{table}.{column} = {value}"] = repr(error)
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
    assert not wrong


def made() -> list[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as db:
        schema.upgrade(db)
        return db.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL").fetchall()
