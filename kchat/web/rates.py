"""How much a guest may send: a token bucket for each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

_MOST = 10_000
"""Guests that are remembered; a bucket that was not used for long is full, and full ones need not be kept."""


class Rates:
    """Buckets by name.

    Arguments:
        per_second: what comes back to a bucket in a second.
        burst: what a full one holds.
        clock: seconds, monotonic.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str) -> float:
        """Take one; returns 0, or the seconds until there is one, and then nothing was taken."""
        left, now = self._left(name)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._per_second
        self._buckets.pop(name, None)
        self._buckets[name] = (left - 1.0 if wait == 0.0 else left, now)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return wait

    def wait_for(self, name: str) -> float:
        """As :meth:`wait`, and takes none."""
        left, _ = self._left(name)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._per_second

    def _left(self, name: str) -> tuple[float, float]:
        now = self._clock()
        left, at = self._buckets.get(name, (float(self._burst), now))
        return min(float(self._burst), left + (now - at) * self._per_second), now
