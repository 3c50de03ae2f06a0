"""How long to pause between two looks for news, and when to leave it to the kernel to wake us.

Looking costs about 2 µs, waking up for it ten times that and more. The pauses are short after news and grow while
nothing comes, so that the next message is seen within 10 ms. Once nobody has written for a while the kernel is asked
to wake us, by Linux's ``inotify(7)``: in a room where people talk, most of the time is spent so. Where it cannot, an idle
subscriber looks 140 times a second. A dense stream is read in larger portions: looking a thousand times a second gains
nothing there.

That the kernel wakes us does not replace looking: it tells of the write to the log, and the commit is visible a moment
later; so a woken connection goes on looking for a while.
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

#: Seconds between two looks right after news, and at most.
SHORTEST = 0.001
LONGEST = 0.007

#: Seconds without news after which the pauses begin to grow, and without any write before the kernel is asked.
LIVELY = 0.1

#: Messages at one look from which on a stream is dense, and its longest pause.
DENSE = 20
DENSE_LONGEST = 0.004

#: Seconds until the next look where the kernel tells of nothing: it does not tell of a writer that was stopped in the
#: middle of a commit and goes on much later.
ASLEEP = 0.25

_IN_MODIFY = 0x2
#: IN_ATTRIB, which is also told when an open file is removed, and IN_MOVE_SELF.
_IN_GONE = 0x4 | 0x800

#: Events are 16 bytes each, and equal ones that follow each other are told once.
_EVENTS = 4096


class PollingInterval:
    """Says when to look next. Starts as if there had just been news."""

    def __init__(self) -> None:
        self.pause = SHORTEST
        #: When the last look began.
        self.looked_at = 0.0
        self._news_at = self._written_at = time.monotonic()

    def wait(self, now: float, *, told: bool = False) -> float:
        """Seconds until the next look is due, :data:`ASLEEP` where the kernel has ``told`` of writes; 0 or less: now."""
        return self.looked_at + (ASLEEP if told else self.pause) - now

    def is_quiet(self) -> bool:
        """Whether nobody has written for :data:`LIVELY` seconds, so that the kernel can be left to wake us."""
        return self.pause >= LONGEST and self.looked_at - self._written_at > LIVELY

    def looked(self, now: float, found: int, *, written: bool) -> None:
        """Note a look: how many messages it found, and whether anybody wrote anything at all."""
        self.looked_at = now
        if written:
            self._written_at = now
        if found:
            self._news_at = now
            dense = min(max(self.pause * 1.5, SHORTEST), DENSE_LONGEST)
            self.pause = dense if found >= DENSE else SHORTEST
        elif now - self._news_at > LIVELY:
            # Others may be writing to each other all the time, which does not make looking more often worthwhile.
            self.pause = min(max(self.pause * 1.5, SHORTEST), LONGEST)
        else:
            self.pause = SHORTEST

    def woken(self, now: float) -> None:
        """The kernel reports a write: what was written will be visible in a moment."""
        self._written_at = now
        self.pause = 0.0


class Watch:
    """Waits for a write to the log, or for one of the files to be removed or renamed. Where it cannot, :attr:`fd` is -1."""

    def __init__(self, log: str, *others: str) -> None:
        #: The descriptor that is readable after a write; -1 where the kernel cannot tell.
        self.fd = _watch(log, *others)

    def wait(self, seconds: float, waker: Waker | None = None) -> tuple[bool, bool]:
        """Wait for a write, no longer than ``seconds``, or until the waker ends it; returns whether each was the case.

        Several threads may wait at once, and :meth:`forget` what they were woken for. That it was woken is forgotten.
        """
        fd = self.fd
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
            while self.fd >= 0 and os.readv(self.fd, [bytearray(_EVENTS)]) == _EVENTS:
                pass

    def close(self) -> None:
        """Stop watching; harmless to repeat."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _watch(log: str, *others: str) -> int:
    """An inotify descriptor that watches the files, or -1."""
    try:
        import ctypes  # only a long wait needs it
    except ImportError:  # a Python without _ctypes: it looks more often instead
        return -1
    if not sys.platform.startswith("linux"):
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(log), _IN_MODIFY | _IN_GONE) < 0:
        os.close(fd)
        return -1
    for path in others if fd >= 0 else ():  # what happens to these would be noticed by looking, too
        libc.inotify_add_watch(fd, os.fsencode(path), _IN_GONE)
    return fd
