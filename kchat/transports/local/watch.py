"""Being woken by the kernel at a write, by Linux's ``inotify(7)``.

It makes waiting cost nothing. It does not replace looking: the kernel tells of the write to the log, and the
commit is visible a moment later; so a woken connection goes on looking for a while.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from kchat.transports.poller import new_poller

if TYPE_CHECKING:
    from kchat.transports.waker import Waker

try:
    import ctypes

    _CAN_ASK = sys.platform.startswith("linux")
except ImportError:  # a Python without _ctypes: it looks more often instead
    _CAN_ASK = False

_IN_MODIFY = 0x2
#: IN_ATTRIB, which is also told when an open file is removed, and IN_MOVE_SELF.
_IN_GONE = 0x4 | 0x800
_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = getattr(os, "O_CLOEXEC", 0)

#: Events are 16 bytes each, and equal ones that follow each other are told once.
_EVENTS = 4096


class Watch:
    """Waits for a write to the log, or for one of a room's files to be removed or renamed.

    Where the kernel cannot tell (another system, too many watches), :attr:`fd` is -1.

    Arguments:
        log: the write-ahead log, which is there.
        others: the other files.
    """

    def __init__(self, log: str, *others: str) -> None:
        self._fd = _watch(log, *others)

    @property
    def fd(self) -> int:
        """The descriptor that is readable after a write; -1 where the kernel cannot tell."""
        return self._fd

    def wait(self, seconds: float, waker: Waker | None = None) -> tuple[bool, bool]:
        """Wait for a write, but no longer than ``seconds``, or until the waker ends it.

        Several threads may wait at once, and :meth:`forget` what they were woken for.

        Returns:
            Whether there was a write, and whether it was woken, which is forgotten.
        """
        fd = self._fd
        if fd < 0:  # another thread has just closed it
            return True, False
        if waker is not None:
            ready = waker.wait(seconds, fd)
            return fd in ready, waker.fileno() in ready
        poll = new_poller()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000)), False

    def forget(self) -> None:
        """Ignore writes up to now: they do not end the next :meth:`wait`."""
        with suppress(BlockingIOError):
            while self._fd >= 0 and os.readv(self._fd, [bytearray(_EVENTS)]) == _EVENTS:
                pass

    def close(self) -> None:
        """Stop watching; harmless to repeat."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _watch(log: str, *others: str) -> int:
    """An inotify descriptor that watches the files, or -1."""
    if not _CAN_ASK:
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
    if fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(log), _IN_MODIFY | _IN_GONE) < 0:
        os.close(fd)
        return -1
    for path in others if fd >= 0 else ():  # what happens to these would be noticed by looking, too
        libc.inotify_add_watch(fd, os.fsencode(path), _IN_GONE)
    return fd
