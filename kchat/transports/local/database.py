"""Statements and transactions on a room's file: retried while other processes have it locked."""

from __future__ import annotations

import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from amqp.exceptions import AMQPError, InternalError

from kchat.chance import between

from . import errors, untrusted

if TYPE_CHECKING:
    from .options import Options

T = TypeVar("T")

#: Seconds that starting the log over may wait for readers.
_WAL_WAIT = 0.01

#: The first pause before a statement is retried, and the longest, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.002


class Database(ABC):
    """One SQLite connection, which may be closed and opened again while it is in use. Several threads may use it."""

    def __init__(self, options: Options, path: str) -> None:
        self.options = options
        self.path = path
        #: Seconds to wait for other processes' locks.
        self.busy_timeout = options.busy_timeout
        #: Held by a thread while it works on what is known about the room here: queues, consumers, what is
        #: unacknowledged; and while it opens the file. Never over a callback, nor while waiting for messages.
        self.lock = threading.RLock()
        #: Held by a thread for one statement or transaction, never while waiting for other processes.
        self.statement_lock = threading.RLock()
        #: SQLite's ``execute``, where :meth:`attempt` would cost too much: with :attr:`statement_lock`, and not retried.
        self.execute: Callable[..., sqlite3.Cursor] = self._refuse
        self._db: sqlite3.Connection | None = None
        self._error: Callable[[str], AMQPError] = errors.closed
        self._watchdog = untrusted.Watchdog()
        #: This connection wrote since :meth:`changed` was last called: ``data_version`` does not tell.
        self.dirty = True
        self._seen_version = -1

    def _refuse(self, *_: Any) -> sqlite3.Cursor:
        """Fails as SQLite does where it is closed; :meth:`attempt` then opens it, or says why it is not open."""
        raise sqlite3.ProgrammingError("closed")

    @property
    def db(self) -> sqlite3.Connection:
        """The open SQLite connection. Raises RecoverableConnectionError: closed, or taken over by a fork."""
        return self._db or self._reopen()

    def _reopen(self) -> sqlite3.Connection:
        """Open it again, if it is closed for a moment only. Raises as :attr:`db`."""
        raise self._error(self.path)

    def attempt(self, work: Callable[[sqlite3.Connection], T], begin: str = "") -> T:
        """Do ``work``, again and again while other processes have the file locked.

        Arguments:
            work: called with the SQLite connection; again from the start after every "busy".
            begin: the statement that begins a transaction around it; empty for none.

        Raises:
            amqp.exceptions.AMQPError: see :mod:`.errors`; nothing of ``work`` was kept.
        """
        deadline, pause = 0.0, _FIRST_PAUSE
        while True:
            db = self.db
            try:
                with self.statement_lock:
                    if db is not self._db:
                        continue  # another thread has closed it, or moved this connection to another log
                    self._watchdog.begin()
                    with self._watched(), self._transaction(db, begin):
                        return work(db)
            except (sqlite3.IntegrityError, UnicodeError):
                raise  # a constraint is how a statement says no: the caller expects that
            except (TypeError, ValueError, OverflowError) as exc:  # a value that kchat does not write
                raise InternalError(f"{self.path}: the file is damaged ({exc})") from exc
            except sqlite3.Error as exc:
                if not errors.is_busy(exc):
                    raise self.failed(exc) from exc
                now = time.monotonic()
                deadline = deadline or now + self.busy_timeout
                if now >= deadline:
                    raise errors.locked(self.path, self.busy_timeout) from exc
            # Short and uneven steps: all waiters have about the same chance at each gap.
            time.sleep(pause * between(0.5, 1.5))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Raises what a signal's handler raised, where that ended a statement."""
        try:
            yield
        except sqlite3.Error:
            self._watchdog.reraise()
            raise

    @contextmanager
    def _transaction(self, db: sqlite3.Connection, begin: str) -> Iterator[None]:
        try:
            if begin:
                db.execute(begin)
            yield
            if begin:
                db.execute("COMMIT")
        finally:
            if begin and db.in_transaction:
                with suppress(sqlite3.Error):  # the error that led here is the one to see
                    db.execute("ROLLBACK")

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` on one unchanging view of the file; see :meth:`attempt`."""
        return self.attempt(work, "BEGIN")

    def value(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, None where there is none."""
        row = self.attempt(lambda db: db.execute(sql, arguments).fetchone())
        return None if row is None else row[0]

    def changed(self) -> bool:
        """Whether anybody, this connection included, has written since the last call. Costs about 2 µs."""
        try:
            db = self.db
            with self.statement_lock:
                if db is not self._db:
                    return True  # another thread has moved this connection; the caller will see
                (version,) = db.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as exc:
            if errors.is_busy(exc):
                return False
            raise self.failed(exc) from exc
        if version == self._seen_version and not self.dirty:
            return False
        self._seen_version, self.dirty = version, False
        return True

    def _start_log_over(self, db: sqlite3.Connection) -> None:
        with self.statement_lock:
            if db is self._db:
                self._watchdog.begin()
                try:
                    with self._watched():
                        db.execute(f"PRAGMA busy_timeout = {int(_WAL_WAIT * 1000)}")
                        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                finally:
                    db.execute("PRAGMA busy_timeout = 0")

    def _copy_whole_log(self) -> bool:
        """Copy all of the log into the file; returns whether that was possible within the busy timeout."""
        deadline = time.monotonic() + self.busy_timeout
        while True:
            try:
                busy, frames, copied = self.db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
                if not busy and frames == copied:
                    return True
            except sqlite3.Error as exc:
                if not errors.is_busy(exc):
                    return False
            if time.monotonic() >= deadline:
                return False
            time.sleep(untrusted.LOG_PAUSE)

    def failed(self, exc: sqlite3.Error) -> AMQPError:
        """What to raise for an SQLite error. Raises what a signal's handler raised, where that was why."""
        self._watchdog.reraise()
        return errors.translate(exc, self.path)

    def fail(self, error: Callable[[str], AMQPError]) -> NoReturn:
        """The connection is over: everything that is tried from now on raises ``error(path)``, as this does."""
        self._error = error
        self._drop(clean=False)
        raise error(self.path)

    @abstractmethod
    def _drop(self, *, clean: bool) -> None:
        """Close the file; ``clean`` if it is still what is at its name, so that SQLite may remove its log."""

    def _close_db(self) -> None:
        with self.statement_lock:
            db, self._db, self.execute = self._db, None, self._refuse
            if db is not None:
                db.close()
