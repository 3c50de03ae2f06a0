"""What to measure, and the text of the messages."""

from __future__ import annotations

import math
from typing import NamedTuple

from kchat.errors import SettingsError

LEAD = 5_000
"""Maximum number of messages that senders are ahead of the slowest subscriber: half of what a subscriber's queue holds."""

LEAD_BYTES = 16 * 1024 * 1024
"""The same in bytes: a quarter of what such a queue holds."""

SMALLEST, LARGEST = 32, 1024 * 1024
"""Size of a message's text in bytes. The smallest has just room for the sender, the number and the time."""

MOST = 100_000_000
"""Maximum number of messages. Each subscriber uses a byte of memory for each."""


class Plan(NamedTuple):
    """What to measure.

    Attributes:
        messages: number of messages, from all senders together.
        size: size of each message's text in bytes.
        senders: number of processes that send.
        subscribers: number of processes that receive. With 0, only sending is measured.
        rate: messages per second, from all senders together. Default: as fast as the broker confirms them, with the
            slowest subscriber at most :data:`LEAD` messages behind.
        patience: how long to wait for messages that do not arrive, in seconds; then they count as lost.
    """

    messages: int = 20_000
    size: int = 128
    senders: int = 1
    subscribers: int = 1
    rate: float | None = None
    patience: float = 5.0

    def check(self) -> None:
        """Check the figures.

        Raises:
            SettingsError: one of them is not valid.
        """
        if self.messages < 1 or self.senders < 1 or self.subscribers < 0:
            raise SettingsError("a benchmark needs at least one message and one sender")
        if self.messages > MOST:
            raise SettingsError(f"a benchmark has at most {MOST:,} messages")
        if not SMALLEST <= self.size <= LARGEST:
            raise SettingsError(f"a message has {SMALLEST} to {LARGEST:,} bytes, not {self.size:,}")
        if self.rate is not None and not 0 < self.rate < math.inf:  # NaN is neither
            raise SettingsError("a rate is a number of messages per second above 0")

    @property
    def lead(self) -> int:
        """Maximum number of messages that are sent and not yet received by a subscriber."""
        return max(1, min(LEAD, LEAD_BYTES // self.size))

    def share(self, sender: int) -> int:
        """The number of messages that a sender sends. Senders are numbered from 0."""
        return self.messages // self.senders + (sender < self.messages % self.senders)

    def due(self, sender: int, count: int) -> float:
        """When a sender's message is due, in seconds from the start, by the number of messages that it has sent before."""
        assert self.rate is not None
        return (count * self.senders + sender) / self.rate  # they take turns


def text_of(sender: int, number: int, now: int, size: int) -> str:
    """A message's text: its sender, its number, the time in nanoseconds of the monotonic clock, and padding."""
    return f"{sender} {number} {now} ".ljust(size, ".")[:size]


def read_text(text: str) -> tuple[int, int, int] | None:
    """Sender, number and time of a text of :func:`text_of`; ``None`` for any other text."""
    parts = text.split(" ", 3)
    try:
        sender, number, now = map(int, parts[:3])
    except ValueError:
        return None
    return sender, number, now
