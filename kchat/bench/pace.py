"""When a sender sends its next message: at a given rate, or as fast as the slowest subscriber lets it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic, sleep

PAUSE = 0.001
"""How long a sender waits when it is too far ahead, and how late it may be at a given rate, in seconds."""


def wait_until(due: float) -> Iterator[None]:
    """Yield until the given time of the monotonic clock."""
    while (early := due - monotonic()) > 0:
        yield None
        sleep(min(early, PAUSE))


class Lead:
    """How far one sender is ahead of the subscribers.

    It assumes that what a subscriber has received came from all senders alike. Lost messages never arrive: a subscriber
    that has received nothing for too long is not waited for until it receives again, and the messages that it lacks by
    then count as lost.

    Arguments:
        received: number of messages by subscriber; other processes change it.
        senders: number of senders.
        most: maximum number of messages that the sender may be ahead.
        patience: how long to wait for a subscriber that receives nothing, in seconds.
    """

    def __init__(self, received: Sequence[int], senders: int, most: int, patience: float) -> None:
        self._received = received
        self._senders = senders
        self._most = most
        self._patience = patience
        self._before = list(received)
        self._moved_at = [monotonic()] * len(self._before)
        self._lost = [0] * len(self._before)

    def wait(self, count: int) -> Iterator[None]:
        """Yield until the sender may go on.

        Arguments:
            count: number of messages that it has sent.
        """
        while self._is_too_far(count):
            yield None
            sleep(PAUSE)

    def _is_too_far(self, count: int) -> bool:
        now = monotonic()
        too_far = False
        for number, came in enumerate(self._received):
            if came != self._before[number]:
                self._before[number], self._moved_at[number] = came, now
            behind = count - came // self._senders
            # Some messages that counted as lost have arrived after all.
            self._lost[number] = min(self._lost[number], max(0, behind))
            if behind - self._lost[number] <= self._most:
                continue
            if now - self._moved_at[number] > self._patience:
                self._lost[number] = behind
            else:
                too_far = True
        return too_far
