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

    def wait(self, name: str, *, take: bool = True) -> float:
        """Take one; returns 0, or the seconds until there is one, and then nothing was taken.

        Arguments:
            name: of the bucket.
            take: whether one is taken, or only looked for.
        """
        now = self._clock()
        left, at = self._buckets.pop(name, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_second)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._per_second
        self._buckets[name] = (left - 1.0 if take and wait == 0.0 else left, now)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return wait
