"""The SQLite file: opening it, transactions, waiting for a turn, noticing that it changed or went away."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import quote

from amqp.exceptions import AMQPError, NotAllowed

from . import clock, errors, forks, limits, schema
from .limits import Limits
from .notices import Ignored, Notice

if TYPE_CHECKING:
    from .options import Options

T = TypeVar("T")

#: Bytes in the write-ahead log after which it is copied into the file and started over (SQLite's own default).
_WAL_BYTES = 4 * 1024 * 1024

#: Seconds that starting the log over may wait for readers.
_WAL_WAIT = 0.01

#: Bytes that SQLite's smallest page has, and so its smallest file that is not empty.
_SMALLEST = 512

#: Connections of the parent in a forked child, kept so that nothing ever closes them there.
_inherited: list[sqlite3.Connection] = []


class Store:
    """One connection to the file of a room. Several threads may use it; they take turns.

    Arguments:
        options: where the file is, and how long to wait for a turn.

    Raises:
        amqp.exceptions.AMQPError: the file cannot be opened, or is no room; see :mod:`.errors`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.path = options.path
        #: Seconds to wait for a turn.
        self.patience = options.busy_timeout
        #: Held by a thread while it works on what is known about the room here: queues, consumers, what is
        #: unacknowledged. Never over a callback, nor while waiting for messages. Taken before :attr:`turn`.
        self.lock = threading.RLock()
        #: Held by a thread for one statement or transaction, never while waiting for other processes.
        self.turn = threading.RLock()
        self._error: Callable[[str], AMQPError] = errors.closed
        #: What the room keeps; as last read from its file.
        self.limits = Limits()
        #: What there is to tell whoever uses the connection.
        self.notices: list[Notice] = []
        self._db: sqlite3.Connection | None = None
        #: SQLite's ``execute``, for where a detour would cost too much; raises as :attr:`db` does.
        self.execute: Callable[..., sqlite3.Cursor] = self._refuse
        self._seen_version = -1
        #: Messages that were pruned before this connection's own queues had read them, and that nobody was told of yet.
        self.overtaken = 0
        #: The write-ahead log, which every commit writes to.
        self.log = self.path + "-wal"
        self._log_due = _WAL_BYTES
        #: This connection wrote since :meth:`changed` was last asked: ``data_version`` does not tell.
        self.dirty = True
        forks.guard(self)
        try:
            self._make_file()
            self._identity = self._identify()
            with self.turn:
                self._db = self._connect()
            self.execute = self._db.execute
            self.attempt(self._prepare)
        except OSError as exc:
            raise errors.translate(exc, self.path) from exc
        except BaseException:
            self.close()
            raise
        forks.track(self)

    def _make_file(self) -> None:
        directory = Path(self.path).parent
        if not directory.is_dir():
            directory.mkdir(0o700, parents=True, exist_ok=True)
        # Only where there is none yet: closing a second descriptor of a file that SQLite has open would drop
        # SQLite's locks on it. The log and its index get the file's mode from SQLite.
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            if 0 < Path(self.path).stat().st_size < _SMALLEST:  # SQLite would write over it
                raise NotAllowed(f"{self.path}: this is not an SQLite file") from None

    def _identify(self) -> tuple[int, int]:
        status = os.stat(self.path)  # noqa: PTH116 - a Path costs more, and this is asked for each message
        return status.st_dev, status.st_ino

    def _connect(self) -> sqlite3.Connection:
        try:
            # Waiting for a turn is done here, not by SQLite, whose steps of up to 100 ms starve whoever is unlucky.
            return sqlite3.connect(
                f"file:{quote(self.path)}?mode=rw",
                uri=True,
                timeout=0,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        except sqlite3.Error as exc:
            raise errors.translate(exc, self.path) from exc

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Look before touching anything: it may be somebody else's file."""
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # see tend_log()
        db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        if self._version(db) == schema.VERSION and self._mode(db, "") == "wal":
            self._heed_limits(db)
            return
        if self._mode(db, "= WAL") != "wal":
            raise NotAllowed(f"{self.path}: the file system does not support SQLite's write-ahead log")
        db.execute("BEGIN IMMEDIATE")
        try:
            if self._version(db) < schema.WITH_LIMITS:
                new = not self._version(db)
                schema.upgrade(db)
                clock.start(db)
                # What was there before it had limits of its own was kept by these.
                limits.store(
                    db,
                    limits.of_new_room(self.options)
                    if new
                    else limits.raised(Limits(), limits.asked(self.options)),
                )
            schema.upgrade(db)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
        self._heed_limits(db)

    def _heed_limits(self, db: sqlite3.Connection) -> None:
        """Read the room's limits. Options make them larger, for everybody, and never smaller."""
        asked = limits.asked(self.options)
        self.limits = limits.read(db)
        self.notices = [Ignored(f"{self.path}: {text}") for text in limits.refusals(self.limits, asked)]
        if (larger := limits.raised(self.limits, asked)) != self.limits:
            limits.store(db, larger)
            self.limits = larger

    def _mode(self, db: sqlite3.Connection, assignment: str) -> str:
        mode: str = db.execute(f"PRAGMA journal_mode {assignment}").fetchone()[0]
        return mode

    def _version(self, db: sqlite3.Connection) -> int:
        """The file's schema version, 0 where it is empty.

        Raises:
            amqp.exceptions.NotAllowed: it is not a room's file, or a newer kchat's.
        """
        application: int = db.execute("PRAGMA application_id").fetchone()[0]
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != schema.APPLICATION_ID and (application or version or tables):
            raise NotAllowed(f"{self.path}: this is another program's database, no room")
        if version > schema.VERSION:
            raise NotAllowed(
                f"{self.path}: written by a newer kchat (version {version} of the file, "
                f"this one reads up to {schema.VERSION})"
            )
        return version

    def _refuse(self, *_: Any) -> sqlite3.Cursor:
        raise self._error(self.path)

    @property
    def db(self) -> sqlite3.Connection:
        """The open SQLite connection.

        Raises:
            amqp.exceptions.RecoverableConnectionError: closed, or taken over by a fork.
        """
        if self._db is None:
            raise self._error(self.path)
        return self._db

    @property
    def is_open(self) -> bool:
        """Whether the file is open and was still there when last looked at."""
        return self._db is not None

    def attempt(self, work: Callable[[sqlite3.Connection], T], begin: str = "") -> T:
        """Do ``work``, again and again while it is somebody else's turn.

        Arguments:
            work: called with the SQLite connection; again from the start after every "busy".
            begin: the statement that begins a transaction around it; empty for none.

        Raises:
            amqp.exceptions.AMQPError: see :mod:`.errors`; nothing of ``work`` was kept.
        """
        db, deadline, pause = self.db, 0.0, 0.0002
        while True:
            try:
                with self.turn, self._transaction(db, begin):
                    return work(db)
            except sqlite3.IntegrityError:
                raise  # a constraint is the statement's own way to say no; whoever wrote it expects that
            except sqlite3.Error as exc:
                if not errors.is_busy(exc):
                    raise self.failed(exc) from exc
                now = time.monotonic()
                deadline = deadline or now + self.patience
                if now >= deadline:
                    raise errors.locked(self.path, self.patience) from exc
            # Short and uneven steps: whoever waits has about the same chance at each gap.
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
            pause = min(pause * 1.5, 0.002)

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

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` as one transaction that may write; see :meth:`attempt`."""
        result = self.attempt(work, "BEGIN IMMEDIATE")
        self.dirty = True
        self.check_file()
        self.tend_log()
        return result

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` on one unchanging view of the file; see :meth:`attempt`."""
        return self.attempt(work, "BEGIN")

    def failed(self, exc: sqlite3.Error) -> AMQPError:
        """What to raise for an SQLite error; a file that went away explains any of them."""
        self.check_file()
        return errors.translate(exc, self.path)

    def check_file(self) -> None:
        """Make sure that what is open is what stands at the path.

        Raises:
            amqp.exceptions.ConnectionForced: it was deleted or replaced; the connection is over.
        """
        try:
            lost = self._identify() != self._identity
        except OSError:
            lost = True
        if lost:
            self.lose(errors.gone)

    def lose(self, error: Callable[[str], AMQPError]) -> NoReturn:
        """The connection is over: whatever is tried from now on raises ``error(path)``, as this does."""
        self._error = error
        self._drop()
        raise error(self.path)

    def changed(self) -> bool:
        """Whether anybody, this connection included, has written since the last call. Costs about 2 µs."""
        try:
            with self.turn:
                (version,) = self.db.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as exc:
            if errors.is_busy(exc):
                return False
            raise self.failed(exc) from exc
        if version == self._seen_version and not self.dirty:
            return False
        self._seen_version, self.dirty = version, False
        return True

    def tend_log(self) -> None:
        """Copy the write-ahead log into the file and start it over, once it has grown. Asking costs a microsecond.

        SQLite does it by itself, but with readers coming and going all the time it never finds a moment to start
        over; then every single commit tries again, at the price of a sync to the disk each.
        """
        try:
            size = Path(self.log).stat().st_size
        except OSError:
            return
        if size <= _WAL_BYTES:
            self._log_due = _WAL_BYTES
        elif size >= self._log_due:
            # Should it not succeed (somebody stopped while reading), then not before it has grown by as much again.
            self._log_due = size + _WAL_BYTES
            db = self.db
            with self.turn:
                try:
                    db.execute(f"PRAGMA busy_timeout = {int(_WAL_WAIT * 1000)}")
                    db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                except sqlite3.Error as exc:
                    if not errors.is_busy(exc):
                        raise self.failed(exc) from exc
                finally:
                    db.execute("PRAGMA busy_timeout = 0")

    def _drop(self) -> None:
        with self.turn:
            db, self._db, self.execute = self._db, None, self._refuse
            if db is not None:
                db.close()

    def close(self) -> None:
        """Close the file; harmless to repeat."""
        self._drop()

    def forget(self) -> None:
        """In a forked child: the connection stays its parent's."""
        self.lock, self.turn = threading.RLock(), threading.RLock()  # other threads may have held them
        if self._db is not None:
            _inherited.append(self._db)
            self._db, self.execute, self._error = None, self._refuse, errors.forked

    def value(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, None where there is none."""
        row = self.attempt(lambda db: db.execute(sql, arguments).fetchone())
        return None if row is None else row[0]
