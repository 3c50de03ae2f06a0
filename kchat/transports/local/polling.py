"""How long to pause between two looks for news, and when to leave it to the kernel to wake us.

Looking costs about 2 µs, waking up for it ten times that and more. The pauses are short after news and grow while
nothing comes, so that the next message is seen within 10 ms. Once nobody has written for a while the kernel is asked
to wake us, see :mod:`.watch`: in a room where people talk, most of the time is spent so. Where it cannot, an idle
subscriber looks 140 times a second. A dense stream is read in larger portions: looking a thousand times a second gains
nothing there.
"""

from __future__ import annotations

import time

#: Seconds between two looks right after news, and at most.
SHORTEST = 0.001
LONGEST = 0.007

#: Seconds without news after which the pauses begin to grow, and without any write before the kernel is asked.
LIVELY = 0.1

#: Messages at one look from which on a stream is dense, and its longest pause.
DENSE = 20
DENSE_LONGEST = 0.004

#: Seconds until the next look where the kernel tells of nothing: it does not tell of a writer that was stopped in the
#: middle of a commit and goes on much later.
ASLEEP = 0.25


class PollingInterval:
    """Says when to look next. Starts as if there had just been news."""

    def __init__(self) -> None:
        self.pause = SHORTEST
        #: When the last look began.
        self.looked_at = 0.0
        self._news_at = self._written_at = time.monotonic()

    def wait(self, now: float, *, told: bool = False) -> float:
        """Seconds until the next look is due; 0 or less: now.

        Arguments:
            now: the time.
            told: whether the kernel tells of writes. Then it is due after :data:`ASLEEP`.
        """
        return self.looked_at + (ASLEEP if told else self.pause) - now

    def is_quiet(self) -> bool:
        """Whether nobody has written for :data:`LIVELY` seconds, so that the kernel can be left to wake us."""
        return self.pause >= LONGEST and self.looked_at - self._written_at > LIVELY

    def looked(self, now: float, found: int, *, written: bool) -> None:
        """Note a look: how many messages it found, and whether anybody wrote anything at all."""
        self.looked_at = now
        if written:
            self._written_at = now
        if found:
            self._news_at = now
            dense = min(max(self.pause * 1.5, SHORTEST), DENSE_LONGEST)
            self.pause = dense if found >= DENSE else SHORTEST
        elif now - self._news_at > LIVELY:
            # Others may be writing to each other all the time, which does not make looking more often worthwhile.
            self.pause = min(max(self.pause * 1.5, SHORTEST), LONGEST)
        else:
            self.pause = SHORTEST

    def woken(self, now: float) -> None:
        """The kernel reports a write: what was written will be visible in a moment."""
        self._written_at = now
        self.pause = 0.0
