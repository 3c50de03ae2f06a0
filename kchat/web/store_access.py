"""The guests' file for the event loop, which waits neither for a lock nor for a disk's ``fsync``.

The file is in WAL mode, where a reader waits for nobody (https://www.sqlite.org/wal.html). A read takes some 30 µs, less
than handing it to a thread does, and is done at once. Changes, and what is locked all the same, are for one thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, time
from typing import TypeVar

from kchat.web.store import GuestStore
from kchat.web.store_file import BUSY_SECONDS, StoreLocked, StoreUnavailable

Found = TypeVar("Found")


class StoreAccess:
    """The file, for the thread of the event loop.

    Arguments:
        path: see :class:`~kchat.web.store.GuestStore`, also for what is raised.
        patience: how long a request waits for another process that keeps the file, in seconds, others of this server before
            it included.
        clock: as of :class:`~kchat.web.store.GuestStore`; called in both threads.

    Attributes:
        now: the file for what cannot wait; it raises :class:`~kchat.web.store_file.StoreLocked` at once.
        waiting: requests that wait for the thread.
    """

    def __init__(
        self,
        path: Path | None = None,
        patience: float = BUSY_SECONDS,
        *,
        clock: Callable[[], float] = time,
    ) -> None:
        self.now = GuestStore(path, wait=0, clock=clock)
        self._clock = clock
        self.patience = patience
        self.waiting = 0
        self._patient: GuestStore | None = None
        self._thread = ThreadPoolExecutor(1, "guests")
        self._closed = False

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.now.path

    async def read(self, look: Callable[[GuestStore], Found]) -> Found:
        """What the file says, read in one step with what follows: nothing else happens on the loop in between.

        Arguments:
            look: reads, and changes nothing.

        Raises:
            kchat.web.store_file.StoreUnavailable: it cannot be read, or another process keeps it for too long.
        """
        deadline = monotonic() + self.patience
        while True:
            self._check_open()
            try:
                return look(self.now)
            except StoreLocked:
                if monotonic() >= deadline:
                    raise
                await self._in_thread(look, deadline)

    async def write(self, change: Callable[[GuestStore], Found]) -> Found:
        """Change the file; returns when that is on the disk. Changes are made one after the other.

        Arguments:
            change: is called in another thread.

        Raises:
            kchat.web.store_file.StoreUnavailable: it cannot be written, or another process keeps it for too long.
        """
        return await self._in_thread(change, monotonic() + self.patience)

    def close(self) -> None:
        """Close the file, when the change that is being made is done or given up. Those that wait for it try once."""
        self._closed = True
        self._thread.submit(self._close_patient)
        self._thread.shutdown()
        self.now.close()

    async def _in_thread(self, job: Callable[[GuestStore], Found], deadline: float) -> Found:
        self._check_open()
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, job, deadline)
        finally:
            self.waiting -= 1

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"the guests' file {self.path} is closed", hint="the server has ended")

    def _do(self, job: Callable[[GuestStore], Found], deadline: float) -> Found:
        left = 0.0 if self._closed else max(0.0, deadline - monotonic())
        if self._patient is None:
            self._patient = GuestStore(self.path, wait=left, clock=self._clock)
        self._patient.wait(left)  # who has waited long enough for others tries once
        self._patient.changed()  # another file may be in its place
        return job(self._patient)

    def _close_patient(self) -> None:
        if self._patient is not None:
            self._patient.close()
