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
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Any

import amqp.exceptions

from kchat.transports.history import Begin, HistoryStatus, Kept

from .history_age import Age
from .history_host import HostedHistory
from .history_last import LastReader
from .history_reader import Offset, StreamReader, channel_of, close_channel, offset_of

if TYPE_CHECKING:
    from kchat.transports.protocols import AsksLength, Channel, Connection, Delivery

    from .room import RoomPolicy

_CHUNK = 0xFFFF
"""Enough for all of a stream's last chunk."""

_MARGIN = 1_000
"""Messages before a position that are read again: two publishers' may have come to the stream and to a queue in another
order each."""

_STARTING = 10.0
"""Seconds after a restart in which a stream may still be answered 404 (not found)."""

_AGAIN = 0.1
"""Seconds between two attempts in that time."""

_LATE = (0.02, 0.05)
"""Seconds to wait for a stream's edge that did not come at once: about one time in 300, RabbitMQ 4 hands it over later."""

_LAST_SECOND = 253_402_300_799.0
"""Of the year 9999, in UNIX seconds: what a ``datetime`` can say."""

_YEARS = 3_200_000_000.0
"""Seconds, a hundred years: what is looked for is not that far away."""


class HistoryPolicy(HostedHistory):
    """See :class:`kchat.transports.history.HistoryPolicy`."""

    beside = True

    def __init__(self, room: RoomPolicy) -> None:
        super().__init__(room)
        self._age = Age(room.stream, room.stream_of_limits)

    def status(self, connection: Connection) -> HistoryStatus | None:
        """What the stream holds that is not too old. RabbitMQ does not tell its bytes.

        Its limits are those that the management API tells, and else those that the host has written down.
        """
        last = self.newest(connection)
        if last is None:
            return None
        first = self._edge(connection, "first")
        limits = self._limits()
        if not any(limits):
            limits = self._age.limits(connection)
        oldest = self._age.first(connection, last)
        if first is not None and offset_of(first) < oldest:
            first = self._edge(connection, oldest) if oldest <= last else None
        if first is None:
            return HistoryStatus(0, keep=limits.keep, max_size=limits.max_size)
        since = self._time_of(connection, first)
        return HistoryStatus(last - offset_of(first) + 1, since, keep=limits.keep, max_size=limits.max_size)

    def _time_of(self, connection: Connection, first: Any) -> float | None:
        """When the stream's first message came, in whole UNIX seconds, by the broker's clock.

        What is consumed from a time on begins with the first chunk that is not older, so the time is the last one from
        which on that is the first one of all. The search begins at what its sender says, which is mostly right. An answer
        that a busy broker gave too late would mislead it: where it led is looked at once more, with patience.
        """
        now, said = time(), first.properties.get("timestamp")
        point = float(said if isinstance(said, int) and abs(now - said) < _YEARS else int(now))
        found = self._last_second_with(connection, offset_of(first), point)
        if found is not None and self._begins_with(connection, offset_of(first), found + 1, patient=True):
            return self._last_second_with(connection, offset_of(first), found + 1, patient=True)
        return found

    def _begins_with(
        self, connection: Connection, offset: int, point: float, *, patient: bool = False
    ) -> bool:
        """Whether the stream has nothing behind that offset's chunk before a time."""
        found = self._edge(connection, datetime.fromtimestamp(point, UTC), patient=patient)
        return found is not None and offset_of(found) <= offset

    def _last_second_with(
        self, connection: Connection, offset: int, point: float, *, patient: bool = False
    ) -> float | None:
        """The last second from which on the stream begins with that offset, if any; looked for from a point on."""

        def is_first(second: float) -> bool:
            return self._begins_with(connection, offset, second, patient=patient)

        early = late = point
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
        channel = channel_of(connection)
        try:
            return self._is_there(channel)
        finally:
            close_channel(channel)

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

    def _edge(
        self, connection: Connection, where: str | datetime | int, *, patient: bool | None = None
    ) -> Delivery | None:
        """The stream's first message, its first since a time or an offset, or its last; ``None`` where there is none.

        Arguments:
            connection: to the broker.
            where: as of ``x-stream-offset``.
            patient: wait for a moment where nothing came at once. Default: unless it is a time, as nothing comes for one
                after the last message.

        Raises:
            amqp.exceptions.NotFound: there is no stream.
        """
        channel = channel_of(connection)
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
            if patient is None:
                patient = not isinstance(where, datetime)
            for pause in _LATE if patient else ():
                if came:
                    break
                sleep(pause)
                channel.queue_declare(self.stream, passive=True)
        finally:
            close_channel(channel)
        return came[0] if came else None

    def reader(self, connection: Connection, begin: Begin, end: int) -> StreamReader | LastReader:
        """Consume on a channel of its own, from what is not too old on."""
        if begin.after is None and begin.last is not None:
            return LastReader(
                connection,
                self.stream,
                begin.last,
                end,
                find_oldest=lambda: self._age.first(connection, end),
            )
        oldest = self._age.first(connection, end)
        if begin.after is not None and (begin.after > end or self._is_another(connection, begin.after)):
            reader = StreamReader(connection, self.stream, oldest, end)
            reader.is_other, reader.missing = True, -1
            return reader
        if begin.after is not None:
            floor = begin.after + 1 if begin.floor is None else begin.floor + 1
            return StreamReader(
                connection,
                self.stream,
                max(floor, begin.after + 1 - _MARGIN),
                end,
                after=begin.after,
                oldest=oldest,
            )
        if not begin.since or begin.since <= 0 or oldest > end:
            return StreamReader(connection, self.stream, oldest, end)
        # The first chunk that is not older: the timestamps of a stream are those of its chunks, in whole seconds here.
        since = datetime.fromtimestamp(min(begin.since, _LAST_SECOND), UTC)
        return StreamReader(connection, self.stream, since, end, oldest=oldest)

    def _is_another(self, connection: Connection, offset: int) -> bool:
        """Whether another message stands there now: then the stream was deleted, and declared again."""
        body = offset.body if isinstance(offset, Offset) else None
        found = None if body is None else self._edge(connection, int(offset))
        return found is not None and offset_of(found) == offset and hash(found.body) != body

    def position_at(self, connection: Connection, until: float, end: int) -> int:
        """To a chunk of the stream: what came within milliseconds stands in one. Times are in whole seconds here."""
        second = math.ceil(min(max(0.0, until), _LAST_SECOND))
        first = self._edge(connection, datetime.fromtimestamp(second, UTC), patient=True)
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
