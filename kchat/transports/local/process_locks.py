"""Locks on bytes of a room's own file, beside SQLite's: which connections are alive, and which log is in use.

The kernel keeps them and ends them with their process, however that ends. They are "open file description" locks
(Linux, ``fcntl(2)``) on bytes far beyond any size that a file can have and beyond SQLite's own lock bytes, so nothing
is created beside the file, and a number that a stranger has written into the file leads to a byte of that file and to
nothing else. Where the system has no such locks, POSIX locks are used, as far as they can.

A connection with exclusive queues, consumers or unacknowledged messages has a number, and a lock on the byte that the
number stands for. The lock goes with its process and stays while the process is merely stopped, so
a lock that is gone means that the connection is dead: no clock is involved.

Closing *any* descriptor of a file drops all POSIX locks that the process has on it, SQLite's among them. So there is
one descriptor for each file and process, and it is closed only after the last SQLite connection to that file.

Forks: SQLite's connections and a held lock must not be used, nor closed, on both sides of a fork: the child would drop
the parent's file locks or keep a dead parent's lock alive. So the child forgets its parent's, without closing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from random import SystemRandom
from typing import TYPE_CHECKING

from kchat.chance import between

from . import errors

if TYPE_CHECKING:
    from .store import Store

#: ``struct flock`` of 64-bit Linux: type, whence, start, length, process id.
_FLOCK = struct.Struct("hhqqi0q")

_OFD_SETLK = getattr(fcntl, "F_OFD_SETLK", None)
_OFD_GETLK = getattr(fcntl, "F_OFD_GETLK", None)

#: SQLite's bytes for readers (``os.h``: ``SHARED_FIRST``, ``SHARED_SIZE``). A lock on them keeps others from removing
#: the log when they close.
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510

#: The byte to lock for opening the file or moving to another log.
_OPENING = 1 << 60

#: Where the bytes that stand for a log begin, and how many there are: its place in the order, and what tells it apart.
_LOGS, _LOGS_SIZE = 1 << 61, 1 << 60
_ORDER_BITS = 40

#: Where the bytes that stand for connections begin: a connection's byte is this and its number.
_CONNECTIONS = 1 << 62

#: Connections' numbers.
_FIRST_NUMBER, _LAST_NUMBER = 1 << 32, (1 << 52) - 1

#: Seconds between two attempts to lock :data:`_OPENING`.
_PAUSE = 0.002

#: What identifies a file: device and inode.
Inode = tuple[int, int]

_files: dict[Inode, RoomFile] = {}


class RoomFile:
    """A room's file as this process has it open beside SQLite. Get it by :func:`open_file`; any thread may use it."""

    def __init__(self, fd: int, inode: Inode) -> None:
        self.fd = fd
        self.inode = inode
        self.users = 0
        self._spare: list[int] = []
        self._shared: dict[int, int] = {}
        self._claimed: set[int] = set()
        self._ofd = _OFD_SETLK is not None
        self._opening_lock = threading.RLock()

    def members(self) -> list[Store]:
        """The stores that have it open in this process. SQLite has one index for them all, so they move together."""
        with innermost:
            return [store for store in stores if store.uses(self)]

    def release(self) -> None:
        """End one use; the last one closes it. The user's SQLite connection has to be closed by then."""
        with innermost:
            self.users -= 1
            if self.users == 0:
                self.forget()

    def forget(self) -> None:
        """Close the descriptors; in a forked child, too: an inherited lock would outlive the parent."""
        if _files.get(self.inode) is self:
            del _files[self.inode]
        fds, self.fd, self._spare = [self.fd, *self._spare], -1, []
        self._shared.clear()
        self._claimed.clear()
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    # -- locks

    def _set(self, kind: int, start: int, length: int = 1) -> bool:
        """Take or release a lock without waiting; returns whether that was possible."""
        if self._ofd:
            try:
                assert _OFD_SETLK is not None
                fcntl.fcntl(self.fd, _OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
            except OSError as exc:
                if exc.errno in (errno.EAGAIN, errno.EACCES):
                    return False
                if exc.errno != errno.EINVAL:
                    raise
                self._ofd = False  # a kernel that does not have them
            else:
                return True
        how = {fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_UNLCK: fcntl.LOCK_UN}[kind]
        try:
            fcntl.lockf(
                self.fd, how | (0 if how == fcntl.LOCK_UN else fcntl.LOCK_NB), length, start, os.SEEK_SET
            )
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def _is_taken(self, start: int, length: int = 1) -> bool:
        """Whether another process has any lock on those bytes."""
        if self._ofd:
            assert _OFD_GETLK is not None
            wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
            found: int = _FLOCK.unpack(fcntl.fcntl(self.fd, _OFD_GETLK, wanted))[0]
            return found != fcntl.F_UNLCK
        if not self._set(fcntl.F_WRLCK, start, length):
            return True
        self._set(fcntl.F_UNLCK, start, length)
        return False

    def claim_number(self) -> int:
        """Lock a number for a connection; returns it. The lock ends with the process or by :meth:`release_number`."""
        while True:
            number = SystemRandom().randint(_FIRST_NUMBER, _LAST_NUMBER)
            with innermost:
                if number not in self._claimed and self._set(fcntl.F_WRLCK, _CONNECTIONS + number):
                    self._claimed.add(number)
                    return number

    def release_number(self, number: int) -> None:
        """Unlock a connection's number."""
        with innermost:
            if number in self._claimed:
                self._claimed.discard(number)
                self._set(fcntl.F_UNLCK, _CONNECTIONS + number)

    def is_alive(self, number: object) -> bool:
        """Whether the connection with that number, as the file has it, still has its lock."""
        if not isinstance(number, int) or not _FIRST_NUMBER <= number <= _LAST_NUMBER:
            return False
        with innermost:
            return number in self._claimed or self._is_taken(_CONNECTIONS + number)

    def share(self, log: int) -> None:
        """Use a log: see :func:`log_number`. From now on SQLite sees that the file has readers."""
        with innermost:
            self._shared[log] = self._shared.get(log, 0) + 1
            self._set(fcntl.F_RDLCK, _LOGS + log)
            if self._ofd:  # a POSIX lock would be SQLite's own
                self._set(fcntl.F_RDLCK, _SHARED_FIRST, _SHARED_SIZE)

    def unshare(self, log: int) -> None:
        """Stop using a log."""
        with innermost:
            left = self._shared.get(log, 0) - 1
            if left > 0:
                self._shared[log] = left
                return
            self._shared.pop(log, None)
            self._set(fcntl.F_UNLCK, _LOGS + log)

    def let_close(self) -> None:
        """The last SQLite connection here is about to be closed: it may tidy up, should it be the last of all."""
        with innermost:
            if self._ofd and sum(self._shared.values()) <= 1:
                self._set(fcntl.F_UNLCK, _SHARED_FIRST, _SHARED_SIZE)

    def logs(self) -> set[int]:
        """The numbers of all logs that anybody uses; by POSIX locks only this process's can be told."""
        with innermost:
            found = set(self._shared)
            if self._ofd:
                self._find(_LOGS, _LOGS + _LOGS_SIZE, found)
            return found

    def _find(self, begin: int, end: int, found: set[int]) -> None:
        """Add the numbers that other processes have locked: the kernel tells of one at a time."""
        if begin >= end:
            return
        assert _OFD_GETLK is not None
        wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, begin, end - begin, 0)
        kind, _, start, length, _ = _FLOCK.unpack(fcntl.fcntl(self.fd, _OFD_GETLK, wanted))
        if kind == fcntl.F_UNLCK:
            return
        start, last = max(start, begin), min(start + (length or end), end)
        found.update(number - _LOGS for number in range(start, min(last, start + 2)))
        self._find(begin, start, found)
        self._find(last, end, found)

    @contextmanager
    def exclusively(self, path: str, seconds: float) -> Iterator[None]:
        """Keep others from opening the file or moving to another log. Raises :func:`.errors.locked` after ``seconds``."""
        deadline = time.monotonic() + seconds
        if not self._opening_lock.acquire(timeout=seconds):
            raise errors.locked(path, seconds)
        try:
            while not self._set(fcntl.F_WRLCK, _OPENING):
                if time.monotonic() >= deadline:
                    raise errors.locked(path, seconds)
                time.sleep(_PAUSE * between(0.5, 1.5))
            try:
                yield
            finally:
                if self.fd >= 0:
                    self._set(fcntl.F_UNLCK, _OPENING)
        finally:
            self._opening_lock.release()


def open_file(path: str) -> RoomFile:
    """The file as this process has it open, opened if it is not; call :meth:`RoomFile.release` for each call."""
    with innermost:
        status = os.stat(path)  # noqa: PTH116 - a file's name as text, as everywhere here
        file = _files.get((status.st_dev, status.st_ino))
        if file is None:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            status = os.fstat(fd)
            inode = (status.st_dev, status.st_ino)
            file = _files.get(inode)
            if file is not None:  # it was put in place between the two calls
                file._spare.append(fd)  # noqa: SLF001 - closing it would drop our locks
            else:
                file = _files[inode] = RoomFile(fd, inode)
        file.users += 1
        return file


def log_mark(log: Inode, index: Inode) -> int:
    """What tells a write-ahead log, with its index, apart from others of the same file."""
    mark = 0
    for number in (*log, *index):  # Fibonacci hashing; hashlib takes longer to load than all else here
        mark = (mark ^ number) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
        mark ^= mark >> 29
    return mark >> (64 - _ORDER_BITS)


def log_number(order: int, mark: int) -> int:
    """The number of a log: when everybody has moved from one to another, that has the next place in the order."""
    return order << _ORDER_BITS | mark


def order_of(number: int) -> int:
    """A log's place in the order."""
    return number >> _ORDER_BITS


def mark_of(number: int) -> int:
    """See :func:`log_mark`."""
    return number & ((1 << _ORDER_BITS) - 1)


# -- forks

#: This process's stores. No thread may be in the middle of a statement when the process forks: SQLite has locks of its own,
#: some for the whole process, and a child would wait for those for ever.
stores: weakref.WeakSet[Store] = weakref.WeakSet()

#: Two threads that fork at once take the locks one after the other.
_forking = threading.RLock()

#: Held for a moment to change what this process knows of files, for all of it. Taken after every ``statement_lock``.
innermost = threading.RLock()

#: Seconds that a fork waits for each lock: a disk that hangs must not hang the fork, too.
_LONGEST = 5.0

_held: list[threading.RLock] = []


def _hold_all() -> None:
    _forking.acquire()
    with innermost:
        known = sorted(stores, key=id)  # in the same order as everywhere, see Store
    locks = [*(store.statement_lock for store in known), innermost]
    _held.extend(lock for lock in locks if lock.acquire(timeout=_LONGEST))


def _release_all() -> None:
    while _held:
        _held.pop().release()
    _forking.release()


def _forget_all() -> None:
    global _forking, innermost  # the parent's may be waited for by threads that the child does not have
    _held.clear()
    _forking, innermost = threading.RLock(), threading.RLock()
    for store in list(stores):
        store.forget()
    for file in list(_files.values()):
        file.forget()
    stores.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_forget_all)
