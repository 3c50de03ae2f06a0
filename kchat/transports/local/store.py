"""The SQLite file: opening it, transactions, waiting for a turn, noticing that it changed or went away."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from urllib.parse import quote

from amqp.exceptions import AMQPError, NotAllowed

from . import clock, errors, file_checks, forks, limits, schema, untrusted
from .file_checks import Identity, Place
from .limits import Limits
from .locks import RoomFile, log_mark, log_number, mark_of, open_file, order_of
from .notices import Ignored, Notice

if TYPE_CHECKING:
    from .options import Options

T = TypeVar("T")

#: Bytes in the write-ahead log after which it is copied into the file and started over (SQLite's own default).
_WAL_BYTES = 4 * 1024 * 1024

#: Seconds that starting the log over may wait for readers.
_WAL_WAIT = 0.01

#: Seconds between two attempts to open a file whose log is being changed.
_LOG_PAUSE = 0.01

#: Seconds that a file may be deleted again and again while it is being opened.
_VANISHING = 1.0

#: Connections of the parent in a forked child, kept so that nothing ever closes them there.
_inherited: list[sqlite3.Connection] = []


class Store:
    """One connection to the file of a room. Several threads may use it; they take turns.

    Locks are taken in this order: :attr:`lock`, then the file's turn (:meth:`.RoomFile.turn`), then :attr:`turn` of one
    store, or of all that a process has at the file, by their ``id``; then :data:`.forks.innermost`. Whoever has a
    :attr:`turn` opens nothing and moves nowhere.

    Arguments:
        options: where the file is, and how long to wait for a turn.

    Raises:
        amqp.exceptions.AMQPError: the file cannot be opened, or is no room; see :mod:`.errors`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.path = file_checks.resolve(options.path)
        #: Seconds to wait for a turn.
        self.patience = options.busy_timeout
        #: Held by a thread while it works on what is known about the room here: queues, consumers, what is
        #: unacknowledged; and while it opens the file. Never over a callback, nor while waiting for messages.
        self.lock = threading.RLock()
        #: Held by a thread for one statement or transaction, never while waiting for other processes.
        self.turn = threading.RLock()
        self._error: Callable[[str], AMQPError] = errors.closed
        #: What the room keeps; as last read from its file.
        self.limits = Limits()
        #: What there is to tell whoever uses the connection.
        self.notices: list[Notice] = []
        #: Messages that were pruned before this connection's own queues had read them, and that nobody was told of yet.
        self.overtaken = 0
        self._db: sqlite3.Connection | None = None
        self._file: RoomFile | None = None
        self._place = Place(options.path, self.path)
        self._identity: Identity = (0,) * 6
        self._log_number = -1
        self._watchdog = untrusted.Watchdog()
        #: SQLite's ``execute``, for where a detour would cost too much: with :attr:`turn`, and not again if it fails.
        self.execute: Callable[..., sqlite3.Cursor] = self._refuse
        #: How often it was opened: another log may be in use after each time.
        self.openings = 0
        self._in_move = False
        #: Closed since the log was removed, to be opened again with the next use.
        self._moving = False
        self._seen_version = -1
        self._log_due = _WAL_BYTES
        #: This connection wrote since :meth:`changed` was last asked: ``data_version`` does not tell.
        self.dirty = True
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

    # -- opening

    def _open(self) -> None:
        begin = time.monotonic()
        while True:
            try:
                if self._open_once():
                    return
            except FileNotFoundError:  # deleted between two steps
                if time.monotonic() - begin > _VANISHING:
                    raise
            if time.monotonic() - begin > self.patience:
                raise errors.log_in_use(self.path, self.patience)
            for store in self._file.members() if self._file else ():
                if store is not self:
                    store.move_for_others()
            time.sleep(_LOG_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing

    def _open_once(self) -> bool:
        """Whether it is open: not while others use a log that was removed."""
        given, before = self.options.path, self._file
        if Path(given).is_symlink():
            Path(given).stat()  # the system may have reasons not to follow it
        self.path = file_checks.resolve(given)
        file_checks.make(self.path)
        file_checks.check(self.path)
        file = self._file = open_file(self.path)
        if before is not None:
            before.release()
            if before.inode != file.inode and self._moving:
                self.lose(errors.gone)
        with self._turn_at(file):
            return self._open_in_turn(file)

    @contextmanager
    def _turn_at(self, file: RoomFile) -> Iterator[None]:
        """Nobody else opens the file or moves to another log meanwhile.

        Raises:
            amqp.exceptions.RecoverableConnectionError: others do, for as long as we wait.
        """
        with file.turn(self.patience) as mine:
            if not mine:
                raise errors.locked(self.path, self.patience)
            yield

    def _open_in_turn(self, file: RoomFile, order: int | None = None) -> bool:
        """Whether it is open; ``order`` is the place of a log that does not exist yet, after others were copied."""
        path = self.path
        file_checks.check(path)
        file_checks.check_beside(path)
        file_checks.check_mount(path)
        file_checks.check_header(path, file.fd)
        self._place = Place(self.options.path, path)
        here = self._mark_now()
        for store in file.members():
            if store._db is not None and mark_of(store._log_number) != here:  # noqa: SLF001 - of our own kind
                return False  # SQLite would give us its index
        if order is None:
            logs = file.logs()
            same = [number for number in logs if mark_of(number) == here]
            if logs and not same:
                return False
            order = max(map(order_of, same), default=0)
        try:
            self._check_content()
            with self.turn:
                self._db = self._connect("mode=rw")
                self._watchdog = untrusted.guard(self._db, self.options.max_message_bytes)
            self._moving = False
            self.attempt(self._prepare)
            self._identity = self._place.now()
            mark = log_mark(self._identity[2:4], self._identity[4:6])
            expected = here in (-1, mark)
            # Into another one, which SQLite has made just now since the one that was here was removed, nothing is
            # written: those who still use that would take it for a stranger's.
            if expected:
                if self.attempt(is_closed):
                    self.attempt(_open_log, "BEGIN IMMEDIATE")
                self._heed_limits()
        except (AMQPError, OSError) as exc:
            self._close_db()
            if isinstance(exc, FileNotFoundError) or self._mark_now() != here:
                return False  # removed in the middle of it
            raise
        if not expected:
            self._close_db()
            return False
        self._log_number = log_number(order, mark)
        file.share(self._log_number)
        file.join(self)
        self.execute = self._db.execute
        self.openings += 1
        self._seen_version, self.dirty = -1, True
        return True

    def _mark_now(self) -> int:
        """What tells the log apart that stands beside the file; -1 where there is none."""
        try:
            now = self._place.now()
        except OSError:
            return -1
        return log_mark(now[2:4], now[4:6])

    def _check_content(self) -> None:
        """Look into the file before anything in it is used, without changing or making anything.

        Raises:
            amqp.exceptions.NotAllowed: it is not a room's file, or a newer kchat's.
        """
        deadline = time.monotonic() + self.patience
        while True:
            # Without a log nobody is writing to the file, and it can be read without making one.
            how = "mode=ro" if file_checks.has_log(self.path) else "mode=ro&immutable=1"
            watchdog = untrusted.Watchdog()
            try:
                with self.turn, closing(self._connect(how)) as db:
                    watchdog = untrusted.guard(db, self.options.max_message_bytes)
                    untrusted.check_content(db, self.path, self._version(db))
                    return
            except sqlite3.Error as exc:
                watchdog.reraise()
                if not errors.is_busy(exc) or time.monotonic() >= deadline:
                    raise file_checks.not_opened(self.path, str(exc)) from exc
            time.sleep(_LOG_PAUSE)

    def _connect(self, how: str) -> sqlite3.Connection:
        try:
            # Waiting for a turn is done here, not by SQLite, whose steps of up to 100 ms starve whoever is unlucky.
            return sqlite3.connect(
                f"file:{quote(self.path)}?{how}",
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

    def _heed_limits(self) -> None:
        """Read the room's limits. Options make them larger, for everybody, and never smaller."""
        asked = limits.asked(self.options)
        self.limits = self.attempt(limits.read)
        if not self.openings:  # else it was told
            self.notices = [Ignored(f"{self.path}: {text}") for text in limits.refusals(self.limits, asked)]
        if limits.raised(self.limits, asked) != self.limits:
            self.limits = self.attempt(lambda db: limits.enlarge(db, asked), "BEGIN IMMEDIATE")

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
            raise NotAllowed(f"{self.path}: this is another program's database, not a room")
        if version > schema.VERSION:
            raise NotAllowed(
                f"{self.path}: written by a newer kchat (version {version} of the file, "
                f"this one reads up to {schema.VERSION})"
            )
        return version

    def _refuse(self, *_: Any) -> sqlite3.Cursor:
        """As SQLite where it is closed: :meth:`attempt` opens it, or says why it is not open."""
        raise sqlite3.ProgrammingError("closed")

    @property
    def db(self) -> sqlite3.Connection:
        """The open SQLite connection.

        Raises:
            amqp.exceptions.RecoverableConnectionError: closed, or taken over by a fork.
        """
        return self._db or self._opened_again()

    def _opened_again(self) -> sqlite3.Connection:
        """Open it again after the log was removed, where that is why it is closed. Raises as :attr:`db`."""
        with self.lock:
            while (db := self._db) is None:
                if not self._moving:
                    raise self._error(self.path)
                try:
                    self._open()
                except BaseException as exc:
                    self._drop(clean=False)
                    if isinstance(exc, OSError):
                        raise errors.translate(exc, self.path) from exc
                    raise
            return db

    @property
    def file(self) -> RoomFile:
        """The file with its locks. Raises as :attr:`db`."""
        if self._file is None:
            raise self._error(self.path)
        return self._file

    @property
    def places(self) -> tuple[str, str, str]:
        """The write-ahead log, which every commit writes to; the file; the log's index."""
        return self._place.log, self.path, self._place.index

    @property
    def is_open(self) -> bool:
        """Whether the file is open and was still there when last looked at."""
        return self._db is not None or self._moving

    def attempt(self, work: Callable[[sqlite3.Connection], T], begin: str = "") -> T:
        """Do ``work``, again and again while it is somebody else's turn.

        Arguments:
            work: called with the SQLite connection; again from the start after every "busy".
            begin: the statement that begins a transaction around it; empty for none.

        Raises:
            amqp.exceptions.AMQPError: see :mod:`.errors`; nothing of ``work`` was kept.
        """
        deadline, pause = 0.0, 0.0002
        while True:
            db = self.db
            try:
                with self.turn:
                    if db is not self._db:
                        continue  # another thread has closed it, or moved this connection to another log
                    self._watchdog.begin()
                    with self._watched(), self._transaction(db, begin):
                        return work(db)
            except sqlite3.IntegrityError:
                raise  # a constraint is the statement's own way to say no; whoever wrote it expects that
            except UnicodeError:
                raise
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
                deadline = deadline or now + self.patience
                if now >= deadline:
                    raise errors.locked(self.path, self.patience) from exc
            # Short and uneven steps: whoever waits has about the same chance at each gap.
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
            pause = min(pause * 1.5, 0.002)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A statement that a signal's handler has ended by raising raises the same."""
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

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` as one transaction that may write, so that it is in the file that others open; see :meth:`attempt`."""
        while True:
            result = self.attempt(lambda db: _CLOSED if is_closed(db) else work(db), "BEGIN IMMEDIATE")
            if result is _CLOSED:
                self.leave_log()
                continue
            self.dirty = True
            if isinstance(result, sqlite3.Cursor):
                result.close()  # SQLite would not close the connection before, should it have to move
            self.check_file()
            self.tend_log()
            return cast("T", result)

    def leave_log(self) -> None:
        """Nothing more goes into this log: whoever is first to move has closed it. Move, too."""
        with self.lock:
            opening = self.openings
            self.check_file()
            if self.openings != opening:
                return
            with self._turn_at(self.file):
                # It may still be the one that stands there: whoever closed it came to an end in the middle of that.
                if self._db is not None and self._stands():
                    self.attempt(_open_log, "BEGIN IMMEDIATE")

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do ``work`` on one unchanging view of the file; see :meth:`attempt`."""
        return self.attempt(work, "BEGIN")

    def failed(self, exc: sqlite3.Error) -> AMQPError:
        """What to raise for an SQLite error; a file that went away explains any of them."""
        if self._log_number >= 0 and not self._in_move:  # else it is just being opened, or left
            self.check_file()
        return errors.translate(exc, self.path)

    # -- still the same file

    def check_file(self) -> None:
        """Make sure that what is open is what others open; moves to another log where that was removed. Costs about 4 µs.

        Called after each commit, before anybody is told of it. What was committed is in the file then, or will be in it
        before anybody else opens it: see :meth:`_move`.

        Raises:
            amqp.exceptions.ConnectionForced: the file was deleted or replaced, or what was in its log is lost; the
                connection is over.
        """
        if not self._stands():
            with self.lock:
                self._leave_removed()
                _ = self.db  # open it again, if it is not yet

    def _stands(self) -> bool:
        """Whether what is open is what stands at its place."""
        try:
            return self._place.now() == self._identity
        except OSError:
            return False

    def _leave_removed(self) -> None:
        """Move, if it is open. Raises as :meth:`check_file`."""
        if self._db is not None:
            file = self.file
            with self._turn_at(file):
                if self._db is not None:  # else another one of this process was first
                    self._in_move = True
                    try:
                        self._move(file)
                    finally:
                        self._in_move = False

    def move_for_others(self) -> None:
        """Leave a log that was removed, unless a thread is at work here: another connection waits for that."""
        if self._db is not None and self.lock.acquire(blocking=False):
            try:
                if not self._stands():
                    with suppress(AMQPError):
                        self._leave_removed()
            finally:
                self.lock.release()

    def _move(self, file: RoomFile) -> None:
        """From a log that was removed to the one that others have now, or will have.

        Whoever is first closes the log, by a number in it that every writer looks at, and copies what is in it into the
        file. Nobody opens the file before that. So what was committed by others that use the log is in the file as well.
        """
        own, here = self._identity, self._place
        try:
            if here.file_now() != own[:2]:
                self._leave_gone()
        except OSError:
            self._leave_gone()
        if self._stands():  # the log was put back
            return
        order = order_of(self._log_number)
        first = all(order_of(number) <= order for number in file.logs())
        with ExitStack() as stack:
            for store in (members := sorted(file.members(), key=id)):
                if not store.turn.acquire(timeout=self.patience):
                    raise errors.locked(self.path, self.patience)
                stack.callback(store.turn.release)
            peers = [store for store in members if store._db is not None]  # noqa: SLF001 - of our own kind
            if first and not self._copy_log():
                self.lose(errors.log_lost)
            for store in peers:
                store._close_to_move()  # noqa: SLF001
            here.remove_own(own)
            deadline = time.monotonic() + self.patience
            while first and not self._open_in_turn(file, order + 1):
                self._moving = True
                if time.monotonic() > deadline:
                    self.lose(errors.closed)

    def _close_to_move(self) -> None:
        """Close SQLite's connection, for now."""
        self._moving = True
        self._identity = (0,) * 6
        number, self._log_number = self._log_number, -1
        self._close_db()  # since there are locks on the file, this removes nothing
        self.file.unshare(number)

    def _close_db(self) -> None:
        with self.turn:
            db, self._db, self.execute = self._db, None, self._refuse
            if db is not None:
                db.close()

    def _copy_log(self) -> bool:
        """Close the log and copy all of it into the file; returns whether that was possible."""
        with suppress(OSError):
            status = os.lstat(self._place.log)
            if (status.st_dev, status.st_ino) != self._identity[2:4] and status.st_size:
                # Either whoever copied ours has gone since, or somebody writes to it who knows nothing of ours.
                with suppress(AMQPError):
                    return self.attempt(is_closed)
                return False
        with suppress(AMQPError):
            self.attempt(_close_log, "BEGIN IMMEDIATE")
            return self._checkpoint()
        return False

    def _checkpoint(self) -> bool:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                busy, there, copied = self.db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
                if not busy and there == copied:
                    return True
            except sqlite3.Error as exc:
                if not errors.is_busy(exc):
                    return False
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOG_PAUSE)

    def _leave_gone(self) -> NoReturn:
        """The file was deleted or replaced: what it has left beside it must not become the next one's."""
        with suppress(OSError):
            status = os.stat(self.path)  # noqa: PTH116
            if (status.st_dev, status.st_ino) == self._identity[:2]:
                self.lose(errors.gone)  # a link leads elsewhere now; others go on here
        self._place.remove_own(self._identity)
        self.lose(errors.gone)

    def lose(self, error: Callable[[str], AMQPError]) -> NoReturn:
        """The connection is over: whatever is tried from now on raises ``error(path)``, as this does."""
        self._error = error
        self._drop(clean=False)
        raise error(self.path)

    def changed(self) -> bool:
        """Whether anybody, this connection included, has written since the last call. Costs about 2 µs."""
        try:
            db = self.db
            with self.turn:
                if db is not self._db:
                    return True  # another thread has moved this connection; who asks will see
                (version,) = db.execute("PRAGMA data_version").fetchone()
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
        size = self._place.log_bytes
        if size <= _WAL_BYTES:
            self._log_due = _WAL_BYTES
        elif size >= self._log_due:
            # Should it not succeed (somebody stopped while reading), then not before it has grown by as much again.
            self._log_due = size + _WAL_BYTES
            try:
                self._start_log_over(self.db)
            except sqlite3.Error as exc:
                if not errors.is_busy(exc):
                    raise self.failed(exc) from exc

    def _start_log_over(self, db: sqlite3.Connection) -> None:
        with self.turn:
            if db is self._db:
                self._watchdog.begin()
                try:
                    with self._watched():
                        db.execute(f"PRAGMA busy_timeout = {int(_WAL_WAIT * 1000)}")
                        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                finally:
                    db.execute("PRAGMA busy_timeout = 0")

    def _drop(self, *, clean: bool) -> None:
        """Close the file; ``clean`` if what is open is what stands there, so that SQLite may tidy up."""
        with self.turn:
            file, self._file = self._file, None
            number, self._log_number = self._log_number, -1
            self._moving = False
            try:
                if file is not None and clean:
                    file.let_close()
                self._close_db()
            finally:
                if file is not None:
                    file.part(self)
                    if number >= 0:
                        file.unshare(number)
                    file.release()

    def close(self) -> None:
        """Close the file; harmless to repeat."""
        with self.lock, self.turn:
            self._drop(clean=self._stands())

    def forget(self) -> None:
        """In a forked child: the connection stays its parent's."""
        self.lock, self.turn = threading.RLock(), threading.RLock()  # other threads may have held them
        self._file, self._moving = None, False
        if self._db is not None:
            _inherited.append(self._db)
            self._db, self.execute, self._error = None, self._refuse, errors.forked

    def value(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, None where there is none."""
        row = self.attempt(lambda db: db.execute(sql, arguments).fetchone())
        return None if row is None else row[0]


#: Stands for the result of work that was not done, since the log is closed.
_CLOSED = object()


def is_closed(db: sqlite3.Connection) -> bool:
    """Whether the log is closed: the topology's version is below 0 then, which is no route's."""
    return bool(db.execute("SELECT version < 0 FROM topology").fetchone()[0])


def _close_log(db: sqlite3.Connection) -> None:
    db.execute("UPDATE topology SET version = -abs(version) - 1").close()


def _open_log(db: sqlite3.Connection) -> None:
    db.execute("UPDATE topology SET version = abs(version) WHERE version < 0").close()
