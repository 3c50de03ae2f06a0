"""One connection of a subscriber: its place in the room, what arrives there, and acknowledgements.

When to make another one, and what is done with what arrived, is :class:`kchat.client.subscriber.Subscriber`'s affair.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

import amqp.exceptions

from kchat import errors, events
from kchat.client.connection import broker_errors, close, connect, drainer, drop
from kchat.client.heartbeat import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock

    from kchat.config.settings import Settings

_TICKS = 5
"""Looks at the heartbeat within one of them."""

_LONGEST_TICK = 1.0
"""Seconds between them at the most."""

_BEHIND = 0.11
"""Seconds in which there was always more to read, so that messages may be waiting at the broker, and it is asked. In less,
no broker fills a queue; and a quiet subscriber finds nothing to read ten times a second."""

_LOOK = 0.02
"""Seconds between two such questions, where the answer was that the queue is not half full."""

_FULL = 0.9
"""Share of a queue's limit in bytes, estimated from the messages that came from it, from which on it counts as full."""

_BIND_AGAIN = 5.0
"""Seconds of quiet after which the queue is bound to the room again, since nobody says when that binding is deleted."""


class Consumer:
    """Consumes from a queue in a room. After an error, it is dropped and opened again.

    Arguments:
        settings: the room and its brokers.
        username: stands in its queue's name.
        durable: the name of a durable queue; ``None`` for a temporary one.
        prefetch: maximum number of unacknowledged messages (AMQP prefetch).
        in_use: the lock that the caller of a method holds.
        on_event: told what the transport has to say, besides messages and errors.
    """

    def __init__(
        self,
        settings: Settings,
        username: str,
        durable: str | None,
        prefetch: int,
        in_use: RLock,
        on_event: events.OnEvent = events.ignore,
    ) -> None:
        self.broker = settings.broker
        self.errors = broker_errors(self.broker, "listen")
        """Turns what the methods raise into kchat's errors."""
        self.arrived: deque[Any] = deque()
        """Deliveries that nobody has taken yet, in their order."""
        self.verifies = False
        """Whether the broker checks that a message's ``user_id`` is its sender's account."""
        self.connected_at = 0.0
        self.alive_at = 0.0
        """When it was last known to work. After a long pause the broker may have closed it."""
        self.durable = False
        """Whether what is sent while it is away is kept, a restart of the broker included."""
        self.queue_was_lost = False
        """Whether the durable queue had to be declared anew after a reconnect."""
        self._settings = settings
        self._room = settings.transport.room(settings.room)
        self._username = username
        self._durable = durable
        self._prefetch = prefetch
        self._in_use = in_use
        self._on_event = on_event
        self._acknowledges = settings.transport.acknowledges
        self._connection: Any = None
        self._drain_events: Any = None
        self._channel: Any = None
        self._queue: Any = None
        self._heartbeat: Heartbeat | None = None
        self._waker: Any = None
        self._tick = min(_LONGEST_TICK, settings.heartbeat / _TICKS or _LONGEST_TICK)
        self._tick_due = 0.0
        self._bind_due = 0.0
        self._rebinds = False
        self.take_overtaken: Callable[[], int] | None = None
        """How many messages the room itself has removed before they were read, since the last call; where it can tell."""
        self.was_full = False
        """Whether the queue was seen full: then its broker may have dropped some of it. Reading it resets it."""
        self.counts = False
        """Whether what comes can be counted: from a queue that nobody else reads, and messages that may bear numbers."""
        self._limit = self._limit_bytes = 0
        self._caught_up_at = 0.0
        self._looked_at = 0.0
        self._filled = 0.0
        self._seen = self._seen_bytes = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._channel is not None

    @property
    def queue_name(self) -> str:
        """The name of its queue; empty before :meth:`open`."""
        return "" if self._queue is None else str(self._queue.name)

    def open(self, *, last: int | None = None, since: float | None = None, again: bool = False) -> None:
        """Connect, declare the room and the queue, and start to consume.

        Arguments:
            last: number of messages of the room's history to begin with.
            since: begin with what the room holds since then, in UNIX seconds.
            again: it was there before, and so was the room.

        Raises:
            kchat.errors.Refused: the broker says no, or the room's name is not that of a fanout exchange.
            kchat.errors.BrokerError: anything else between here and the room.
        """
        try:
            self._open(last, since, again=again)
        except BaseException:
            self.drop()
            raise

    def _open(self, last: int | None, since: float | None, *, again: bool) -> None:
        settings = self._settings
        self._connection, self.broker = connect(settings, purpose="subscribe", heartbeat=settings.heartbeat)
        self.errors = broker_errors(self.broker, "listen")
        try:
            with self.errors:
                self._drain_events = drainer(self._connection)
                self._join(last, since, again=again)
                if hasattr(self._connection.connection, "tell"):
                    self._connection.connection.tell(self._on_notice)
                # From now on: a declaration that is cut short would read as one that failed.
                waker = getattr(self._connection.transport, "waker", None)
                self._waker = None if waker is None else waker(self._connection.connection)
        except errors.NotFound as error:
            if not again:
                raise
            # The room was there before: an account that may create it will.
            raise errors.Closed(str(error), error.hint) from error
        self.connected_at = self.alive_at = monotonic()
        self._tick_due = self.connected_at + self._tick
        self._bind_due = self.connected_at + _BIND_AGAIN
        if hasattr(self._connection.connection, "beat") and settings.heartbeat:
            self._heartbeat = Heartbeat(
                self._connection.connection, self._in_use, settings.heartbeat / _TICKS
            )

    def _join(self, last: int | None, since: float | None, *, again: bool) -> None:
        """Declare the room and a queue, and consume from it."""
        settings, durable = self._settings, self._durable is not None
        channel = self._connection.channel()
        channel.auto_decode = False
        place = self._room.take_place(
            channel,
            self._username,
            durable=self._durable,
            account=settings.transport.account(self._connection),
            last=last,
            since=since,
            look=again,
        )
        queue = place.queue
        self.queue_was_lost = durable and again and not place.found
        self._rebinds = place.rebinds
        # An account that may not make the one binding that outlives a restart is not told that nothing was lost.
        self.durable = place.durable
        channel.basic_qos(0, self._prefetch, False)
        queue.consume(
            consumer_tag=queue.name,
            callback=self.arrived.append,
            no_ack=not self._acknowledges,
        )
        self.take_overtaken = getattr(self._connection.connection, "take_overtaken", None)
        # Of a queue with a name that others know, each reader may get a part.
        self.counts = hasattr(channel, "number_table") and not durable
        limits = queue.queue_arguments or {} if hasattr(channel, "ask_length") else {}
        self._limit = int(limits.get("x-max-length") or 0)
        self._limit_bytes = int(limits.get("x-max-length-bytes") or 0)
        self._caught_up_at = self._looked_at = 0.0 if durable else monotonic()
        self._filled = 0.0
        self._seen = self._seen_bytes = 0
        self._queue, self._channel = queue, channel
        self.verifies = getattr(self._connection.connection, "verifies_accounts", False)

    def _on_notice(self, notice: Any) -> None:
        dropped = getattr(notice, "messages", 0)
        if dropped:
            self._on_event(events.Dropped(dropped, queue=self._durable or notice.queue))
        else:
            self._on_event(events.Notice(str(notice)))

    @property
    def wakes(self) -> bool:
        """Whether :meth:`wake` ends a wait; where it does not, waits have to be short."""
        return self._waker is not None

    def wake(self) -> None:
        """End the :meth:`drain` that waits, or the next one. From any thread or a signal handler; needs no lock."""
        waker = self._waker
        if waker is not None:
            waker.wake()

    def drain(self, timeout: float | None) -> None:
        """Wait for something to arrive, but no longer than until the next look at the heartbeats, or until woken.

        Arguments:
            timeout: in seconds; 0 only looks.

        Raises:
            OSError, amqp.exceptions.AMQPError: the connection is of no use any more.
        """
        wait = self._tick if timeout is None else min(timeout, self._tick)
        arrived = len(self.arrived)
        try:
            self._drain_events(timeout=wait)
        except TimeoutError:
            self._caught_up_at = monotonic()
        now = monotonic()
        if len(self.arrived) != arrived:
            self._bind_due = now + _BIND_AGAIN
        # After the draining: a caller that was busy for long finds the broker's heartbeats there.
        if now >= self._tick_due:
            self._tick_due = now + self._tick
            # Kombu sends none by itself: without this a quiet subscriber on a dead link would wait for ever.
            try:
                self._connection.heartbeat_check()
            except amqp.exceptions.ConnectionForced:
                self.alive_at = self._connection.connection.heard_at
                raise
            if now >= self._bind_due:
                self._bind_due = now + _BIND_AGAIN
                self._room.bind_again(self._channel, self.queue_name, rebinds=self._rebinds)
        self.alive_at = now

    def acknowledge(self, tag: Any) -> None:
        """The broker may forget everything up to a delivery tag. Raises as :meth:`drain`."""
        if self._acknowledges:
            if self._limit or self._limit_bytes:
                self._look()
            self._channel.basic_ack(tag, multiple=True)

    def _look(self) -> None:
        """Ask how full the queue is, where this reader is so far behind that it may be.

        A queue fills up only when the broker has handed over as much as may be unacknowledged, and stays full
        until some of that is acknowledged. So a look before each acknowledgement misses no queue that has been full.
        """
        now = monotonic()
        if now - self._caught_up_at < _BEHIND:
            return
        if now - self._looked_at < _LOOK and self._filled < 0.5:
            return
        self._looked_at = now
        self._channel.ask_length(self.queue_name, self._on_length)

    def _on_length(self, messages: int) -> None:
        by_number = messages / self._limit if self._limit else 0.0
        size = messages * self._seen_bytes / (self._seen or 1)
        by_size = size / self._limit_bytes if self._limit_bytes else 0.0
        self._filled = max(by_number, by_size)
        if by_number >= 1 or by_size >= _FULL:
            self.was_full = True

    def note_sizes(self, messages: int, size: int) -> None:
        """Note that messages came from the queue: their number, and their bytes together."""
        self._seen += messages
        self._seen_bytes += size

    def close(self) -> None:
        """Say goodbye, if it is connected: its own queue goes away, and what was not acknowledged back to the broker."""
        connection = self._forget()
        if connection is not None:
            close(connection)

    def drop(self) -> None:
        """Drop the connection without closing it properly; never blocks, whatever state it is in."""
        connection = self._forget()
        if connection is not None:
            drop(connection)

    def _forget(self) -> Any:
        connection, self._connection, self._channel = self._connection, None, None
        self.arrived.clear()
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None
        if self._waker is not None:
            self._waker.close()
            self._waker = None
        return connection
