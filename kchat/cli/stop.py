"""Ending by a signal: at once when it is safe, at the next pause otherwise, by force when that takes too long."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 1.0
"""Seconds to come to an end in order after the first signal."""


class Stop:
    """Whether a signal has asked to stop; called, it answers.

    Arguments:
        once: only the first signal counts: what it interrupts then cleans up, and is not interrupted in that.
    """

    def __init__(self, *, once: bool = False) -> None:
        self.asked = False
        self.gentle = False
        self._once = once

    def __call__(self) -> bool:
        """Whether it has."""
        return self.asked

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler.

        Raises:
            KeyboardInterrupt: nothing is going on that has to be finished, or it has had its time.
        """
        if self.asked and self._once:
            return
        if self.asked or not self.gentle:
            self.asked = True
            raise KeyboardInterrupt
        self.asked = True
        # What is blocked by then, in a pipe that nobody reads or a connect that nobody answers, is not waited for.
        signal.setitimer(signal.ITIMER_REAL, GRACE)


@contextmanager
def stop_by_signal(*, cleans_up: bool = False) -> Iterator[Stop]:
    """Let SIGINT and SIGTERM end the block. Within it, set ``gentle`` where there is something to be finished first.

    Ends without an error where the signals ask for it.

    Arguments:
        cleans_up: the block leaves something behind unless it cleans up: a terminal that is closed (SIGHUP) ends it as
            the others do, and no further signal interrupts it.
    """
    stop = Stop(once=cleans_up)
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGALRM]
    if cleans_up and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        numbers.append(signal.SIGHUP)
    before = [signal.signal(number, stop.handle) for number in numbers]
    try:
        yield stop
    except KeyboardInterrupt:
        stop.asked = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
