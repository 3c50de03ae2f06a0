"""Reads a room's history on RabbitMQ: a consumer of the stream (:mod:`.history`), from an offset or a time to an offset."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NoReturn, Self

import amqp.exceptions

from kchat.transports.history import Kept

if TYPE_CHECKING:
    from kchat.transports.protocols import Connection, Delivery

PREFETCH = 500
"""Maximum number of unacknowledged messages; a stream needs a limit (https://www.rabbitmq.com/docs/streams#consuming)."""

STALLED = 30.0
"""Seconds without anything of what is known to be there, after which the connection is of no use."""

_SEGMENT_LEAST = 8
"""Messages of a segment, at least, as far as what is missing goes by the offsets."""

LATE = (0.02, 0.05, 0.1)
"""Seconds to wait for what did not come at once, before it counts as not there: a busy broker hands it over later."""

_LARGE = 1 << 20
"""Bytes at hand that are handed over before more is read."""

_PROPERTIES_AT = 12
"""Where a content header has its property flags (AMQP 0-9-1 section 4.2.6.1), of which the first three are these."""

_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS = 0x80, 0x40, 0x20

_OFFSET = b"x-stream-offset"
_NUMBER = ord("l")
_SIZES = dict(zip(b"VtbBsuIilLfdDT", (0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 5, 8), strict=True))
"""Bytes of a header's value, by the letter of its type: RabbitMQ's, https://www.rabbitmq.com/amqp-0-9-1-errata#section_3."""

_LONG = b"SAFx"
"""Types of values with four bytes of length in front of them."""

_number = struct.Struct(">q").unpack_from
_length = struct.Struct(">I").unpack_from


class Offset(int):
    """A place in a stream, with what tells that it is the same stream."""

    body: int | None = None
    """Of the message that stands there: its body's hash, in this process."""

    @classmethod
    def of(cls, delivery: Any, at: int | None = None) -> Self:
        """Of a message; ``at``: its offset, where that is known already."""
        offset = cls(offset_of(delivery) if at is None else at)
        offset.body = hash(delivery.body)
        return offset


class StreamReader:
    """See :class:`kchat.transports.history.HistoryReader`.

    Arguments:
        connection: connected.
        stream: its name.
        first: the offset to begin at, or the time.
        end: the last offset to hand over.
        after: behind which offset nothing should be missing. Default: anything may.
        oldest: the first offset that is not too old; what stands before it, and behind ``after``, is missing.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        first: int | datetime,
        end: int,
        after: int | None = None,
        *,
        oldest: int = 0,
    ) -> None:
        self.missing = self._too_old = 0
        self.is_other = False
        self._end = end
        self._after = after
        self._oldest = oldest
        self._at = first - 1 if isinstance(first, int) else None
        """The offset of the newest message that has come."""
        self._arrived: deque[Kept] = deque()
        self._size = self._unacknowledged = 0
        self._tag: Any = None
        self._over = isinstance(first, int) and first > end
        self.held = 0
        self._came_at = monotonic()
        if self._over:
            return
        self._channel = channel = channel_of(connection)
        try:
            channel.basic_qos(0, PREFETCH, False)
            channel.basic_consume(
                stream, callback=self._take, on_cancel=self._cancelled, arguments={"x-stream-offset": first}
            )
            if not isinstance(first, int) and not self._has_begun(stream):
                self._over = True
        except BaseException:
            close_channel(channel)
            raise

    def _has_begun(self, stream: str) -> bool:
        """Whether there is anything from that time on: then some of it, or all, has come by now."""
        self._channel.queue_declare(stream, passive=True)
        for pause in LATE:
            if self._tag is not None:
                break
            sleep(pause)
            self._channel.queue_declare(stream, passive=True)
        return self._tag is not None

    def _take(self, delivery: Delivery) -> None:
        at = offset_of(delivery)
        before = self._at
        if before is None or (self._tag is None and at > before):  # the front of the history is gone
            if self._after is not None:
                self.missing = max(0, at - self._after - 1)
            self.held = max(0, self._end - max(at, self._oldest) + 1)
        elif at <= before:  # whatever a publisher has written there
            at = before + 1
        self._at, self._tag, self._came_at = at, delivery.delivery_tag, monotonic()
        if at < self._oldest:
            self._pass_over(at)
        elif at <= self._end:
            self._arrived.append(Kept(delivery, at))
            self._size += len(delivery.body)
        self._over = at >= self._end

    def _pass_over(self, at: int) -> None:
        """It is too old. What is comes first, and fills the prefetch."""
        if self._after is not None and self._after < at <= self._end:
            self.missing += 1
            self._too_old += 1
        self._unacknowledged += 1
        if self._unacknowledged >= PREFETCH // 2:
            self._channel.basic_ack(self._tag, multiple=True)
            self._unacknowledged = 0

    def _cancelled(self, _consumer_tag: str) -> None:
        """The history was switched off."""
        self._over = True

    @property
    def certain(self) -> int:
        """At the front, an offset for each segment is the broker's own; of large messages, a segment has few."""
        front = max(0, self.missing - self._too_old)
        return self._too_old + max(0, front - 1 - front // _SEGMENT_LEAST)

    @property
    def done(self) -> bool:
        """Whether all of it was handed over."""
        return self._over and not self._arrived

    def read(self, drain: Callable[[float | None], bool], timeout: float, limit: int) -> Sequence[Kept]:
        """The next messages."""
        arrived = self._arrived
        if not arrived and not self._over:
            drain(timeout)
            if not arrived and monotonic() - self._came_at > STALLED:
                stalled()
        before = -1
        while before < len(arrived) < limit and self._size < _LARGE and not self._over:
            before = len(arrived)
            drain(0)
        page = [arrived.popleft() for _ in range(min(limit, len(arrived)))]
        self._size -= sum(len(each.delivery.body) for each in page)
        if page:
            last = page[-1]
            page[-1] = Kept(last.delivery, Offset.of(last.delivery, last.position))
        self._unacknowledged += len(page)
        if page and self._unacknowledged >= PREFETCH // 2 and not self._over:
            self._channel.basic_ack(page[-1].delivery.delivery_tag, multiple=True)
            self._unacknowledged = 0
        return page

    def close(self) -> None:
        """Close the channel, and drop what comes by it."""
        self._over = True
        self._arrived.clear()
        if hasattr(self, "_channel"):
            close_channel(self._channel)


def offset_of(delivery: Any) -> int:
    """Where a message stands in its stream, -1 where it does not say: RabbitMQ's header ``x-stream-offset``.

    RabbitMQ 3 writes it in front of the others, RabbitMQ 4 among them. They are skipped without being read: anybody may have
    written them.
    """
    header: bytes = delivery.header
    at, flags = _PROPERTIES_AT + 2, header[_PROPERTIES_AT]
    if not flags & _HEADERS:
        return -1
    try:
        for text in (_CONTENT_TYPE, _CONTENT_ENCODING):  # short strings, which stand before the headers
            if flags & text:
                at += 1 + header[at]
        end = at + 4 + _length(header, at)[0]
        at += 4
        while at < end:
            name = at + 1
            at = name + header[at]
            kind = header[at]
            if kind == _NUMBER and header[name:at] == _OFFSET:
                return int(_number(header, at + 1)[0])
            at += 1 + (4 + _length(header, at + 1)[0] if kind in _LONG else _SIZES[kind])
    except (LookupError, struct.error):
        pass  # it is malformed, or has a type that RabbitMQ does not write
    return -1


def channel_of(connection: Connection) -> Any:
    """A channel whose messages come as they are."""
    channel = connection.channel()
    channel.auto_decode = False
    return channel


def close_channel(channel: Any) -> None:
    """Close a channel, whose messages are not awaited any more."""
    try:
        channel.close()
    except amqp.exceptions.ConnectionError:
        raise
    except amqp.exceptions.AMQPError:
        pass  # it is closed


def stalled() -> NoReturn:
    """Nothing comes of what is known to be there."""
    raise amqp.exceptions.RecoverableConnectionError("the room's history does not come")
