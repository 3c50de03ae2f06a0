"""Waiting for something to become true, with a deadline, so that no test has to sleep."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02
"""Seconds between two looks. Short beside what a broker takes, long beside what a look costs."""


GRACE = 0.0 if os.environ.get("KCHAT_TEST_EXACT") else 20.0
"""Seconds that a busy machine is given on top of each limit. `nox -s faults` gives none, and runs alone."""


def soon(seconds: float) -> float:
    """A limit in seconds up to which a test waits, or by which something has to be over; with :data:`GRACE`.

    A test that passes never waits for it. One that would pass too early with it has to count or to order events instead.
    """
    return seconds + GRACE


class Deadline:
    """A moment in the future that everything a test waits for has in common.

    Arguments:
        seconds: from now until the deadline.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, 0.0 when it has passed: fit for a ``timeout=`` argument."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the deadline is behind us."""
        return time.monotonic() >= self.at


def wait_until(
    look: Callable[[], T | None],
    deadline: float | Deadline = 60.0,
    what: str | Callable[[], str] = "",
    pause: float = PAUSE,
) -> T:
    """Looks again and again until what it sees is true.

    Arguments:
        look: called with no arguments; anything true ends the wait. What it raises is passed on.
        deadline: seconds from now, to which :func:`soon` adds; or a deadline shared with others. Default 60 seconds.
        what: for the error: what was waited for, or a function that tells what was seen instead.
        pause: seconds between two looks. Default 0.02.

    Returns:
        What ``look`` returned when it was true.

    Raises:
        TimeoutError: the deadline passed. There is always one look after the last pause.
    """
    until = deadline if isinstance(deadline, Deadline) else Deadline(soon(deadline))
    while True:
        last = until.passed
        if seen := look():
            return seen
        if last:
            told = what() if callable(what) else what
            raise TimeoutError(f"not within {until.seconds:g} s: {told or look}")
        time.sleep(min(pause, until.left))
