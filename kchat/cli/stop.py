"""Ending by a signal: at once when it is safe, at the next pause otherwise, by force when that takes too long."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 1.0
"""Seconds to come to an end in order after the first signal."""


class Stop:
    """Whether a signal has asked to stop; called, it answers."""

    def __init__(self) -> None:
        self.asked = False
        self.gentle = False

    def __call__(self) -> bool:
        """Whether it has."""
        return self.asked

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler.

        Raises:
            KeyboardInterrupt: nothing is going on that has to be finished, or it has had its time.
        """
        if self.asked or not self.gentle:
            raise KeyboardInterrupt
        self.asked = True
        # What is blocked by then, in a pipe that nobody reads or a connect that nobody answers, is not waited for.
        signal.setitimer(signal.ITIMER_REAL, GRACE)


@contextmanager
def stop_by_signal() -> Iterator[Stop]:
    """Let SIGINT and SIGTERM end the block. Within it, set ``gentle`` where there is something to be finished first.

    Ends without an error where the signals ask for it.
    """
    stop = Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.signal(number, stop.handle) for number in numbers]
    try:
        yield stop
    except KeyboardInterrupt:
        stop.asked = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
