"""The file of an archive: opened, made, and its transactions: :class:`ArchiveFile`."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kchat.archive.sqlite import errors, schema
from kchat.errors import SettingsError

BUSY_SECONDS = 10.0
"""How long to wait for another process that writes. A batch takes milliseconds, deleting a busy hour some seconds."""

LOG_PAGES = 4000
"""Pages of 4 KiB in the log after which it is copied into the file. SQLite's 1,000 copy the rollups more often."""

_PAGE = 4096  # bytes
_SECRET = 32  # bytes


class ArchiveFile:
    """An archive's file with a connection of SQLite's.

    Arguments:
        path: of the file.
        write: whether to write; a missing file is made, readable and writable by this account only.
        texts: whether it keeps texts. Default: whatever it does; a new one keeps them.
        private_folder: whether to make a missing folder, mode 0700, too.

    Attributes:
        path: of the file.
        secret: the key of the digests; None where texts are kept.
        db: the connection, in autocommit mode.

    Raises:
        kchat.errors.SettingsError: the path is no archive of kchat's, or not one with, or without, texts as asked for.
        kchat.errors.ArchiveError: it cannot be opened.
    """

    def __init__(
        self, path: Path, *, write: bool = False, texts: bool | None = None, private_folder: bool = False
    ) -> None:
        self.path = path
        self.writable = write
        self._immutable = False
        if write:
            _make(path, private_folder=private_folder)
        _check(path, write=write)
        with errors.translated(path), errors.told_apart(path):
            self.db = self._open()
            try:
                self.secret = self._prepare(texts=texts)
            except BaseException:
                self.db.close()
                raise
        status = path.stat()
        self._identity = (status.st_dev, status.st_ino)

    def _open(self) -> sqlite3.Connection:
        """A connection. One that reads, in a folder that it cannot write, does without a log, if there is none.

        SQLite makes an index beside the file before it reads it. Where that cannot be and no process writes, the file is
        whole by itself (https://sqlite.org/wal.html#read_only_databases).
        """
        if self.writable:
            return connect(self.path, "mode=rw")
        db = connect(self.path, self.reading_options)
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            db.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CANTOPEN or self._has_log():
                raise
            self._immutable = True
            return connect(self.path, self.reading_options)
        except BaseException:
            db.close()
            raise
        return db

    @property
    def reading_options(self) -> str:
        """The options of :func:`connect` for another connection that reads."""
        return "mode=ro&immutable=1" if self._immutable else "mode=ro"

    def _has_log(self) -> bool:
        return _log_of(self.path).exists()

    def _prepare(self, *, texts: bool | None) -> bytes | None:
        db = self.db
        db.execute("PRAGMA trusted_schema = OFF")  # the file may be a stranger's
        empty = schema.is_empty(db, self.path)
        if self.writable:
            # After a commit messages are acknowledged, and nowhere else. FULL syncs the log at each commit, so that they
            # outlive a power loss; in WAL mode NORMAL does not (https://sqlite.org/pragma.html#pragma_synchronous).
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA fullfsync = ON")  # macOS
            db.execute("PRAGMA checkpoint_fullfsync = ON")
            db.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
            db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
            db.execute(f"PRAGMA journal_size_limit = {LOG_PAGES * _PAGE}")
            if empty:
                self._make_tables(texts=texts)
        elif empty:
            raise SettingsError(
                f"{self.path} is empty, not an archive of kchat", hint="kchat archive fills one"
            )
        row = db.execute("SELECT secret FROM archive").fetchone()
        secret: bytes | None = row[0]
        if texts is not None and texts != (secret is None):
            raise SettingsError(
                f"the archive {self.path} keeps {'no ' if secret else ''}texts, which was said when it was made",
                hint=f"name another file for one that {'does' if texts else 'does not'}",
            )
        return secret

    def _make_tables(self, *, texts: bool | None) -> None:
        db = self.db
        db.execute(f"PRAGMA page_size = {_PAGE}")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before there are tables
        if db.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise SettingsError(
                f"{self.path}: this file system cannot hold SQLite's write-ahead log",
                hint="put the archive on a local disk",
            )
        db.execute("BEGIN IMMEDIATE")
        try:
            if schema.is_empty(db, self.path):
                secret = secrets.token_bytes(_SECRET) if texts is False else None
                schema.create(db, time.time_ns() // 1_000_000, secret)
            db.execute("COMMIT")
        finally:
            roll_back(db)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One unchanging view of the file."""
        with errors.translated(self.path):
            if self._immutable and self._has_log():  # somebody who can write has begun to
                self.db.close()
                self._immutable = False
                self.db = self._open()
            db = self.db
            outermost = not db.in_transaction
            if outermost:
                db.execute("BEGIN")
            try:
                yield db
            finally:
                if outermost:
                    roll_back(db)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, committed at its end; after an error nothing of it is kept.

        Raises:
            kchat.errors.ArchiveError: the archive was opened for reading; and all errors of SQLite's.
        """
        if not self.writable:
            raise SettingsError(
                f"the archive {self.path} was opened to be read", hint="open it with write=True"
            )
        with errors.translated(self.path):
            db = self.db
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                self._check_name()
                db.execute("COMMIT")
            finally:
                roll_back(db)

    def _check_name(self) -> None:
        """Make sure that what is committed is found later: SQLite writes on into a file that was deleted."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 - for each commit, and a Path costs more
        except OSError:
            raise errors.moved(self.path) from None
        if (status.st_dev, status.st_ino) != self._identity:
            raise errors.moved(self.path)

    def close(self) -> None:
        """Close the file. Safe to repeat."""
        self.db.close()


def connect(path: Path, options: str) -> sqlite3.Connection:
    """Open a connection in autocommit mode.

    Arguments:
        path: of the file.
        options: of SQLite's URI filenames (https://sqlite.org/uri.html).
    """
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def roll_back(db: sqlite3.Connection) -> None:
    """End a transaction, if there is one; the error that led here is the one to see."""
    if db.in_transaction:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")


def _make(path: Path, *, private_folder: bool) -> None:
    """Make an empty file, if there is none."""
    try:
        if private_folder:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_lone_log(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise SettingsError(
            f"the archive {path} cannot be made: {error.strerror}", hint="name a file in a folder of yours"
        ) from error


def _log_of(path: Path) -> Path:
    """SQLite's log, which is beside the file that a link leads to."""
    target = path.resolve()
    return target.with_name(f"{target.name}-wal")


def _refuse_lone_log(path: Path) -> None:
    """Leave a log alone whose archive was moved away: SQLite deletes the log of an empty file, with all that it has.

    After ``kill -9``, messages that are acknowledged are in the log, and nowhere else.

    Raises:
        kchat.errors.SettingsError: there is one.
    """
    log = _log_of(path)
    if log.exists() and log.stat().st_size and not (path.exists() and path.stat().st_size):
        raise SettingsError(
            f"{log} may have messages of an archive that is no longer at {path}",
            hint="put that archive back; or delete the log, if that archive is not wanted; or name another file",
        )


def _check(path: Path, *, write: bool) -> None:
    """Make sure that this account may use the file. Without opening it: closing it would end SQLite's locks on it."""
    try:
        if not path.is_file():
            if path.exists():
                raise SettingsError(f"{path} is not a file, so it is not an archive", hint="name a file")
            if path.is_symlink():
                raise SettingsError(
                    f"{path} is a link to {path.resolve()}, which is not there",
                    hint="name that file, or remove the link",
                )
            from shlex import quote

            raise SettingsError(
                f"there is no archive {path}", hint=f"kchat archive --to {quote(str(path))} makes one"
            )
        if 0 < path.stat().st_size < _PAGE:  # SQLite would take it for an empty database, and write over it
            raise SettingsError(f"{path} is not an archive of kchat", hint="name another file")
    except OSError as error:
        raise SettingsError(f"the archive {path} cannot be read: {error.strerror}") from error
    if not os.access(path, os.R_OK):
        raise SettingsError(
            f"the archive {path} cannot be read by this account", hint="see its mode and owner"
        )
    if write and not os.access(path, os.W_OK):
        raise SettingsError(
            f"the archive {path} cannot be written by this account", hint="see its mode and owner"
        )
