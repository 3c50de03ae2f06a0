"""Statements and transactions on a room's file: retried while other processes have it locked."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from . import errors, untrusted

if TYPE_CHECKING:
    from amqp.exceptions import AMQPError

    from .options import Options

T = TypeVar("T")

#: The first pause before a statement is retried, and the longest, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.002


class Database:
    """One SQLite connection, which may be closed and opened again while it is in use. Several threads may use it.

    Arguments:
        options: where the file is, and how long to wait for a lock.
        path: the file, symbolic links resolved.
    """

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

    def _refuse(self, *_: Any) -> sqlite3.Cursor:
        """Fails as SQLite does where it is closed; :meth:`attempt` then opens it, or says why it is not open."""
        raise sqlite3.ProgrammingError("closed")

    @property
    def db(self) -> sqlite3.Connection:
        """The open SQLite connection.

        Raises:
            amqp.exceptions.RecoverableConnectionError: closed, or taken over by a fork.
        """
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
            except (
                TypeError,
                ValueError,
                OverflowError,
            ) as exc:  # a value of a kind that kchat does not write
                raise errors.damaged(self.path, exc) from exc
            except sqlite3.Error as exc:
                if not errors.is_busy(exc):
                    raise self.failed(exc) from exc
                now = time.monotonic()
                deadline = deadline or now + self.busy_timeout
                if now >= deadline:
                    raise errors.locked(self.path, self.busy_timeout) from exc
            # Short and uneven steps: all waiters have about the same chance at each gap.
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
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

    def failed(self, exc: sqlite3.Error) -> AMQPError:
        """What to raise for an SQLite error."""
        return errors.translate(exc, self.path)

    def fail(self, error: Callable[[str], AMQPError]) -> NoReturn:
        """The connection is over: everything that is tried from now on raises ``error(path)``, as this does."""
        self._error = error
        self._drop(clean=False)
        raise error(self.path)

    def _drop(self, *, clean: bool) -> None:
        """Close the file; ``clean`` if it is still what is at its name, so that SQLite may remove its log."""
        raise NotImplementedError

    def _close_db(self) -> None:
        with self.statement_lock:
            db, self._db, self.execute = self._db, None, self._refuse
            if db is not None:
                db.close()
