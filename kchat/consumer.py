"""One connection of a subscriber: its place in the room, what arrives there, and acknowledgements.

When to make another one, and what is done with what arrived, is :class:`kchat.subscriber.Subscriber`'s affair.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

import amqp.exceptions

from kchat import errors, events
from kchat.connection import broker_errors, close, connect, drainer, drop
from kchat.lasting import bind_again, take_place
from kchat.pulse import Pulse
from kchat.topology import durable_queue, subscriber_queue

if TYPE_CHECKING:
    from threading import RLock

    from kchat.settings import Settings

_TICKS = 5
"""Looks at the heartbeat within one of them."""

_LONGEST_TICK = 1.0
"""Seconds between them at the most."""

_BIND_AGAIN = 5.0
"""Seconds of quiet after which the queue is bound to the room again, since nobody says when that binding is deleted."""


class Consumer:
    """Consumes from a queue in a room. After an error, it is dropped and opened again.

    Arguments:
        settings: the room and its brokers.
        username: stands in its queue's name.
        durable: the name of a lasting queue; ``None`` for a queue of its own.
        prefetch: so many messages may be unacknowledged.
        in_use: held by whoever calls a method of this.
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
        self.checked = False
        """Whether the broker checks that a message's ``user_id`` is its sender's account."""
        self.connected_at = 0.0
        self.lasts = False
        """Whether what is sent while it is away is kept, a restart of the broker included."""
        self.queue_was_lost = False
        """Whether the lasting queue had to be made anew when it came back."""
        self._settings = settings
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
        self._pulse: Pulse | None = None
        self._tick = min(_LONGEST_TICK, settings.heartbeat / _TICKS or _LONGEST_TICK)
        self._tick_due = 0.0
        self._bind_due = 0.0
        self._bound_lasting = False

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
            last: begin with so many messages of what the room holds.
            since: begin with what the room holds since then, in UNIX seconds.
            again: it was there before, and so was the room.

        Raises:
            kchat.errors.Refused: the broker says no, or the room's name belongs to no fanout exchange.
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
        except errors.NotFound as error:
            if not again:
                raise
            # The room was there before: somebody who may make it will.
            raise errors.Closed(str(error), error.hint) from error
        self.connected_at = monotonic()
        self._tick_due = self.connected_at + self._tick
        self._bind_due = self.connected_at + _BIND_AGAIN
        if hasattr(self._connection.connection, "beat") and settings.heartbeat:
            self._pulse = Pulse(self._connection.connection, self._in_use, settings.heartbeat / _TICKS)

    def _join(self, last: int | None, since: float | None, *, again: bool) -> None:
        """Declare the room and a queue, and consume from it."""
        settings, lasts = self._settings, self._durable is not None
        channel = self._connection.channel()
        channel.auto_decode = False
        if self._durable is not None:
            queue = durable_queue(settings, self._durable, since=since)(channel)
        else:
            queue = subscriber_queue(settings, self._username, last=last, since=since)(channel)
        self.queue_was_lost = lasts and again and not _exists(queue)
        self._bound_lasting = take_place(channel, settings, queue, lasting=lasts)
        # An account that may not make the one binding that outlives a restart is not told that nothing was lost.
        self.lasts = lasts and (self._bound_lasting or settings.transport.name != "amqp")
        channel.basic_qos(0, self._prefetch, False)
        queue.consume(
            consumer_tag=queue.name,
            callback=self.arrived.append,
            no_ack=not self._acknowledges,
        )
        self._queue, self._channel = queue, channel
        self.checked = getattr(self._connection.connection, "checks_accounts", False)

    def _on_notice(self, notice: Any) -> None:
        dropped = getattr(notice, "messages", 0)
        if dropped:
            self._on_event(events.Dropped(dropped, self._durable or notice.queue))
        else:
            self._on_event(events.Notice(str(notice)))

    def drain(self, timeout: float | None) -> None:
        """Wait for something to arrive, but no longer than until the next look at the heartbeats.

        Arguments:
            timeout: in seconds; 0 only looks.

        Raises:
            OSError, amqp.exceptions.AMQPError: the connection is of no use any more.
        """
        wait = self._tick if timeout is None else min(timeout, self._tick)
        arrived = len(self.arrived)
        try:  # noqa: SIM105 - a context costs a single message more than what is in it
            self._drain_events(timeout=wait)
        except TimeoutError:
            pass
        now = monotonic()
        if len(self.arrived) != arrived:
            self._bind_due = now + _BIND_AGAIN
        # After the draining: who was busy for long finds the broker's heartbeats there.
        if now >= self._tick_due:
            self._tick_due = now + self._tick
            # Kombu sends none by itself: without this a quiet subscriber on a dead link would wait for ever.
            self._connection.heartbeat_check()
            if now >= self._bind_due and self._settings.transport.name == "amqp":
                self._bind_due = now + _BIND_AGAIN
                bind_again(self._channel, self._settings, self.queue_name, lasting=self._bound_lasting)

    def acknowledge(self, tag: Any) -> None:
        """The broker may forget everything up to a delivery tag. Raises as :meth:`drain`."""
        if self._acknowledges:
            self._channel.basic_ack(tag, multiple=True)

    def close(self) -> None:
        """Say goodbye, if it is connected: its own queue goes away, and what was not acknowledged back to the broker."""
        connection = self._forget()
        if connection is not None:
            close(connection)

    def drop(self) -> None:
        """Let go of the connection without a word; whatever state it is in, that does not block."""
        connection = self._forget()
        if connection is not None:
            drop(connection)

    def _forget(self) -> Any:
        connection, self._connection, self._channel = self._connection, None, None
        self.arrived.clear()
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None
        return connection


def _exists(queue: Any) -> bool:
    """Whether a queue that is bound to a channel is there; the channel is usable afterwards."""
    try:
        queue.queue_declare(passive=True)
    except amqp.exceptions.NotFound:
        return False
    except amqp.exceptions.AccessRefused:  # on Pub/Sub: reading it is another right than looking
        return True
    return True
