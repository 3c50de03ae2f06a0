"""A room's history on RabbitMQ: a stream behind the room's durable exchange, read over plain AMQP 0-9-1.

See https://www.rabbitmq.com/docs/streams. The stream's name, ``kchat-history.<room>``, is outside of what members may
configure or bind (:mod:`.rights`); reading it is all they need. It is bound to the exchange that outlives a restart of the
broker (:mod:`.room`), as durable queues are.

How its end is found: RabbitMQ hands over what a stream holds, up to the prefetch, while it handles ``basic.consume``, and
answers the channel's next method after that. So when a passive declaration is answered, everything has come that was there.
What limits of age and size remove goes from the front. Of offsets, one is skipped now and then, where a segment begins.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NoReturn

import amqp.exceptions

from kchat.transports import history
from kchat.transports.history import KEEP, MAX_SIZE, Begin, HistoryStatus, Kept
from kchat.transports.room import name_part

if TYPE_CHECKING:
    from kchat.transports.protocols import AsksLength, Channel, Connection, Delivery

    from .room import RoomPolicy

STREAM_PREFIX = "kchat-history"
"""What the names of all streams of histories begin with."""

_PREFETCH = 500
"""Maximum number of unacknowledged messages; a stream needs a limit (https://www.rabbitmq.com/docs/streams#consuming)."""

_CHUNK = 0xFFFF
"""Enough for all of a stream's last chunk."""

_MARGIN = 1_000
"""Messages before a position that are read again: two publishers' may have come to the stream and to a queue in another
order each."""

_SMALLEST_SEGMENT, _LARGEST_SEGMENT = 1 << 20, 64 << 20
_SEGMENTS = 8
"""Limits act when a segment is full, so a history has about this number of them."""

_STARTING = 10.0
"""Seconds after a restart in which a stream may still be answered 404 (not found)."""

_AGAIN = 0.1
"""Seconds between two attempts in that time."""

_STALLED = 30.0
"""Seconds without anything of what is known to be there, after which the connection is of no use."""

_LARGE = 1 << 20
"""Bytes at hand that are handed over before more is read."""

_OFFSET = b"\x0fx-stream-offsetl"
_number = struct.Struct(">q").unpack_from


class HistoryPolicy(history.HistoryPolicy):
    """See :class:`kchat.transports.history.HistoryPolicy`."""

    by_host = True
    beside = True
    _room: RoomPolicy

    @property
    def stream(self) -> str:
        """The stream's name."""
        return f"{STREAM_PREFIX}.{name_part(self._room.name, '.')}"

    # ---- the host's side

    def switch_on(self, channel: Channel, *, keep: float = KEEP, max_size: int = MAX_SIZE) -> None:
        """Declare the stream, and bind it behind the room.

        Raises:
            amqp.exceptions.PreconditionFailed: it is there, with other limits.
        """
        segment = min(max(max_size // _SEGMENTS, _SMALLEST_SEGMENT), _LARGEST_SEGMENT)
        arguments = {
            "x-queue-type": "stream",
            "x-max-age": f"{max(1, round(keep))}s",
            "x-max-length-bytes": max_size,
            "x-stream-max-segment-size-bytes": segment,
        }
        self._room.open(channel)
        exchange = self._room.durable_exchange
        exchange(channel).declare()
        channel.queue_declare(self.stream, durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(self.stream, exchange.name)
        channel.exchange_bind(exchange.name, self._room.name)

    def switch_off(self, channel: Any) -> None:
        """Delete the stream."""
        channel.queue_delete(self.stream)

    def status(self, connection: Connection) -> HistoryStatus | None:
        """What the stream holds; its limits and bytes are for the management API to tell."""
        last = self.newest(connection)
        if last is None:
            return None
        first = self._edge(connection, "first")
        return HistoryStatus(0 if first is None else last - first + 1)

    # ---- everybody's side

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
                return -1 if last is None else last

    def _edge(self, connection: Connection, where: str) -> int | None:
        """The offset of the stream's first message, or of its last one; ``None`` where it is empty.

        Raises:
            amqp.exceptions.NotFound: there is no stream.
        """
        channel = _channel(connection)
        came: deque[Delivery] = deque(maxlen=1)

        def take(each: Delivery) -> None:
            if where == "last" or not came:
                came.append(each)

        try:
            # First, as it needs no right: an account that may read nothing is not told 403 where there is nothing.
            channel.queue_declare(self.stream, passive=True)
            channel.basic_qos(0, _CHUNK if where == "last" else 1, False)
            channel.basic_consume(self.stream, callback=take, arguments={"x-stream-offset": where})
            channel.queue_declare(self.stream, passive=True)
        finally:
            _close(channel)
        return offset_of(came[0]) if came else None

    def reader(self, connection: Connection, begin: Begin, end: int) -> StreamReader:
        """Consume on a channel of its own."""
        if begin.after is not None:
            floor = begin.after + 1 if begin.floor is None else begin.floor + 1
            return StreamReader(
                connection, self.stream, max(floor, begin.after + 1 - _MARGIN), end, after=begin.after
            )
        if begin.last is not None:
            return StreamReader(connection, self.stream, max(0, end - begin.last + 1), end)
        # The first chunk that is not older: the timestamps of a stream are those of its chunks, in whole seconds here.
        return StreamReader(
            connection, self.stream, datetime.fromtimestamp(max(0.0, begin.since or 0.0), UTC), end
        )

    def ask_waiting(self, channel: Channel, queue: str, answer: Callable[[int], None]) -> None:
        """The answer comes with the events of the connection."""
        asks: AsksLength = channel  # type: ignore[assignment]  # those of kchat's own transport do
        asks.ask_length(queue, answer)


class StreamReader:
    """See :class:`kchat.transports.history.HistoryReader`.

    Arguments:
        connection: connected.
        stream: its name.
        first: the offset to begin at, or the time.
        end: the last offset to hand over.
        after: behind which offset nothing should be missing. Default: anything may.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        first: int | datetime,
        end: int,
        after: int | None = None,
    ) -> None:
        self.missing = 0
        self._end = end
        self._after = after
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
        self._channel = channel = _channel(connection)
        try:
            channel.basic_qos(0, _PREFETCH, False)
            channel.basic_consume(
                stream, callback=self._take, on_cancel=self._cancelled, arguments={"x-stream-offset": first}
            )
            if not isinstance(first, int):
                channel.queue_declare(stream, passive=True)
                self._over = not self._arrived
        except BaseException:
            _close(channel)
            raise

    def _take(self, delivery: Delivery) -> None:
        at = offset_of(delivery)
        before = self._at
        if before is None or (self._tag is None and at > before):  # the front of the history is gone
            if self._after is not None:
                self.missing = max(0, at - self._after - 1)
            self.held = self._end - at + 1
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
        self._unacknowledged += len(page)
        if page and self._unacknowledged >= _PREFETCH // 2 and not self._over:
            self._channel.basic_ack(page[-1].delivery.delivery_tag, multiple=True)
            self._unacknowledged = 0
        return page

    def close(self) -> None:
        """Close the channel, and drop what comes by it."""
        self._over = True
        self._arrived.clear()
        if hasattr(self, "_channel"):
            _close(self._channel)


def offset_of(delivery: Any) -> int:
    """Where a message stands in its stream: RabbitMQ writes ``x-stream-offset`` in front of its headers.

    Found without reading the headers, which anybody may have written.
    """
    header: bytes = delivery.header
    at = header.find(_OFFSET)
    return int(_number(header, at + len(_OFFSET))[0]) if at >= 0 else -1


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
