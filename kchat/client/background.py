"""Threads that work for an event loop: each waits for a broker, and tells the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any


class Worker:
    """A thread that does one job after the other.

    A daemon: the interpreter would wait at its end for one of :mod:`concurrent.futures` that waits for a broker.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def start(self, job: Callable[[], object]) -> None:
        """Have it done; it raises nothing."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def submit(self, job: Callable[[], Any]) -> asyncio.Future[Any]:
        """Have it done; the future, of the running loop, gets what it returns or raises."""
        settled = asyncio.get_running_loop().create_future()

        def noted() -> None:
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                settle(settled, None, error)
            else:
                settle(settled, result)

        self.start(noted)
        return settled

    def end(self) -> None:
        """No more jobs: it ends after those that it has."""
        self._jobs.put(None)

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # it holds on to a room


def settle(future: asyncio.Future[Any], result: object, error: BaseException | None = None) -> None:
    """From any thread: give a future what it waits for, if anybody still does."""

    def settled() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    call_in(future.get_loop(), settled)


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """From any thread: have the loop call it, unless it is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)
