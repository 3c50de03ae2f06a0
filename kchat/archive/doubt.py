"""Whether messages may be in an archive already, for stores to which looking costs time: :class:`Doubt`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kchat.archive.record import Record
    from kchat.message import Message

_REMEMBERED = 50_000
"""Keys of messages that are remembered."""

_SKEW = 1_000
"""Milliseconds by which senders' clocks may be ahead."""


class Doubt:
    """Of one archiver, which remembers the last messages.

    A message is certain to be new that was sent since those began, by its sender's clock, and is not one of them, if no
    other archiver, and no lost connection, may have had it.

    A sender that got no confirmation sends a message again, a recording is sent again with its ids: the broker knows nothing
    of that. Both look older than they come, or are remembered.

    Arguments:
        prefetch: maximum number of unacknowledged messages: that many may come again by a new connection.
        shared: whether other archivers read the same queue.
    """

    def __init__(self, prefetch: int, *, shared: bool) -> None:
        self._prefetch = prefetch
        self._shared = shared
        self._connection: object = None
        self._came = 0
        self._remembered: dict[int, int] = {}
        self._since = time.time_ns() // 1_000_000

    def looks_again(
        self, messages: Iterable[tuple[Message, int]], records: Sequence[Record], connection: object
    ) -> bool:
        """Whether some of these may have been written before; they are remembered.

        Arguments:
            messages: that came, with their times.
            records: what is to be written of them.
            connection: by which they came.
        """
        if connection != self._connection:
            self._connection, self._came = connection, 0
        found = self._shared or self._came < self._prefetch
        self._came += len(records)
        found = found or any(message.redelivered for message, _ in messages)
        remembered, since = self._remembered, self._since + _SKEW
        for record in records:
            key, sent_at = hash((record.room, record.key)), record.sent_at
            if sent_at is None or not since <= sent_at <= record.received_at + _SKEW or key in remembered:
                found = True
            remembered[key] = record.received_at
        while len(remembered) > _REMEMBERED:
            oldest = next(iter(remembered))
            self._since = max(self._since, remembered.pop(oldest))
        return found
