"""When a sender sends its next message: at a given rate, or as fast as the slowest subscriber lets it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic, sleep

PAUSE = 0.001
"""Seconds that a sender waits when it is too far ahead, and that it may be late at a given rate."""


def wait_until(due: float) -> Iterator[None]:
    """Yields until it is time, by the monotonic clock."""
    while (early := due - monotonic()) > 0:
        yield None
        sleep(min(early, PAUSE))


class Lead:
    """How far one sender is ahead of the subscribers.

    It takes what a subscriber has received as coming from all senders alike. What is lost on the way never comes: a
    subscriber that has received nothing for too long is not waited for until it does again, and what it is behind by
    then counts as lost.

    Arguments:
        received: messages by subscriber; others change it.
        senders: how many there are.
        most: maximum number of messages that it may be ahead.
        patience: seconds without a message after which a subscriber is not waited for.
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
        """Yields until the sender may go on.

        Arguments:
            count: messages that it has sent.
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
            # Some of what was given up has come after all.
            self._lost[number] = min(self._lost[number], max(0, behind))
            if behind - self._lost[number] <= self._most:
                continue
            if now - self._moved_at[number] > self._patience:
                self._lost[number] = behind
            else:
                too_far = True
        return too_far
