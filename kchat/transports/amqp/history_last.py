"""The last messages of a room's history on RabbitMQ, by their exact number.

Offsets tell where they begin only to within the number of segments, in front of each of which one is the broker's own
(:mod:`.history`). So they are counted before they are handed over. A few are kept meanwhile; more are read once more,
from the right one on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from kchat.transports.history import Kept

from .history_reader import (
    PREFETCH,
    STALLED,
    Offset,
    StreamReader,
    channel_of,
    close_channel,
    offset_of,
    stalled,
)

if TYPE_CHECKING:
    from kchat.transports.protocols import Connection, Delivery

_SEGMENTS = 64
"""Offsets in front of the last ones that are counted too; a history has about eight segments."""

_KEPT = 1_000
"""Most messages that are kept while they are counted."""


class LastReader:
    """See :class:`kchat.transports.history.HistoryReader`.

    Arguments:
        connection: connected.
        stream: its name.
        last: number of messages.
        end: the last offset to hand over.
        find_oldest: returns the first offset that is not too old; called while the stream's messages are on their way.
    """

    missing = certain = 0
    is_other = False

    def __init__(
        self,
        connection: Connection,
        stream: str,
        last: int,
        end: int,
        *,
        find_oldest: Callable[[], int] = int,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._last = last
        self._end = end
        self._reader: StreamReader | None = None
        self._kept: deque[Kept] | None = deque(maxlen=last) if last <= _KEPT else None
        self._first: list[int] = []  # the first offsets, of which one is that to begin with
        self._count = 0
        self._at = max(0, end - last - _SEGMENTS + 1) - 1
        self._oldest = 0
        self._early: list[Delivery] | None = []  # what comes before it is known what is too old
        self._tag: Any = None
        self._unacknowledged = 0
        self._came_at = monotonic()
        self._channel: Any = None
        if not last or self._at >= end:
            self._begin(end + 1)
            return
        self._channel = channel = channel_of(connection)
        try:
            channel.basic_qos(0, PREFETCH, False)
            channel.basic_consume(
                stream,
                callback=self._take,
                on_cancel=self._cancelled,
                arguments={"x-stream-offset": self._at + 1},
            )
            self._oldest = find_oldest()
        except BaseException:
            close_channel(channel)
            raise
        early, self._early = self._early, None
        for delivery in early:
            self._take(delivery)
        if self._oldest > end:
            self._at = end

    def _take(self, delivery: Delivery) -> None:
        if self._early is not None:
            self._early.append(delivery)
            return
        # Where the offset cannot be read, it is the next one, as for StreamReader.
        self._at = at = max(offset_of(delivery), self._at + 1)
        self._tag, self._came_at = delivery.delivery_tag, monotonic()
        self._unacknowledged += 1
        if self._oldest <= at <= self._end:
            self._count += 1
            if self._kept is not None:
                self._kept.append(Kept(delivery, at))
            elif len(self._first) <= _SEGMENTS:
                self._first.append(at)

    def _cancelled(self, _consumer_tag: str) -> None:
        """The history was switched off."""
        self._at = self._end

    def _begin(self, offset: int) -> StreamReader:
        self._reader = StreamReader(self._connection, self._stream, offset, self._end)
        return self._reader

    @property
    def done(self) -> bool:
        """Whether all of it was handed over."""
        return self._reader is not None and self._reader.done and not self._kept

    @property
    def held(self) -> int:
        """How many messages it hands over."""
        return min(self._count, self._last)

    def read(self, drain: Callable[[float | None], bool], timeout: float, limit: int) -> Sequence[Kept]:
        """The next messages; none while they are counted."""
        if self._reader is not None:
            return self._page(limit) if self._kept else self._reader.read(drain, timeout, limit)
        if self._at < self._end:
            drain(timeout)
        if self._at >= self._end:
            close_channel(self._channel)
            self._channel = None
            surplus = max(0, self._count - self._last)
            self._begin(self._first[surplus] if self._first else self._end + 1)  # nothing, if they are kept
        elif monotonic() - self._came_at > STALLED:
            stalled()
        elif self._unacknowledged >= PREFETCH // 2:
            self._channel.basic_ack(self._tag, multiple=True)
            self._unacknowledged = 0
        return ()

    def _page(self, limit: int) -> list[Kept]:
        assert self._kept is not None
        page = [self._kept.popleft() for _ in range(min(limit, len(self._kept)))]
        last = page[-1]
        page[-1] = Kept(last.delivery, Offset.of(last.delivery, last.position))
        return page

    def close(self) -> None:
        """Leave off."""
        self._kept = None
        if self._channel is not None:
            close_channel(self._channel)
        if self._reader is not None:
            self._reader.close()
