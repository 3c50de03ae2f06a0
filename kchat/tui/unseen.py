"""What was sent from here, and whether it came back from the room: the evidence that it went out to others, too."""

from __future__ import annotations

from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kchat.message import Message

_MOST = 1000
"""Messages that are kept; the oldest are forgotten."""

_SETTLED = 10.0
"""Seconds after coming back from which on a message has come to others, too. A broker that stops closes one connection after
the other: what came back shortly before it closed this one may have come to nobody else."""


class _Sent:
    __slots__ = ("arrived_at", "confirmed_at", "in_doubt", "losses", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.confirmed_at: float | None = None
        self.arrived_at: float | None = None
        self.in_doubt = False
        self.losses = 0  # before it was sent

    def is_settled(self, now: float) -> bool:
        return not self.in_doubt and self.arrived_at is not None and now - self.arrived_at >= _SETTLED


class Unseen:
    """Messages that were sent. One thread sends, another one receives.

    A broker confirms a message when it is in the queues of those who listen; where these queues go with it, as they do in a
    restart, nobody may have read it.

    Arguments:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._sent: dict[str, _Sent] = {}
        self._losses = 0
        self._lock = Lock()

    def begin(self, message: Message) -> None:
        """It is being sent, perhaps again."""
        assert message.id is not None
        with self._lock:
            self._sent.setdefault(message.id, _Sent(message)).losses = self._losses
            now = self._clock()
            while (oldest := next(iter(self._sent.values()), None)) is not None and oldest.is_settled(now):
                del self._sent[oldest.message.id or ""]
            if len(self._sent) > _MOST:
                del self._sent[next(iter(self._sent))]

    def confirm(self, message: Message) -> None:
        """The broker has it."""
        with self._lock:
            sent = self._sent.get(message.id or "")
            if sent is not None:
                sent.confirmed_at = self._clock()
                # The sender's connection may last longer than those by which others listened.
                sent.in_doubt = sent.losses != self._losses

    def forget(self, message: Message) -> None:
        """It is given up."""
        with self._lock:
            self._sent.pop(message.id or "", None)

    def arrive(self, messages: Iterable[Message]) -> None:
        """These came from the room. An id alone proves nothing: anybody can take one."""
        with self._lock:
            if not self._sent:
                return
            now = self._clock()
            for message in messages:
                sent = self._sent.get(message.id or "")
                if sent is not None and sent.message.body == message.body:
                    sent.arrived_at = now

    def has_arrived(self, message: Message) -> bool:
        """Whether it came back after it was begun."""
        with self._lock:
            sent = self._sent.get(message.id or "")
            return sent is None or sent.arrived_at is not None

    def doubt(self, since: float) -> None:
        """The connection was lost: what was confirmed after that moment (monotonic) and is not settled is in doubt."""
        with self._lock:
            now = self._clock()
            self._losses += 1
            for sent in self._sent.values():
                confirmed = sent.confirmed_at is not None and sent.confirmed_at >= since
                if (confirmed or sent.arrived_at is not None) and not sent.is_settled(now):
                    sent.in_doubt = (
                        True  # until it is sent again, however often the connection is lost before
                    )

    def in_doubt(self) -> Message | None:
        """The first message that is to be sent again."""
        with self._lock:
            first = next((sent for sent in self._sent.values() if sent.in_doubt), None)
            if first is None:
                return None
            first.losses = self._losses
            return first.message
