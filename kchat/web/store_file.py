"""The file of :mod:`kchat.web.store`: opened, made, and its errors as kchat's."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kchat.config.private_files import check_ours, locked
from kchat.errors import KchatError, SettingsError

APPLICATION_ID = 0x6B636777
"""``PRAGMA application_id`` of such a file: the letters "kcgw"."""

VERSION = 2
"""``PRAGMA user_version`` of a file with these tables. In version 1, secrets did not say which server gave them."""

BUSY_SECONDS = 5.0
"""How long to wait for another process that writes. A change takes milliseconds."""

_TABLES = (
    # AUTOINCREMENT: the number of a guest that was ended is never another's.
    """CREATE TABLE guests (
        id INTEGER PRIMARY KEY AUTOINCREMENT, broker TEXT NOT NULL, username TEXT NOT NULL, is_host INTEGER NOT NULL,
        account TEXT, password TEXT, rooms TEXT NOT NULL, may_read INTEGER NOT NULL, may_send INTEGER NOT NULL,
        created REAL NOT NULL, expires REAL, ended REAL, UNIQUE (broker, username))""",
    """CREATE TABLE secrets (
        digest BLOB PRIMARY KEY, kind TEXT NOT NULL, guest INTEGER NOT NULL REFERENCES guests ON DELETE CASCADE,
        created REAL NOT NULL, expires REAL, used REAL, browser BLOB, opened INTEGER NOT NULL DEFAULT 0,
        link BLOB, base TEXT) WITHOUT ROWID""",
    "CREATE INDEX secrets_of_guest ON secrets (guest, kind, created)",
    """CREATE TABLE servers (
        base TEXT PRIMARY KEY, broker TEXT NOT NULL, rooms TEXT NOT NULL, username TEXT NOT NULL,
        started REAL NOT NULL) WITHOUT ROWID""",
)

_FORMER = "move it away, or name another one with {store}"


class StoreUnavailable(KchatError):
    """The guests' file cannot be read or written now."""


class StoreLocked(StoreUnavailable):
    """Another process keeps the guests' file."""


def open_file(path: Path, wait: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file; where there is none, it is made, with mode 0600, and its folder with 0700.

    Arguments:
        path: of the file.
        wait: how long to wait for another process that keeps it, in seconds.

    One of an older kchat gets the tables of this one; an older kchat that has it open can go on.

    Raises:
        SettingsError: others can read or change it, it is something else, or a newer kchat made it.
        StoreLocked: another process keeps it.
        StoreUnavailable: the disk is full.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        check_ours(path, secret=True)
    except OSError as error:
        raise SettingsError(
            f"the guests' file {path} cannot be opened: {error.strerror}",
            hint="name another one with {store}",
        ) from error
    with translated(path):
        db = sqlite3.connect(path, isolation_level=None, timeout=wait)
        try:
            if _version(db, path) != VERSION:
                with locked(path, wait):  # of two that make it at once, one does
                    _make(db, path)
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA synchronous = FULL")  # who is revoked stays so after a power cut
            db.execute("PRAGMA secure_delete = ON")  # passwords are in it
            db.execute("PRAGMA trusted_schema = OFF")
        except BaseException:
            db.close()
            raise
    return db


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Of the tables; 0 in a file without any."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID and version > VERSION:
        raise SettingsError(f"a newer kchat made the guests' file {path}", hint="update kchat, or " + _FORMER)
    if application == APPLICATION_ID and version > 0:
        return int(version)
    if application or version or tables:
        raise SettingsError(f"{path} is not a file with kchat's guests", hint=_FORMER)
    return 0


def _make(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _version(db, path)  # another process may have been here first
        if version == 0:
            for statement in _TABLES:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        elif version == 1 and not _has_column(db, "secrets", "base"):
            db.execute("ALTER TABLE secrets ADD COLUMN base TEXT")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise


def _has_column(db: sqlite3.Connection, table: str, column: str) -> bool:
    found = db.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column))
    return found.fetchone() is not None


def roll_back(db: sqlite3.Connection) -> None:
    """Take back what a transaction has done; SQLite has done it already after some errors."""
    if db.in_transaction:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as kchat's (https://www.sqlite.org/rescode.html).

    Raises:
        SettingsError: it is not such a file, or is damaged.
        StoreLocked: another process keeps it.
        StoreUnavailable: the disk is full or failing, or the file may not be written.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            raise SettingsError(f"{path} is not a file with kchat's guests", hint=_FORMER) from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise SettingsError(
                f"the guests' file {path} is damaged", hint=_FORMER + "; the guests need new links"
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreUnavailable(
                f"no space left for the guests' file {path}", hint="free some space on that disk"
            ) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreLocked(
                f"another process keeps the guests' file {path}", hint="end it, and try again"
            ) from error
        raise StoreUnavailable(
            f"the guests' file {path} cannot be used: {error}",
            hint="check its mode, and whether its disk is full",
        ) from error
