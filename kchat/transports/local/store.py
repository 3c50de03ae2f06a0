"""A room's store: its file as it is shared with other processes, opened by one at a time, and left when its log was removed.

SQLite finds its log by name. If it is removed (``rm room.db-wal``), connections that have it open would go on
writing into a file that nobody else sees. So each connection compares what is open with what is at the names, and moves:
what is in the removed log is copied into the file before anybody opens a new one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

from amqp.exceptions import AMQPError

from kchat import events
from kchat.chance import between

from . import errors, files, limits, process_locks, schema, untrusted
from .database import Database
from .files import FileSet, Identity
from .limits import Limits
from .process_locks import RoomFile, log_mark, log_number, mark_of, open_file, order_of
from .schema import WAL_BYTES, is_closed
from .untrusted import LOG_PAUSE

if TYPE_CHECKING:
    from .options import Options

T = TypeVar("T")

#: Seconds that a file may be deleted again and again while it is being opened.
_VANISHING = 1.0

#: Stands for no file, and for the result of work that was not done because the log is closed.
_NOTHING: Identity = (0,) * 6
_CLOSED = object()

#: Connections of the parent in a forked child, kept so that nothing ever closes them there.
_inherited: list[sqlite3.Connection] = []


class Store(Database):
    """One connection to the file of a room. Several threads may use it. Raises as :mod:`.errors` says.

    Locks are taken in this order: :attr:`lock`, then the file's (:meth:`.process_locks.RoomFile.exclusively`), then
    :attr:`statement_lock` of one store, or of all that a process has of the file, by their ``id``; then
    :data:`.process_locks.innermost`. A thread with a :attr:`statement_lock` opens nothing and moves nowhere.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options, files.resolve(options.path))
        #: What the room keeps; as last read from its file.
        self.limits = Limits()
        #: What the user of the connection is to be told.
        self.notices: list[events.Event] = []
        #: Messages that were pruned before this connection's own queues had read them, and that were not reported yet.
        self.overtaken = 0
        #: How often it was opened: another log may be in use after each time.
        self.openings = 0
        self._file: RoomFile | None = None
        self._files = FileSet(options.path, self.path)
        self._identity = _NOTHING
        self._log_number = -1
        self._in_move = False
        #: Closed because the log was removed, to be opened again with the next use.
        self._moving = False
        self._checkpoint_at = WAL_BYTES
        with process_locks.innermost:
            process_locks.stores.add(self)
        self._open()

    @property
    def file(self) -> RoomFile:
        """The file with its locks. Raises as :attr:`db`."""
        if self._file is None:
            raise self._error(self.path)
        return self._file

    @property
    def paths(self) -> tuple[str, str, str]:
        """The write-ahead log, which every commit writes to; the file; the log's index."""
        return self._files.log, self.path, self._files.index

    @property
    def inode(self) -> tuple[int, int]:
        """Device and inode of the file."""
        return self._identity[:2]

    @property
    def is_open(self) -> bool:
        """Whether the file is open and was still there when last looked at."""
        return self._db is not None or self._moving

    def uses(self, file: RoomFile) -> bool:
        """Whether it has that file open, or will in a moment."""
        return self._file is file

    # -- opening

    def _open(self) -> None:
        begin = time.monotonic()
        try:
            while not self._open_once(begin):
                if time.monotonic() - begin > self.busy_timeout:
                    raise errors.log_in_use(self.path, self.busy_timeout)
                for store in self._file.members() if self._file else ():
                    if store is not self:
                        store.move_for_others()
                time.sleep(LOG_PAUSE * between(0.5, 1.5))
        except BaseException as exc:
            self._drop(clean=False)
            if isinstance(exc, OSError):
                raise errors.translate(exc, self.path) from exc
            raise

    def _open_once(self, begin: float) -> bool:
        """Whether it is open: not while others use a log that was removed, nor where it was deleted between two steps."""
        given, before = self.options.path, self._file
        try:
            if Path(given).is_symlink():
                Path(given).stat()  # the system may have reasons not to follow it
            self.path = files.resolve(given)
            files.make(self.path)
            self._check()
            file = self._file = open_file(self.path)
            if before is not None:
                before.release()
                if before.inode != file.inode and self._moving:
                    self.fail(errors.gone)
            with file.exclusively(self.path, self.busy_timeout):
                return self._open_locked(file)
        except FileNotFoundError:
            if time.monotonic() - begin > _VANISHING:
                raise
            return False

    def _check(self) -> None:
        """Look at the file, and whether this account may use it. Raises as :func:`.files.check`, and AccessRefused."""
        files.check(self.path)
        if (refused := files.refusal(self.path)) is not None:
            raise refused

    def _open_locked(self, file: RoomFile, order: int | None = None) -> bool:
        """Whether it is open; ``order`` is the place of a log that does not exist yet, after others were copied."""
        path = self.path
        self._check()
        files.check_beside(path)
        files.check_mount(path)
        files.check_header(path, file.fd)
        self._files = FileSet(self.options.path, path)
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
            mark = self._open_db(here)
        except (AMQPError, OSError) as exc:
            self._close_db()
            if isinstance(exc, FileNotFoundError) or self._mark_now() != here:
                return False  # removed in the middle of it
            raise
        if here not in (-1, mark) or self._db is None:
            self._close_db()
            return False
        self._log_number = log_number(order, mark)
        file.share(self._log_number)
        self.execute = self._db.execute
        self.openings += 1
        return True

    def _open_db(self, here: int) -> int:
        """Open SQLite's connection; returns the mark of its log, which need not be the one that was there."""
        most = self.options.max_message_bytes
        untrusted.check_content(self.path, self.options, self.statement_lock)
        with self.statement_lock:
            self._db, self._watchdog = untrusted.connect(self.path, "mode=rw", most)
        self._moving = False
        self.attempt(lambda db: schema.prepare(db, self.path, self.options))
        self._identity = self._files.now()
        mark = log_mark(self._identity[2:4], self._identity[4:6])
        # Nothing is written into a log that SQLite has created just now because the one that was here was removed:
        # connections that still use that would take it for a stranger's.
        if here in (-1, mark):
            if self.attempt(is_closed):
                self.attempt(schema.open_log, "BEGIN IMMEDIATE")
            self._read_limits()
        return mark

    def _read_limits(self) -> None:
        """Options make the room's limits larger, for everybody, and never smaller."""
        self._seen_version, self.dirty = -1, True
        asked = limits.asked(self.options)
        self.limits = self.attempt(limits.read)
        if not self.openings:  # else they were reported
            refused = limits.refusals(self.limits, asked)
            self.notices = [events.Notice(f"{self.path}: {text}") for text in refused]
        if limits.raised(self.limits, asked) != self.limits:
            self.limits = self.attempt(lambda db: limits.enlarge(db, asked), "BEGIN IMMEDIATE")

    def _mark_now(self) -> int:
        """The mark of the log beside the file; -1 where there is none."""
        try:
            now = self._files.now()
        except OSError:
            return -1
        return log_mark(now[2:4], now[4:6])

    def _reopen(self) -> sqlite3.Connection:
        with self.lock:
            while (db := self._db) is None:
                if not self._moving:
                    raise self._error(self.path)
                self._open()
            return db

    # -- writing

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

    # -- still the same file

    def check_file(self) -> None:
        """Make sure that what is open is what others open; moves to another log where that was removed. Costs about 4 µs.

        Called after each commit, before anybody is told of it. What was committed is in the file then, or will be in it
        before anybody else opens it: see :meth:`_move`. Raises ConnectionForced: the file or messages in its log are gone.
        """
        if not self._is_current():
            with self.lock:
                self._leave_removed()
                _ = self.db  # open it again, if it is not yet

    def _is_current(self) -> bool:
        """Whether what is open is what is at its name."""
        try:
            return self._files.now() == self._identity
        except OSError:
            return False

    def failed(self, exc: sqlite3.Error) -> AMQPError:
        """What to raise for an SQLite error; a file that is gone explains any of them."""
        if self._log_number >= 0 and not self._in_move:  # else it is just being opened, or left
            self.check_file()
        return super().failed(exc)

    def leave_closed_log(self) -> None:
        """Move, too: the first connection to move has closed this log, and nothing more may be written to it."""
        with self.lock:
            before = self.openings
            self.check_file()
            if self.openings != before:
                return
            with self.file.exclusively(self.path, self.busy_timeout):
                # It may still be the one at the name, if the process that closed it ended in the middle of that.
                if self._db is not None and self._is_current():
                    self.attempt(schema.open_log, "BEGIN IMMEDIATE")

    def _leave_removed(self) -> None:
        """Move, if it is open. Raises as :meth:`check_file`."""
        if self._db is not None:
            file = self.file
            with file.exclusively(self.path, self.busy_timeout):
                if self._db is not None:  # else another connection of this process was first
                    self._in_move = True
                    try:
                        self._move(file)
                    finally:
                        self._in_move = False

    def move_for_others(self) -> None:
        """Leave a log that was removed, unless a thread is at work here: another connection waits for that."""
        if self._db is not None and self.lock.acquire(blocking=False):
            try:
                if not self._is_current():
                    with suppress(AMQPError):
                        self._leave_removed()
            finally:
                self.lock.release()

    def _move(self, file: RoomFile) -> None:
        """From a log that was removed to the one that others have now, or will have.

        The first connection to move closes the log, by a number in it that every writer looks at, and copies what is in it
        into the file. Nobody opens the file before that. So what others committed to that log is in the file as well.
        """
        own, files = self._identity, self._files
        if not files.leads_to(own):
            self._leave_gone()
        if self._is_current():  # the log was put back
            return
        order = order_of(self._log_number)
        first = all(order_of(number) <= order for number in file.logs())
        with ExitStack() as stack:
            for store in (members := sorted(file.members(), key=id)):
                if not store.statement_lock.acquire(timeout=self.busy_timeout):
                    raise errors.locked(self.path, self.busy_timeout)
                stack.callback(store.statement_lock.release)
            open_ones = [store for store in members if store._db is not None]  # noqa: SLF001 - of our own kind
            if first and not self._copy_log():
                self.fail(errors.log_lost)
            for store in open_ones:
                store._close_to_move()  # noqa: SLF001
            files.remove_own(own)
            deadline = time.monotonic() + self.busy_timeout
            while first and not self._open_locked(file, order + 1):
                self._moving = True
                if time.monotonic() > deadline:
                    self.fail(errors.closed)

    def _close_to_move(self) -> None:
        """Close SQLite's connection, for now."""
        self._moving = True
        self._identity = _NOTHING
        number, self._log_number = self._log_number, -1
        self._close_db()  # since there are locks on the file, this removes nothing
        self.file.unshare(number)

    def _copy_log(self) -> bool:
        """Close the log and copy all of it into the file; returns whether that was possible."""
        with suppress(OSError):
            status = os.lstat(self._files.log)
            if (status.st_dev, status.st_ino) != self._identity[2:4] and status.st_size:
                # Either a process that has ended since has copied ours, or one writes to it that knows nothing of ours.
                with suppress(AMQPError):
                    return self.attempt(is_closed)
                return False
        with suppress(AMQPError):
            self.attempt(schema.close_log, "BEGIN IMMEDIATE")
            return self._copy_whole_log()
        return False

    def _leave_gone(self) -> NoReturn:
        """The file was deleted or replaced: what it has left beside it must not become the next one's."""
        with suppress(OSError):
            status = os.stat(self.path)  # noqa: PTH116
            if (status.st_dev, status.st_ino) == self._identity[:2]:
                self.fail(errors.gone)  # a link leads elsewhere now; others go on here
        self._files.remove_own(self._identity)
        self.fail(errors.gone)

    def close(self) -> None:
        """Close the file; harmless to repeat."""
        with self.lock, self.statement_lock:
            self._drop(clean=self._is_current())

    def forget(self) -> None:
        """In a forked child: the connection stays its parent's."""
        # Other threads may have held them.
        self.lock, self.statement_lock = threading.RLock(), threading.RLock()
        self._file, self._moving = None, False
        if self._db is not None:
            _inherited.append(self._db)
            self._db, self.execute, self._error = None, self._refuse, errors.forked

    def _drop(self, *, clean: bool) -> None:
        with self.statement_lock:
            file, self._file = self._file, None
            number, self._log_number = self._log_number, -1
            self._moving = False
            try:
                if file is not None and clean:
                    file.let_close()
                self._close_db()
            finally:
                if file is not None:
                    if number >= 0:
                        file.unshare(number)
                    file.release()
