"""Ending a wait from another thread or from a signal handler, without looking at a flag again and again.

A pipe is polled beside the connection's socket: one byte in it ends the poll. It is read by ``readv`` and written by
``writev``, since eventlet's ``os.read`` waits when the pipe is empty. kchat's Kombu transports have ``waker(connection)``,
which returns an object with the methods of :class:`Waker`.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from threading import RLock
from typing import Any

from kchat.transports.poller import new_poller

_BYTES = 4096


class Waker:
    """Ends a wait that polls it, or the next one if nobody waits now. Holds two file descriptors until :meth:`close`."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._reads, False)
        os.set_blocking(self._writes, False)
        # A descriptor that is closed may soon be another file's. Reentrant: a signal handler may interrupt close().
        self._open = RLock()

    def fileno(self) -> int:
        """What to poll for reading. Raises ValueError when it is closed."""
        if self._reads < 0:
            raise ValueError("the waker is closed")
        return self._reads

    def wake(self) -> None:
        """End the wait; returns at once. From any thread or a signal handler, also when it is closed."""
        with self._open, suppress(BlockingIOError):  # a full pipe wakes, too
            if self._writes >= 0:
                os.writev(self._writes, [b"\0"])

    def take(self) -> bool:
        """Whether it was woken since it was last asked. Does not wait."""
        woken = False
        with suppress(BlockingIOError):
            while os.readv(self._reads, [bytearray(_BYTES)]):
                woken = True
        return woken

    def wait(self, seconds: float, *others: Any) -> list[int]:
        """Wait until woken, or until another of these can be read.

        Arguments:
            seconds: how long at most.
            others: file descriptors, or objects with ``fileno()``.

        Returns:
            The descriptors that can be read. Whether this was woken is forgotten.
        """
        poll = new_poller()
        for each in (self._reads, *others):
            poll.register(each, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)]
        if self._reads in ready:
            self.take()
        return ready

    def close(self) -> None:
        """Close it, when nobody waits any more. Harmless to repeat."""
        with self._open:
            reads, writes, self._reads, self._writes = self._reads, self._writes, -1, -1
            for descriptor in (reads, writes):
                if descriptor >= 0:
                    os.close(descriptor)
