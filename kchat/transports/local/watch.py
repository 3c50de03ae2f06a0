"""Being woken by the kernel when somebody writes, where it does that: Linux's ``inotify(7)``.

It makes waiting cost nothing. It does not replace looking: the kernel tells of the write to the log, and the
commit is visible a moment later; so whoever was woken goes on looking for a while.
"""

from __future__ import annotations

import os
import select
import sys
import time
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
_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = getattr(os, "O_CLOEXEC", 0)

#: Events are 16 bytes each, and equal ones that follow each other are told once.
_EVENTS = 4096


class Watch:
    """Waits for a file to be written to. Where the kernel cannot tell (another system, too many watches), it cannot.

    Arguments:
        path: the file, which is there.
    """

    def __init__(self, path: str) -> None:
        self._fd = _watch(path)

    @property
    def fd(self) -> int:
        """The descriptor that is readable after a write; -1 where the kernel cannot tell."""
        return self._fd

    def wait(self, seconds: float, otherwise: float, waker: Waker | None = None) -> bool:
        """Wait for a write, but no longer than ``seconds``; returns whether there was one.

        Where the kernel cannot tell, sleeps for ``otherwise`` seconds, if that is less, and returns False. Several
        threads may wait at once, and :meth:`forget` what they were woken for. A waker, which is left as it is, ends it.
        """
        fd = self._fd  # another thread may close it
        if fd < 0:
            time.sleep(max(0.0, min(seconds, otherwise)))
            return False
        poll = new_poller()
        poll.register(fd, select.POLLIN)
        if waker is not None:
            poll.register(waker, select.POLLIN)
        return any(found == fd for found, _ in poll.poll(max(0.0, seconds) * 1000))

    def forget(self) -> None:
        """Writes up to now are known: they are no reason to end the next :meth:`wait`."""
        with suppress(BlockingIOError):
            while self._fd >= 0 and len(os.read(self._fd, _EVENTS)) == _EVENTS:
                pass

    def close(self) -> None:
        """Stop watching; harmless to repeat."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _watch(path: str) -> int:
    """An inotify descriptor that watches the file, or -1."""
    if not _CAN_ASK:
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
    if fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(fd)
        return -1
    return fd
