"""The worker processes of a benchmark, seen from the process that runs them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from mmap import mmap
from multiprocessing import Pipe
from multiprocessing.connection import wait
from tempfile import TemporaryFile
from threading import current_thread, main_thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from kchat import errors, events

if TYPE_CHECKING:
    from kchat.bench.plan import Plan
    from kchat.bench.report import Received, Sent
    from kchat.config.settings import Settings

Progress = Callable[[int, int], None]
"""Called ten times a second with the number of confirmed messages, and of those that the slowest subscriber has received."""

_TICK = 0.1
_END_SECONDS = 2.0
"""How long the processes may take to end, in seconds; then they are killed."""

# Not by -m, which looks for modules in the current folder first.
_CODE = "import sys; sys.path[:] = {!r}; from kchat.bench import worker; worker.main({}, {})"


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Ctrl+C, SIGTERM and SIGHUP that arrive within the block are delivered at its end."""
    came: dict[int, None] = {}
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if current_thread() is main_thread() else ()
    before = [signal.signal(each, lambda number, _: came.update({number: None})) for each in numbers]
    try:
        yield
    finally:
        for each, handler in zip(numbers, before, strict=True):
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)


class _Worker:
    """One process: whether it is ``ready``, connected to the room; and its ``result``, ``None`` until it is done.

    It has a session of its own, so that a terminal's Ctrl+C and hang-up do not reach it; and it ends when the pipe does.
    """

    def __init__(self, kind: str, counts: int, *task: Any) -> None:
        self.link, far_end = Pipe()
        self.kind, self.ready = kind, False
        self.result: Any = None
        code = _CODE.format([str(each) for each in sys.path], far_end.fileno(), counts)
        # What a driver's own threads write would be in between our lines; errors come through the pipe.
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=(far_end.fileno(), counts),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        far_end.close()
        self.tell((kind, *task))

    def tell(self, value: object) -> None:
        """Send it its task, or ``None`` to go on. A process that is gone is found out by reading."""
        with suppress(OSError):
            self.link.send(value)


class WorkerPool:
    """Senders and subscribers, one process each. They count in memory that all share, the pages of a nameless file.

    Attributes:
        connections_lost: number of times that one of them lost its connection.
        has_connected: whether one of them has been connected to the room.
    """

    def __init__(self, plan: Plan, on_notice: Callable[[str], object], progress: Progress) -> None:
        self.connections_lost, self.has_connected = 0, False
        self._plan, self._on_notice, self._progress = plan, on_notice, progress
        self._noticed = ""
        self._workers: list[_Worker] = []

    def run(self, settings: Settings) -> tuple[list[Sent], list[Received]]:
        """Measure a room, and return what senders and subscribers have measured.

        Raises:
            kchat.errors.KchatError: the error of a process, or that it ended without a result.
        """
        plan = self._plan
        with TemporaryFile() as file:
            file.truncate(8 * (plan.senders + plan.subscribers))
            self._counts = memoryview(mmap(file.fileno(), 0)).cast("q")
            # Subscribers come first: some transports keep nothing for those who are not there.
            for kind, count in ("subscriber", plan.subscribers), ("sender", plan.senders):
                for number in range(count):
                    with signals_deferred():  # `stop` knows of each that has been started
                        self._workers.append(_Worker(kind, file.fileno(), number, settings, plan))
                self._wait_for("ready", self._workers)
        subscribers, senders = self._workers[: plan.subscribers], self._workers[plan.subscribers :]
        return self._finish(senders), self._finish(subscribers)

    def _finish(self, group: list[_Worker]) -> list[Any]:
        """Let processes go on to their end, and return their results."""
        for worker in group:
            worker.tell(None)
        self._wait_for("result", group)
        return [worker.result for worker in group]

    def _wait_for(self, what: str, group: list[_Worker]) -> None:
        """Read what all processes report, until each of a group has reported that."""
        senders = self._plan.senders
        while not all(getattr(worker, what) for worker in group):
            running: dict[Any, _Worker] = {each.link: each for each in self._workers if not each.result}
            for link in wait(list(running), timeout=_TICK):
                self._read(running[link])
            self._progress(sum(self._counts[:senders]), min(self._counts[senders:], default=0))

    def _read(self, worker: _Worker) -> None:
        """Read one report of a process."""
        try:
            kind, value = worker.link.recv()
        except (EOFError, OSError):
            code = worker.process.wait()
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise errors.KchatError(f"a {worker.kind}'s process has ended by itself ({how})") from None
        if kind == "error":
            raise value
        if kind != "event":
            setattr(worker, kind, value)
            self.has_connected = True
            return
        self.connections_lost += isinstance(value, events.Disconnected)
        # Several processes report the same, and each attempt to reconnect.
        if not isinstance(value, events.Reconnecting) and str(value) != self._noticed:
            self._noticed = str(value)
            self._on_notice(self._noticed)

    def stop(self) -> None:
        """End those that still run, and return when all are gone."""
        deadline = monotonic() + _END_SECONDS
        for worker in self._workers:
            if not worker.result:  # the others end by themselves
                worker.process.terminate()
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - monotonic()))
            worker.process.kill()
            worker.process.wait()
            worker.link.close()
