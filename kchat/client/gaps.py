"""What is missing between the messages that arrive, by the numbers that kchat's senders give them."""

from __future__ import annotations

from typing import NamedTuple

REMEMBERED = 10_000
"""Minimum number of senders to remember; the maximum is twice that."""

_FORGED = 100_000_000
"""Messages that nobody has missed between two that arrived: a number like that is made up."""


class Number(NamedTuple):
    """The place of a message in what its sender has sent, one after the other, to one room.

    Attributes:
        stream: of the sender, from when it began, or has given a message up, on.
        place: 1, 2, 3, ...
    """

    stream: str
    place: int


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

    def note(self, number: Number | None, account: str | None) -> None:
        """A message has arrived.

        Arguments:
            number: its number, if it has one.
            account: the verified account that sent it, so that nobody can count in another's name.
        """
        if number is None:
            self.uncounted = True
            return
        stream, place = number
        key = stream, account
        last = self._recent.get(key)
        if last is None:
            last = self._before.get(key)
        if last is None:
            self.joined = self.joined or place > 1
            skipped = 0
        elif place <= last:
            return  # it is sent again
        else:
            skipped = place - last - 1
        if 0 < skipped < _FORGED:
            self.missing += skipped
        self._recent[key] = place
        if len(self._recent) >= REMEMBERED:
            self._recent, self._before = {}, self._recent
