"""How times spread: :class:`Spread`, which can be added up without the times themselves.

A time stands in a *step*: each millisecond up to 63 is one, and above that each power of two is divided into 32 of them, so
that a step is at most 1/32 of its times wide. Counts in steps answer "which time is not exceeded by half of them" within
1.6 %, whichever store has counted and however many were added up. (The idea of HdrHistogram, http://hdrhistogram.org.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

EXACT = 64
"""Times below this many milliseconds are steps of their own."""

_BITS = 5  # 32 steps in each power of two


def step(ms: int) -> int:
    """The number of the step that a time of so many milliseconds, 0 or more, stands in."""
    if ms < EXACT:
        return ms
    shift = ms.bit_length() - 1 - _BITS
    return (shift << _BITS) + (ms >> shift)


def middle(number: int) -> float:
    """The time in milliseconds that a step stands for: the middle of its whole milliseconds."""
    if number < EXACT:
        return float(number)
    shift = (number >> _BITS) - 1
    least = (number - (shift << _BITS)) << shift
    return least + ((1 << shift) - 1) / 2


@dataclass(slots=True)
class Spread:
    """How many times there were, and how long.

    Attributes:
        count: of the times.
        total: of them, in milliseconds.
        longest: of them, in milliseconds; 0 where there is none.
        longest_at: when the first of the longest ended, in milliseconds since 1970.
        steps: how many stand in each step: see :func:`step`.
    """

    count: int = 0
    total: int = 0
    longest: int = 0
    longest_at: int = 0
    steps: dict[int, int] = field(default_factory=dict)

    def add(self, ms: int, at: int) -> None:
        """Count a time of so many milliseconds that ended at ``at``."""
        if ms > self.longest or not self.count or (ms == self.longest and at < self.longest_at):
            self.longest, self.longest_at = ms, at
        self.count += 1
        self.total += ms
        number = step(ms)
        self.steps[number] = self.steps.get(number, 0) + 1

    def include(self, other: Spread) -> None:
        """Count all that another has counted."""
        if not other.count:
            return
        if (
            not self.count
            or other.longest > self.longest
            or (other.longest == self.longest and other.longest_at < self.longest_at)
        ):
            self.longest, self.longest_at = other.longest, other.longest_at
        self.count += other.count
        self.total += other.total
        for number, many in other.steps.items():
            self.steps[number] = self.steps.get(number, 0) + many

    @property
    def mean(self) -> float | None:
        """In milliseconds; None where there is no time."""
        return self.total / self.count if self.count else None

    def percentile(self, percent: int) -> float | None:
        """The time in milliseconds that so many percent of all do not exceed, within 1.6 %; None where there is no time.

        It is the one at the place ``ceil(percent / 100 * count)`` when they are in order (the nearest rank).
        """
        if not self.count:
            return None
        rank = max(1, -(-percent * self.count // 100))
        if rank == self.count:  # so that of a few times, 95 % are not within less than the longest
            return float(self.longest)
        seen = 0
        for number in sorted(self.steps):
            seen += self.steps[number]
            if seen >= rank:
                return min(middle(number), float(self.longest))
        raise AssertionError("more times than there are in the steps")
