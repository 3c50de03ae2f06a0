"""Messages that come twice: a sender that lost its connection sends again what was not confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kchat.message import Message

REMEMBERED = 20_000
"""Minimum number of bodies that are remembered to recognise a repeat: twenty senders' windows. The maximum is twice that."""


class Deduplicator:
    """Recognises a repeat: the same body byte for byte, with an ``id`` in it. Without an id, messages may be alike.

    Arguments:
        remembered: minimum number of bodies that are remembered; the maximum is twice that.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._recent: set[int] = set()
        self._before: set[int] = set()

    def has(self, message: Message) -> bool:
        """Whether it was here before; from now on it was."""
        if message.id is None:
            return False
        key = hash(message.body)
        if key in self._recent or key in self._before:
            return True
        self._recent.add(key)
        # Forgetting many at once costs nothing; one by one would cost as much as all the rest.
        if len(self._recent) == self._remembered:
            self._recent, self._before = set(), self._recent
        return False

    def forget(self) -> None:
        """Begin anew."""
        self._recent, self._before = set(), set()
