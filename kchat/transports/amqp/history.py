"""A room's history on RabbitMQ: a stream behind the room's durable exchange, read over plain AMQP 0-9-1.

See https://www.rabbitmq.com/docs/streams. The stream's name, ``kchat-history.<room>``, is outside of what members may
configure or bind (:mod:`.rights`); reading it is all they need. It is bound to the exchange that outlives a restart of the
broker (:mod:`.room`), as durable queues are.

How its end is found: RabbitMQ hands over what a stream holds, up to the prefetch, while it handles ``basic.consume``, and
answers the channel's next method after that. So when a passive declaration is answered, everything has come that was there.
What limits of age and size remove goes from the front. In front of each segment but the first, one offset is the broker's
own: offsets have gaps of one, and tell the number of messages to within the number of segments.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Any, NoReturn, Self

import amqp.exceptions

from kchat.transports.history import Begin, HistoryStatus, Kept

from .history_host import HostedHistory

if TYPE_CHECKING:
    from kchat.transports.protocols import AsksLength, Channel, Connection, Delivery

_PREFETCH = 500
"""Maximum number of unacknowledged messages; a stream needs a limit (https://www.rabbitmq.com/docs/streams#consuming)."""

_CHUNK = 0xFFFF
"""Enough for all of a stream's last chunk."""

_MARGIN = 1_000
"""Messages before a position that are read again: two publishers' may have come to the stream and to a queue in another
order each."""

_STARTING = 10.0
"""Seconds after a restart in which a stream may still be answered 404 (not found)."""

_AGAIN = 0.1
"""Seconds between two attempts in that time."""

_STALLED = 30.0
"""Seconds without anything of what is known to be there, after which the connection is of no use."""

_LATE = (0.02, 0.05)
"""Seconds to wait for a stream's edge that did not come at once: about one time in 300, RabbitMQ 4 hands it over later."""

_YEARS = 3_200_000_000.0
"""Seconds, a hundred years: what is looked for is not that far away."""

_LARGE = 1 << 20
"""Bytes at hand that are handed over before more is read."""

_COUNTED = 1_000
"""Most messages that are collected before they are handed over, to give the last ones by their exact number."""

_SEGMENTS = 64
"""Offsets in front of those that are read for that; a history has about eight segments."""

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


class HistoryPolicy(HostedHistory):
    """See :class:`kchat.transports.history.HistoryPolicy`."""

    beside = True

    def status(self, connection: Connection) -> HistoryStatus | None:
        """What the stream holds; its limits are for the management API to tell. RabbitMQ does not tell its bytes."""
        last = self.newest(connection)
        if last is None:
            return None
        first = self._edge(connection, "first")
        limits = self._limits()
        if first is None:
            return HistoryStatus(0, keep=limits.keep, max_size=limits.max_size)
        since = self._time_of(connection, first)
        return HistoryStatus(last - offset_of(first) + 1, since, keep=limits.keep, max_size=limits.max_size)

    def _time_of(self, connection: Connection, first: Any) -> float | None:
        """When the stream's first message came, in whole UNIX seconds, by the broker's clock.

        What is consumed from a time on begins with the first chunk that is not older, so the time is the last one from
        which on that is the first one of all. The search begins at what its sender says, which is mostly right.
        """
        offset = offset_of(first)

        def is_first(point: float) -> bool:
            found = self._edge(connection, datetime.fromtimestamp(point, UTC))
            return found is not None and offset_of(found) == offset

        now, said = time(), first.properties.get("timestamp")
        early = late = float(said if isinstance(said, int) and abs(now - said) < _YEARS else int(now))
        step = 1.0
        if is_first(early):
            while step < _YEARS and is_first(late := early + step):
                early, step = late, step * 2
        else:
            while step < _YEARS and not is_first(early := max(0.0, late - step)):
                late, step = early, step * 2
        if step >= _YEARS:
            return None
        while late - early > 1:
            middle = float(int((early + late) / 2))
            early, late = (middle, late) if is_first(middle) else (early, middle)
        return early

    # ---- everybody's side

    def is_on(self, connection: Connection) -> bool:
        """Whether the stream is there. RabbitMQ's log has a line where it is not."""
        channel = _channel(connection)
        try:
            return self._is_there(channel)
        finally:
            _close(channel)

    def newest(self, connection: Connection, *, known: bool = False) -> int | None:
        """The newest message's offset; -1 in an empty stream."""
        ends = monotonic() + (_STARTING if known else 0.0)
        while True:
            try:
                last = self._edge(connection, "last")
            except amqp.exceptions.NotFound:
                if monotonic() >= ends:
                    return None
                sleep(_AGAIN)
            else:
                return -1 if last is None else Offset.of(last)

    def _edge(self, connection: Connection, where: str | datetime | int) -> Delivery | None:
        """The stream's first message, its first since a time or an offset, or its last; ``None`` where there is none.

        Raises:
            amqp.exceptions.NotFound: there is no stream.
        """
        channel = _channel(connection)
        came: deque[Delivery] = deque(maxlen=1)

        def take(delivery: Delivery) -> None:
            if where == "last" or not came:
                came.append(delivery)

        try:
            # First, as it needs no right: an account that may read nothing is not told 403 where there is nothing.
            channel.queue_declare(self.stream, passive=True)
            channel.basic_qos(0, _CHUNK if where == "last" else 1, False)
            channel.basic_consume(self.stream, callback=take, arguments={"x-stream-offset": where})
            channel.queue_declare(self.stream, passive=True)
            for pause in () if isinstance(where, datetime) else _LATE:
                if came:
                    break
                sleep(pause)
                channel.queue_declare(self.stream, passive=True)
        finally:
            _close(channel)
        return came[0] if came else None

    def reader(self, connection: Connection, begin: Begin, end: int) -> StreamReader:
        """Consume on a channel of its own."""
        if begin.after is not None and (begin.after > end or self._is_another(connection, begin.after)):
            reader = StreamReader(connection, self.stream, 0, end)
            reader.is_other, reader.missing = True, -1
            return reader
        if begin.after is not None:
            floor = begin.after + 1 if begin.floor is None else begin.floor + 1
            return StreamReader(
                connection, self.stream, max(floor, begin.after + 1 - _MARGIN), end, after=begin.after
            )
        if begin.last is not None:
            more = _SEGMENTS if begin.last <= _COUNTED else 0
            first = max(0, end - begin.last - more + 1)
            return StreamReader(connection, self.stream, first, end, last=begin.last if more else None)
        # The first chunk that is not older: the timestamps of a stream are those of its chunks, in whole seconds here.
        return StreamReader(
            connection, self.stream, datetime.fromtimestamp(max(0.0, begin.since or 0.0), UTC), end
        )

    def _is_another(self, connection: Connection, offset: int) -> bool:
        """Whether another message stands there now: then the stream was deleted, and declared again."""
        body = offset.body if isinstance(offset, Offset) else None
        found = None if body is None else self._edge(connection, int(offset))
        return found is not None and offset_of(found) == offset and hash(found.body) != body

    def position_at(self, connection: Connection, until: float, end: int) -> int:
        """To a chunk of the stream: what came within milliseconds stands in one. Times are in whole seconds here."""
        first = self._edge(connection, datetime.fromtimestamp(max(0.0, math.ceil(until)), UTC))
        return end if first is None else min(offset_of(first) - 1, end)

    def position_of(self, kept: Kept) -> str:
        """The offset, with a digest: a stream that was deleted and declared again begins to count again.

        A message without an id that stands at the same offset of another stream with the same body and ``timestamp`` passes
        for the same one: AMQP 0-9-1 tells nothing that tells streams apart.
        """
        from hashlib import blake2b  # a sender loads this module, too, and needs none

        delivery: Any = kept.delivery
        stamp = delivery.properties.get("timestamp")
        digest = blake2b(
            delivery.body, digest_size=8, salt=b"" if stamp is None else str(stamp).encode()[:16]
        )
        return f"{int(kept.position)}-{digest.hexdigest()}"

    def ask_waiting(self, channel: Channel, queue: str, answer: Callable[[int], None]) -> None:
        """The answer comes with the events of the connection."""
        asks: AsksLength = channel  # type: ignore[assignment]  # those of kchat's own transport do
        asks.ask_length(queue, answer)


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
        last: hand over only this number of messages, the last ones. Default: all.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        first: int | datetime,
        end: int,
        after: int | None = None,
        last: int | None = None,
    ) -> None:
        self.missing = 0
        self.is_other = False
        self._end = end
        self._after = after
        self._at = first - 1 if isinstance(first, int) else None
        """The offset of the newest message that has come."""
        self._last = last
        self._arrived: deque[Kept] = deque(maxlen=last)
        self._size = self._unacknowledged = 0
        self._tag: Any = None
        self._acknowledged: Any = None
        self._over = isinstance(first, int) and first > end
        self.held = 0
        self._came_at = monotonic()
        if self._over:
            return
        self._channel = channel = _channel(connection)
        try:
            channel.basic_qos(0, _PREFETCH, False)
            channel.basic_consume(
                stream, callback=self._take, on_cancel=self._cancelled, arguments={"x-stream-offset": first}
            )
            if not isinstance(first, int):
                channel.queue_declare(stream, passive=True)
                if not self._arrived:  # else all of it may have come by now
                    self._over = True
        except BaseException:
            _close(channel)
            raise

    def _take(self, delivery: Delivery) -> None:
        at = offset_of(delivery)
        before = self._at
        if before is None or (self._tag is None and at > before):  # the front of the history is gone
            if self._after is not None:
                self.missing = max(0, at - self._after - 1)
            self.held = min(self._end - at + 1, self._end + 1 if self._last is None else self._last)
        elif at <= before:  # whatever a publisher has written there
            at = before + 1
        self._at, self._tag, self._came_at = at, delivery.delivery_tag, monotonic()
        if at <= self._end:
            self._arrived.append(Kept(delivery, at))
            self._size += len(delivery.body)
        self._over = at >= self._end

    def _cancelled(self, _consumer_tag: str) -> None:
        """The history was switched off."""
        self._over = True

    @property
    def done(self) -> bool:
        """Whether all of it was handed over."""
        return self._over and not self._arrived

    def read(self, drain: Callable[[float | None], bool], timeout: float, limit: int) -> Sequence[Kept]:
        """The next messages."""
        arrived = self._arrived
        if self._last is not None and not self._over:
            self._collect(drain, timeout)
            return ()
        if not arrived and not self._over:
            drain(timeout)
            if not arrived and monotonic() - self._came_at > _STALLED:
                _stalled()
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
        if page and self._unacknowledged >= _PREFETCH // 2 and not self._over:
            self._channel.basic_ack(page[-1].delivery.delivery_tag, multiple=True)
            self._unacknowledged = 0
        return page

    def _collect(self, drain: Callable[[float | None], bool], timeout: float) -> None:
        drain(timeout)
        if self._over:
            self._size = sum(len(each.delivery.body) for each in self._arrived)
        elif monotonic() - self._came_at > _STALLED:
            _stalled()
        elif self._tag != self._acknowledged:
            self._channel.basic_ack(self._tag, multiple=True)
            self._acknowledged = self._tag

    def close(self) -> None:
        """Close the channel, and drop what comes by it."""
        self._over = True
        self._arrived.clear()
        if hasattr(self, "_channel"):
            _close(self._channel)


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


def _channel(connection: Connection) -> Any:
    channel = connection.channel()
    channel.auto_decode = False
    return channel


def _close(channel: Any) -> None:
    """Close a channel, whose messages are not awaited any more."""
    try:
        channel.close()
    except amqp.exceptions.ConnectionError:
        raise
    except amqp.exceptions.AMQPError:
        pass  # it is closed


def _stalled() -> NoReturn:
    raise amqp.exceptions.RecoverableConnectionError("the room's history does not come")
