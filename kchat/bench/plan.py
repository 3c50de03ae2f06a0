"""What is to be measured, and what the processes that do it have in common."""

from __future__ import annotations

import math
from typing import NamedTuple

from kchat.errors import SettingsError

LEAD = 5_000
"""Maximum number of messages that senders are ahead of the slowest subscriber: half of what a subscriber's queue holds."""

LEAD_BYTES = 16 * 1024 * 1024
"""... and maximum number of bytes, a quarter of what it holds."""

SMALLEST, LARGEST = 32, 1024 * 1024
"""Bytes of a message's text. The smallest has just room for who sent it, its number and the time."""

MOST = 100_000_000
"""Messages. Each subscriber has a byte of memory for each of them."""


class Plan(NamedTuple):
    """What to measure.

    Attributes:
        messages: how many, from all senders together.
        size: bytes of each message's text.
        senders: processes that send.
        subscribers: processes that listen. With none, only sending is measured.
        rate: messages a second, from all senders together. Default: as fast as the room takes them, while the slowest
            subscriber is at most :data:`LEAD` messages behind.
        patience: seconds to wait for messages that do not come, after which they are lost.
    """

    messages: int = 20_000
    size: int = 128
    senders: int = 1
    subscribers: int = 1
    rate: float | None = None
    patience: float = 5.0

    def check(self) -> None:
        """Make sure that it can be done.

        Raises:
            SettingsError: it cannot.
        """
        if self.messages < 1 or self.senders < 1 or self.subscribers < 0:
            raise SettingsError("a benchmark has one message and one sender at least")
        if self.messages > MOST:
            raise SettingsError(f"a benchmark has {MOST:,} messages at most")
        if not SMALLEST <= self.size <= LARGEST:
            raise SettingsError(f"a message has {SMALLEST} to {LARGEST:,} bytes, not {self.size:,}")
        if self.rate is not None and not 0 < self.rate < math.inf:  # NaN is neither
            raise SettingsError("a rate is a number of messages a second, more than 0")

    @property
    def lead(self) -> int:
        """Maximum number of messages that are sent and that a subscriber has not received."""
        return max(1, min(LEAD, LEAD_BYTES // self.size))

    def share(self, sender: int) -> int:
        """How many of the messages a sender sends, by its number from 0 on."""
        return self.messages // self.senders + (sender < self.messages % self.senders)

    def due(self, sender: int, count: int) -> float:
        """At a rate: when a sender's message is due, by the number that it has sent before, in seconds from the start."""
        assert self.rate is not None
        return (count * self.senders + sender) / self.rate  # they take turns


def text_of(sender: int, number: int, now: int, size: int) -> str:
    """A message's text: who sent it, its number, the time in nanoseconds of the monotonic clock, and filling."""
    return f"{sender} {number} {now} ".ljust(size, ".")[:size]


def read_text(text: str) -> tuple[int, int, int] | None:
    """What :func:`text_of` has put in; ``None`` for somebody else's text."""
    parts = text.split(" ", 3)
    try:
        sender, number, now = map(int, parts[:3])
    except ValueError:
        return None
    return sender, number, now
