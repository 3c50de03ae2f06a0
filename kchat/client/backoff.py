"""When to try again."""

from __future__ import annotations

from time import monotonic

from kchat.chance import between


class Backoff:
    """Pauses between attempts to connect: doubling, with full jitter, so that a room does not come back in step.

    Arguments:
        first: upper bound of the first pause, in seconds.
        most: upper bound of all.
    """

    def __init__(self, first: float = 0.25, most: float = 5.0) -> None:
        self._first = first
        self._most = most
        self.reset()

    def reset(self) -> None:
        """Start over, after a success."""
        self.attempt = 0
        self.due = monotonic()

    def fail(self) -> float:
        """Note a failed attempt; returns the seconds until the next one is due."""
        bound = min(self._most, self._first * 2.0**self.attempt)
        self.attempt += 1
        pause = bound / 2 + between(0, bound / 2)
        self.due = monotonic() + pause
        return pause

    def remaining(self) -> float:
        """Seconds until the next attempt is due; 0 when it is."""
        return max(0.0, self.due - monotonic())
