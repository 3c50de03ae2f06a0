"""What is missing between the messages that arrive, by the numbers that kchat's senders give them."""

from __future__ import annotations

REMEMBERED = 10_000
"""Minimum number of senders to remember; the maximum is twice that."""

_FORGED = 100_000_000
"""Messages that nobody has missed between two that arrived: a number like that is made up."""


class Gaps:
    """Counts the messages that did not arrive between two that did.

    Each sender's messages arrive in the order sent, and what is sent again bears the number that it had. So whatever
    is skipped was dropped on the way.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: with another queue."""
        self.missing = 0
        """Messages that are missing, and that nobody was told of yet."""
        self.uncounted = False
        """Whether others came that bear no number: of those nobody knows how many are missing."""
        self.joined = False
        """Whether a sender was heard for the first time, but not from its beginning. Reading it resets it."""
        self._recent: dict[tuple[str, str | None], int] = {}
        self._before: dict[tuple[str, str | None], int] = {}

    def note(self, number: tuple[str, int] | None, account: str | None) -> None:
        """A message has arrived.

        Arguments:
            number: names what its sender has sent since it began, or gave a message up, and the place in that: 1, 2, 3, ...
            account: the verified account that sent it, so that nobody can count in another's name.
        """
        if number is None:
            self.uncounted = True
            return
        stream, place = number
        key = stream, account
        last = self._recent.get(key) or self._before.get(key)
        if last is None:
            self.joined = self.joined or place > 1
        elif place <= last:
            return  # it is sent again
        elif (skipped := place - last - 1) < _FORGED:
            self.missing += skipped
        self._recent[key] = place
        if len(self._recent) >= REMEMBERED:
            self._recent, self._before = {}, self._recent
