"""What must not be interrupted half way: starting a process, and cleaning up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What people and terminals end a command with."""


@contextmanager
def held_back() -> Iterator[None]:
    """Signals that come within the block are delivered when it has ended.

    A process that is started within has them blocked until it says otherwise: Python is not fit for Ctrl+C while it
    starts, and the terminal sends that to all.
    """
    came: list[int] = []
    # Other threads, such as a progress bar's, may have theirs unblocked: the mask alone would keep nothing from us.
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
