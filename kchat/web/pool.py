"""Threads that wait for brokers: few for all guests, since each guest needs one only now and then."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread, current_thread
from time import monotonic

THREADS = 32
"""Maximum number of threads. Each waits for one broker connection at a time."""

_IDLE = 30.0
"""Seconds without a job after which a thread ends."""


class Pool:
    """Runs jobs, each in one of its threads. Any thread may call anything.

    Its threads are daemons: the interpreter does not wait at its end for one that waits for a broker.

    Arguments:
        most: maximum number of threads.
        idle: seconds without a job after which one ends.
    """

    def __init__(self, most: int = THREADS, idle: float = _IDLE) -> None:
        self._most = most
        self._idle_for = idle
        self._jobs: deque[Callable[[], object]] = deque()
        self._changed = Condition()
        self._threads: set[Thread] = set()
        self._idle = 0
        self._ended = False

    def start(self, job: Callable[[], object]) -> None:
        """Have a job done, which raises nothing."""
        with self._changed:
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or len(self._threads) >= self._most:
                self._changed.notify()
                return
            thread = Thread(target=self._run, name="kchat send for guests", daemon=True)
            self._threads.add(thread)
        thread.start()

    def end(self, timeout: float) -> None:
        """Have the threads end after the jobs that there are, and wait for that.

        Arguments:
            timeout: maximum number of seconds to wait.
        """
        ends = monotonic() + timeout
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(max(0.0, ends - monotonic()))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                there = self._changed.wait_for(lambda: self._jobs or self._ended, self._idle_for)
                self._idle -= 1
                if not there or not self._jobs:
                    self._threads.discard(current_thread())
                    return
                job = self._jobs.popleft()
            job()
            del job  # it holds on to a message
