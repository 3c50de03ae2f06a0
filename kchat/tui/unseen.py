"""What was sent from here and did not come back from the room yet, which is the evidence that it was in others' queues."""

from __future__ import annotations

from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kchat.message import Message

_MOST = 1000
"""Messages that are kept; the oldest are forgotten."""


class _Sent:
    __slots__ = ("confirmed_at", "in_doubt", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.confirmed_at: float | None = None
        self.in_doubt = False


class Unseen:
    """Messages that were sent. One thread sends, another one receives.

    A broker confirms a message when it is in the queues of those who listen; where these queues go with it, as they do in a
    restart, nobody may have read it.
    """

    def __init__(self) -> None:
        self._sent: dict[str, _Sent] = {}
        self._lock = Lock()

    def begin(self, message: Message) -> None:
        """It is being sent, perhaps again."""
        assert message.id is not None
        with self._lock:
            self._sent.setdefault(message.id, _Sent(message))
            if len(self._sent) > _MOST:
                del self._sent[next(iter(self._sent))]

    def confirm(self, message: Message) -> None:
        """The broker has it."""
        with self._lock:
            sent = self._sent.get(message.id or "")
            if sent is not None:
                sent.confirmed_at, sent.in_doubt = monotonic(), False

    def forget(self, message: Message) -> None:
        """It is given up."""
        with self._lock:
            self._sent.pop(message.id or "", None)

    def arrive(self, messages: Iterable[Message]) -> None:
        """These came from the room. An id alone proves nothing: anybody can take one."""
        with self._lock:
            if not self._sent:
                return
            for message in messages:
                sent = self._sent.get(message.id or "")
                if sent is not None and sent.message.body == message.body:
                    del self._sent[message.id or ""]

    def has_arrived(self, message: Message) -> bool:
        """Whether it came back after it was begun."""
        with self._lock:
            return message.id not in self._sent

    def doubt(self, since: float) -> None:
        """The connection was lost: what was confirmed after that moment (monotonic) and did not come back is in doubt."""
        with self._lock:
            for sent in self._sent.values():
                sent.in_doubt = sent.confirmed_at is not None and sent.confirmed_at >= since

    def in_doubt(self) -> Message | None:
        """The first message that is to be sent again."""
        with self._lock:
            return next((sent.message for sent in self._sent.values() if sent.in_doubt), None)
