"""How long to pause between two looks for news.

Looking costs about 2 µs, waking up for it ten times that. The pauses are short after news and grow while it is
quiet, so that the next message is seen within 10 ms and an idle subscriber takes less than half a percent of a
core. A dense stream is read in larger portions: looking a thousand times a second gains nobody anything there.
"""

from __future__ import annotations

import time

#: Seconds between two looks right after news, and at most.
SHORTEST = 0.001
LONGEST = 0.007

#: Seconds without news after which the pauses begin to grow.
LIVELY = 0.25

#: Messages at one look from which on a stream is dense, and its longest pause.
DENSE = 20
DENSE_LONGEST = 0.004


class Pace:
    """Says when to look next. Starts as if there had just been news."""

    def __init__(self) -> None:
        self.pause = SHORTEST
        self._looked_at = 0.0
        self._news_at = time.monotonic()

    def wait(self, now: float) -> float:
        """Seconds until the next look is due; 0 or less: now."""
        return self._looked_at + self.pause - now

    def looked(self, now: float, found: int) -> None:
        """There was a look, and it found so many messages."""
        self._looked_at = now
        if found:
            self._news_at = now
            self.pause = min(self.pause * 1.5, DENSE_LONGEST) if found >= DENSE else SHORTEST
        elif now - self._news_at > LIVELY:
            self.pause = min(self.pause * 1.1, LONGEST)
        else:
            self.pause = SHORTEST
