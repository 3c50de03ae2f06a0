"""Opening a room's file with SQLite: its content is checked first, since anybody may have written it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from amqp.exceptions import NotAllowed

from . import clock, errors, file_checks, limits, schema, untrusted
from .limits import Limits

if TYPE_CHECKING:
    import threading

    from .options import Options

#: Bytes in the write-ahead log after which it is copied into the file and started over (SQLite's own default).
WAL_BYTES = 4 * 1024 * 1024

#: Seconds between two attempts to open a file whose log is being changed.
LOG_PAUSE = 0.01


def connect(path: str, mode: str) -> sqlite3.Connection:
    """Connect to the file; ``mode`` is part of SQLite's URI, such as ``mode=rw``.

    Raises:
        amqp.exceptions.AMQPError: see :mod:`.errors`.
    """
    try:
        # Retrying is done in Database.attempt: SQLite's own steps of up to 100 ms starve whichever process is unlucky.
        return sqlite3.connect(
            f"file:{quote(path)}?{mode}",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.Error as exc:
        raise errors.translate(exc, path) from exc


def check_content(path: str, options: Options, statement_lock: threading.RLock) -> None:
    """Look into the file before anything in it is used, without changing or creating anything.

    Raises:
        amqp.exceptions.NotAllowed: it is not a room's file, or a newer kchat's.
    """
    deadline = time.monotonic() + options.busy_timeout
    while True:
        # Without a log nobody is writing to the file, and it can be read without creating one.
        mode = "mode=ro" if file_checks.has_log(path) else "mode=ro&immutable=1"
        watchdog = untrusted.Watchdog()
        try:
            with statement_lock, closing(connect(path, mode)) as db:
                watchdog = untrusted.guard(db, options.max_message_bytes)
                untrusted.check_content(db, path, _version(db, path))
                return
        except sqlite3.Error as exc:
            watchdog.reraise()
            if not errors.is_busy(exc) or time.monotonic() >= deadline:
                raise file_checks.not_opened(path, str(exc)) from exc
        time.sleep(LOG_PAUSE)


def prepare(db: sqlite3.Connection, path: str, options: Options) -> None:
    """Set the connection up, and bring the file to the current version if it is empty or older.

    Raises:
        amqp.exceptions.NotAllowed: it is not a room's file, or a newer kchat's, or there can be no log.
    """
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")  # see Store.checkpoint_if_due()
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    if _version(db, path) == schema.VERSION and _journal_mode(db, "") == "wal":
        return
    if _journal_mode(db, "= WAL") != "wal":
        raise NotAllowed(f"{path}: the file system does not support SQLite's write-ahead log")
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db, path)
        schema.upgrade(db)
        if version < schema.WITH_LIMITS:
            clock.start(db)
            # What an older file holds was kept by the default limits.
            kept = limits.raised(Limits(), limits.asked(options)) if version else limits.of_new_room(options)
            limits.store(db, kept)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _journal_mode(db: sqlite3.Connection, assignment: str) -> str:
    mode: str = db.execute(f"PRAGMA journal_mode {assignment}").fetchone()[0]
    return mode


def _version(db: sqlite3.Connection, path: str) -> int:
    """The file's schema version, 0 where it is empty.

    Raises:
        amqp.exceptions.NotAllowed: it is not a room's file, or a newer kchat's.
    """
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != schema.APPLICATION_ID and (application or version or tables):
        raise NotAllowed(f"{path}: this is another program's database, not a room")
    if version > schema.VERSION:
        raise NotAllowed(
            f"{path}: written by a newer kchat (version {version} of the file, "
            f"this one reads up to {schema.VERSION})"
        )
    return version


def is_closed(db: sqlite3.Connection) -> bool:
    """Whether the log is closed to writers: the topology's version is below 0 then, which no route has."""
    return bool(db.execute("SELECT version < 0 FROM topology").fetchone()[0])


def close_log(db: sqlite3.Connection) -> None:
    """Forbid further writes to this log, in the caller's transaction."""
    db.execute("UPDATE topology SET version = -abs(version) - 1").close()


def open_log(db: sqlite3.Connection) -> None:
    """Let everybody write to this log again, in the caller's transaction."""
    db.execute("UPDATE topology SET version = abs(version) WHERE version < 0").close()
