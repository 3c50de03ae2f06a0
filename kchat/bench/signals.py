"""Holds signals back while a process is started, and while the benchmark cleans up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that people and terminals end a command with."""


@contextmanager
def held_back() -> Iterator[None]:
    """Signals that arrive within the block are delivered at its end.

    A process that is started within the block starts with them blocked: the terminal sends Ctrl+C to all processes, and
    Python prints a traceback when it is interrupted while it starts.
    """
    came: list[int] = []
    # The mask is the main thread's alone: the signal goes to another thread, such as a progress bar's, if there is one.
    numbers = ENDING if current_thread() is main_thread() else ()
    before = [(number, signal.signal(number, lambda each, _: came.append(each))) for number in numbers]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before:
            signal.signal(number, handler)
        for each in dict.fromkeys(came):
            signal.raise_signal(each)
