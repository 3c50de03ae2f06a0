"""The time by which messages are deleted as too old: :class:`BelievedClock`."""

from __future__ import annotations

import time
from collections.abc import Callable

_SLACK = 3600.0
"""Seconds that a clock may be set forward by and be believed at once."""

_DAY = 86400.0


def _passed() -> float:
    """Seconds that pass, those included in which the machine sleeps, where the system counts them."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if number is None else time.clock_gettime(number)


class BelievedClock:
    """The system's clock, but for one that is set forward by more than an hour: it has to stay so for a day.

    A clock that is a year ahead for a minute would make everything too old. Set back, it is believed at once: that deletes
    later, and not too much. What it shows at the beginning is believed, too. For one thread.

    Arguments:
        clock: returns the UNIX time, in seconds. Default: the system's clock.
        passed: returns the seconds since some moment, by a clock that cannot be set. Default: since the machine started.
    """

    def __init__(self, clock: Callable[[], float] = time.time, passed: Callable[[], float] = _passed) -> None:
        self._clock = clock
        self._passed = passed
        self._began = clock() - passed()
        self._doubted_at = 0.0
        self.doubted = 0.0
        """Seconds that the clock was set forward by and that are not believed yet; as of the last call of :meth:`now`."""

    def now(self) -> float:
        """The time that is believed: UNIX seconds."""
        passed = self._passed()
        began = self._clock() - passed
        ahead = began - self._began
        if ahead > self.doubted + _SLACK:  # also where it was doubted, and is set forward once more
            self._doubted_at = passed
        if ahead <= _SLACK or passed - self._doubted_at >= _DAY:
            self._began, ahead = began, 0.0
        self.doubted = ahead
        return passed + self._began
