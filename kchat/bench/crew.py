"""The processes of a benchmark, seen from the process that runs them."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from time import monotonic
from typing import TYPE_CHECKING, Any

from kchat import errors
from kchat.bench import workers
from kchat.bench.signals import held_back

if TYPE_CHECKING:
    from kchat.bench.plan import Plan
    from kchat.bench.report import Received, Sent
    from kchat.config.settings import Settings

Progress = Callable[[int, int], None]
"""Called ten times a second with the number of confirmed messages, and of those that the slowest subscriber has received."""

_TICK = 0.1
_END_SECONDS = 2.0
"""How long the processes may take to end, in seconds; then they are killed."""

# Not forked: a driver's threads (gRPC) do not survive that. And no semaphores, locks or events: they have names in the
# system that somebody has to delete.
_SPAWN = multiprocessing.get_context("spawn")


class _Worker:
    """One process, started, and what it has told.

    Attributes:
        link: our end of the pipe to it.
        ready: whether it is connected to the room.
        result: what it has measured; ``None`` until it is done.
    """

    def __init__(self, job: workers.Job, number: int, *shared: Any) -> None:
        self.link, far_end = _SPAWN.Pipe()
        self.ready = False
        self.result: Any = None
        self._kind = "sender" if job is workers.send else "subscriber"
        self.process = _SPAWN.Process(target=workers.run, args=(job, far_end, number, *shared), daemon=True)
        self.process.start()
        far_end.close()  # so that the pipe ends with the process

    def read(self) -> str:
        """Read one thing that it tells. Returns a notice for the user, or nothing.

        Raises:
            kchat.errors.KchatError: its error, or that it ended without a result.
        """
        try:
            kind, value = self.link.recv()
        except (EOFError, OSError):
            self.process.join(_END_SECONDS)
            code = self.process.exitcode
            how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
            raise errors.KchatError(f"a {self._kind}'s process has ended by itself ({how})") from None
        if kind == "error":
            raise value
        if kind == "notice":
            return str(value)
        setattr(self, kind, value)
        return ""

    def go_on(self) -> None:
        """Let it go on to its next part. :meth:`read` finds out about a process that is gone."""
        with suppress(OSError):
            self.link.send(None)


class Crew:
    """Senders and subscribers, one process each.

    Arguments:
        settings: the room.
        plan: what to measure.
        on_notice: called with each line about a connection, once where several processes tell the same.
        progress: called with how far it is.
    """

    def __init__(
        self, settings: Settings, plan: Plan, on_notice: Callable[[str], object], progress: Progress
    ) -> None:
        self._plan = plan
        self._on_notice = on_notice
        self._progress = progress
        self._noticed = ""
        self._sent = _SPAWN.RawArray("q", plan.senders)
        self._received = _SPAWN.RawArray("q", plan.subscribers)
        self._shared = settings, plan, self._sent, self._received
        self._workers: list[_Worker] = []

    @property
    def was_there(self) -> bool:
        """Whether one of them has been connected to the room."""
        return any(worker.ready for worker in self._workers)

    def work(self) -> tuple[list[Sent], list[Received]]:
        """Measure, and return what senders and subscribers have measured.

        Raises:
            kchat.errors.KchatError: the error of a process, or that it ended without a result.
        """
        # It unblocks signals when it starts, so it has to run before `held_back` blocks them.
        resource_tracker.ensure_running()
        # Subscribers come first: some transports keep nothing for those who are not there.
        subscribers = self._start(workers.receive, self._plan.subscribers)
        senders = self._start(workers.send, self._plan.senders)
        return self._finish(senders), self._finish(subscribers)

    def _start(self, job: workers.Job, count: int) -> list[_Worker]:
        """Start processes, and wait until they are connected to the room."""
        for number in range(count):
            with held_back():  # `end` knows of each that has been started
                self._workers.append(_Worker(job, number, *self._shared))
        started = self._workers[len(self._workers) - count :]
        self._wait(lambda: all(worker.ready for worker in started))
        return started

    def _finish(self, group: list[_Worker]) -> list[Any]:
        """Let processes go on to their end, and return their results."""
        for worker in group:
            worker.go_on()
        self._wait(lambda: all(worker.result is not None for worker in group))
        return [worker.result for worker in group]

    def _wait(self, done: Callable[[], bool]) -> None:
        """Read what all processes tell, until it is done."""
        while not done():
            at_work: dict[Any, _Worker] = {each.link: each for each in self._workers if each.result is None}
            for link in wait(list(at_work), timeout=_TICK):
                notice = at_work[link].read()
                if notice and notice != self._noticed:
                    self._noticed = notice
                    self._on_notice(notice)
            self._progress(sum(self._sent), min(self._received, default=0))

    def end(self) -> None:
        """End those that still run, and return when all are gone."""
        deadline = monotonic() + _END_SECONDS
        for worker in self._workers:
            if worker.result is None:  # the others end by themselves
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.link.close()
