"""A room's store: one connection to its SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from . import errors, forks, limits
from .limits import Limits
from .notices import Ignored, Notice
from .opening import WAL_BYTES, is_closed
from .shared_file import SharedFile

if TYPE_CHECKING:
    from .options import Options

T = TypeVar("T")

#: Seconds that starting the log over may wait for readers.
_WAL_WAIT = 0.01

#: Connections of the parent in a forked child, kept so that nothing ever closes them there.
_inherited: list[sqlite3.Connection] = []

#: Stands for the result of work that was not done, because the log is closed.
_CLOSED = object()


class Store(SharedFile):
    """One connection to the file of a room. Several threads may use it.

    Arguments:
        options: where the file is, and how long to wait for a lock.

    Raises:
        amqp.exceptions.AMQPError: the file cannot be opened, or is not a room; see :mod:`.errors`.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        #: What the room keeps; as last read from its file.
        self.limits = Limits()
        #: What the user of the connection is to be told.
        self.notices: list[Notice] = []
        #: Messages that were pruned before this connection's own queues had read them, and that were not reported yet.
        self.overtaken = 0
        #: This connection wrote since :meth:`changed` was last called: ``data_version`` does not tell.
        self.dirty = True
        self._seen_version = -1
        self._checkpoint_at = WAL_BYTES
        forks.guard(self)
        try:
            self._open()
        except OSError as exc:
            self._drop(clean=False)
            raise errors.translate(exc, self.path) from exc
        except BaseException:
            self._drop(clean=False)
            raise
        forks.track(self)

    def _opened(self) -> None:
        """Read the room's limits. Options make them larger, for everybody, and never smaller."""
        self._seen_version, self.dirty = -1, True
        asked = limits.asked(self.options)
        self.limits = self.attempt(limits.read)
        if not self.openings:  # else they were reported
            self.notices = [Ignored(f"{self.path}: {text}") for text in limits.refusals(self.limits, asked)]
        if limits.raised(self.limits, asked) != self.limits:
            self.limits = self.attempt(lambda db: limits.enlarge(db, asked), "BEGIN IMMEDIATE")

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` as one transaction that may write, so that it is in the file that others open; see :meth:`attempt`."""
        while True:
            result = self.attempt(lambda db: _CLOSED if is_closed(db) else work(db), "BEGIN IMMEDIATE")
            if result is _CLOSED:
                self.leave_closed_log()
                continue
            self.dirty = True
            if isinstance(result, sqlite3.Cursor):
                result.close()  # SQLite would not close the connection before, should it have to move
            self.check_file()
            self.checkpoint_if_due()
            return cast("T", result)

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

    def checkpoint_if_due(self) -> None:
        """Copy the write-ahead log into the file and start it over, once it has grown. Asking costs a microsecond.

        SQLite does it by itself, but with readers coming and going all the time it never finds a moment to start
        over; then every single commit tries again, at the price of a sync to the disk each.
        """
        size = self._files.log_bytes
        if size <= WAL_BYTES:
            self._checkpoint_at = WAL_BYTES
        elif size >= self._checkpoint_at:
            # Should it not succeed (a process was stopped while reading), then not before it has grown by as much again.
            self._checkpoint_at = size + WAL_BYTES
            try:
                self._start_log_over(self.db)
            except sqlite3.Error as exc:
                if not errors.is_busy(exc):
                    raise self.failed(exc) from exc

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

    def close(self) -> None:
        """Close the file; harmless to repeat."""
        with self.lock, self.statement_lock:
            self._drop(clean=self._is_current())

    def forget(self) -> None:
        """In a forked child: the connection stays its parent's."""
        self.lock, self.statement_lock = (
            threading.RLock(),
            threading.RLock(),
        )  # other threads may have held them
        self._file, self._moving = None, False
        if self._db is not None:
            _inherited.append(self._db)
            self._db, self.execute, self._error = None, self._refuse, errors.forked
