"""Messages that come twice: a sender that lost its connection sends again what was not confirmed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kchat.message import Message

REMEMBERED = 20_000
"""So many bodies are remembered to recognise a repeat: twenty senders' windows."""


class Repeats:
    """Recognises a repeat: the same body byte for byte, with an ``id`` in it. Who sends no id may say a thing twice."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._order: deque[int] = deque(maxlen=REMEMBERED)

    def has(self, message: Message) -> bool:
        """Whether it was here before; from now on it was."""
        if message.id is None:
            return False
        seen, order = self._seen, self._order
        key = hash(message.body)
        if key in seen:
            return True
        if len(order) == REMEMBERED:
            seen.discard(order[0])
        order.append(key)
        seen.add(key)
        return False

    def forget(self) -> None:
        """Begin anew."""
        self._seen.clear()
        self._order.clear()
