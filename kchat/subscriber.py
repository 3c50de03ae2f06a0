"""Listening to a room: consume, decode, hand over, acknowledge, come back after a lost connection.

A subscriber is driven by one thread, which asks for messages with :meth:`Subscriber.receive`, does with them what it
wants, and says so with :meth:`Subscriber.acknowledge`. What was not acknowledged stays with the broker. However long it
takes for that, the connection's heartbeats go on (:mod:`kchat.pulse`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import RLock
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any

import amqp.exceptions

from kchat import errors, events
from kchat.connection import Backoff, broker_errors, close, connect, drainer, drop, keep_trying
from kchat.lasting import bind_again, take_place
from kchat.message import Message
from kchat.names import check_username, login_name
from kchat.pulse import Pulse
from kchat.repeats import Repeats
from kchat.topology import durable_queue, subscriber_queue

if TYPE_CHECKING:
    from kchat.settings import Settings

PREFETCH = 500
"""So many messages may be on their way or unacknowledged; two batches, so that one can come while one is shown."""

BATCH = 250
"""So many messages are handed over at most at once, to be acknowledged together."""

LARGE = 1 << 20
"""With more bytes at hand, they are handed over before more is taken off the wire: a broker counts messages, not bytes."""

BATCH_SECONDS = 0.05
"""For so long a burst is gathered before it is handed over."""

_BURST_PAUSE = 0.002
"""Seconds between two messages that are no burst any more."""

_TICKS = 5
"""Looks at the heartbeat within one of them."""

_LONGEST_TICK = 1.0
"""Seconds between them at the most."""

_BIND_AGAIN = 5.0
"""Seconds of quiet after which the queue is bound to the room again, since nobody says when that binding is deleted."""

_STEADY = 10.0
"""Seconds that a connection has to last for the next one to be made without a pause."""


class Subscriber:
    """Listens to one room. A context manager; connects when it is first needed.

    Arguments:
        settings: the room and its brokers.
        username: stands in its queue's name. Default: the settings', else the login name.
        durable: the name of a lasting queue, which keeps messages while nobody listens. Default: a queue of its own,
            which goes when the subscriber goes.
        last: begin with so many messages of what the room holds.
        since: begin with what the room holds since then, in UNIX seconds.
        prefetch: so many messages may be unacknowledged, default 500
            (https://www.rabbitmq.com/docs/consumer-prefetch).
        wait: keep trying for ever when no broker can be reached at the start. Default: fail.
        on_event: told what happens to the connection, see :mod:`kchat.events`.

    Raises:
        kchat.errors.SettingsError: the transport cannot do what is asked.
    """

    def __init__(
        self,
        settings: Settings,
        username: str | None = None,
        *,
        durable: str | None = None,
        last: int | None = None,
        since: float | None = None,
        prefetch: int = PREFETCH,
        wait: bool = False,
        on_event: events.OnEvent = events.ignore,
    ) -> None:
        self.settings = settings
        self.username = (settings.username or login_name()) if username is None else username
        check_username(self.username)
        if durable is not None:
            check_username(durable)
        abilities = settings.transport.abilities
        if durable is not None and not abilities.durable:
            raise errors.SettingsError(f"the {settings.transport.name} transport has no durable queues")
        if (last is not None or since is not None) and not abilities.history:
            raise errors.SettingsError(
                f"a room on {settings.transport.name} keeps no history, so there is nothing to begin with",
                hint="leave --last and --since out",
            )
        self._durable = durable
        self._last = last
        self._since = since
        self._prefetch = max(1, prefetch)
        self._wait = wait
        self._on_event = on_event
        self._acknowledges = settings.transport.acknowledges
        self._broker = settings.broker
        self._errors = broker_errors(self._broker, "listen")
        self._connection: Any = None
        self._drain_events: Any = None
        self._channel: Any = None
        self._queue: Any = None
        self._checked = False
        self._arrived: deque[Any] = deque()
        self._handed_over: Any = None
        self._repeats = Repeats()
        self._in_use = RLock()
        self._pulse: Pulse | None = None
        self._tick = min(_LONGEST_TICK, settings.heartbeat / _TICKS or _LONGEST_TICK)
        self._tick_due = 0.0
        self._bind_due = 0.0
        self._bound_lasting = self._lasts = False
        self._queue_was_lost = False
        self._connected_at = 0.0
        self._lost_at: float | None = None
        self._backoff = Backoff()

    def __enter__(self) -> Subscriber:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def queue_name(self) -> str:
        """The name of its queue; empty before :meth:`open`."""
        return "" if self._queue is None else str(self._queue.name)

    @property
    def where(self) -> str:
        """``chat at amqp://rmq:***@localhost:5672/``; safe to show."""
        return f"{self.settings.room} at {self._broker}"

    def open(self) -> None:
        """Connect, declare the room and the queue, and start to consume. When it returns, nothing that is sent is missed.

        Raises:
            kchat.errors.Refused: the broker says no, or the room's name belongs to no fanout exchange.
            kchat.errors.BrokerError: anything else between here and the room.
        """
        with self._in_use:
            if self._channel is not None:
                return
            if self._wait and self._lost_at is None:
                keep_trying(self._connect_or_drop, self._on_event)
            else:
                self._connect_or_drop()

    def close(self) -> None:
        """Stop listening. What was received and not acknowledged goes back to the broker; its own queue goes away."""
        with self._in_use:
            # Who opens it again gets again what was not acknowledged.
            self._repeats.forget()
            connection = self._forget()
            if connection is not None:
                close(connection)

    def receive(self, timeout: float | None = None, limit: int = BATCH) -> list[Message]:
        """What has arrived, in order; waits for the first message, then takes what else is there.

        A lost connection is made again meanwhile; :mod:`kchat.events` tell.

        Arguments:
            timeout: seconds to wait for the first message. Default: for ever.
            limit: so many at most, default 250.

        Returns:
            The messages; none when the time was over.

        Raises:
            kchat.errors.Refused: the broker does not let us in any more.
            kchat.errors.Blocked: the disk of an embedded room is full.
        """
        with self._in_use:
            return self._receive(None if timeout is None else monotonic() + timeout, limit)

    def _receive(self, deadline: float | None, limit: int) -> list[Message]:
        while True:
            if self._channel is None:
                self._come_back(deadline)
            if self._channel is not None:
                try:
                    with self._errors:
                        messages = self._gather(deadline, limit)
                except (errors.Closed, errors.Unreachable, errors.NotFound) as error:
                    self._lose(error)
                else:
                    if messages:
                        return messages
            if deadline is not None and monotonic() >= deadline:
                return []

    def acknowledge(self) -> None:
        """Everything that :meth:`receive` has handed over is done with; the broker may forget it."""
        with self._in_use:
            tag, self._handed_over = self._handed_over, None
            if tag is None or self._channel is None or not self._acknowledges:
                return
            try:
                with self._errors:
                    self._channel.basic_ack(tag, multiple=True)
            except (errors.Closed, errors.Unreachable, errors.NotFound) as error:
                self._lose(error)

    def __iter__(self) -> Iterator[Message]:
        """Every message, for ever; each is acknowledged when the next one is asked for."""
        while True:
            for message in self.receive(limit=1):
                yield message
                self.acknowledge()

    def _gather(self, deadline: float | None, limit: int) -> list[Message]:
        arrived = self._arrived
        start = monotonic()
        if not arrived:
            self._drain(None if deadline is None else max(0.0, deadline - start))
        now = monotonic()
        # What had to be waited for came alone: to look for more costs as much as to show it.
        if now - start < _BURST_PAUSE:
            self._gather_burst(now + BATCH_SECONDS, limit)
        messages: list[Message] = []
        size = 0
        while arrived and len(messages) < limit and size <= LARGE:
            delivery = arrived.popleft()
            self._handed_over = delivery.delivery_tag
            message = self._read(delivery)
            if not self._repeats.has(message):
                messages.append(message)
            size += len(message.body)
        if not messages:
            self.acknowledge()
        return messages

    def _gather_burst(self, end: float, limit: int) -> None:
        """Take in what else is there, until the time is over or there is enough of it."""
        arrived, size = self._arrived, 0
        while arrived and len(arrived) < limit and monotonic() < end:
            before = len(arrived)
            size += len(arrived[-1].body)
            if size > LARGE:
                break
            self._drain(0)
            if len(arrived) == before:
                break

    def _drain(self, timeout: float | None) -> None:
        wait = self._tick if timeout is None else min(timeout, self._tick)
        arrived = len(self._arrived)
        try:  # noqa: SIM105 - a context costs a single message more than what is in it
            self._drain_events(timeout=wait)
        except TimeoutError:
            pass
        now = monotonic()
        if len(self._arrived) != arrived:
            self._bind_due = now + _BIND_AGAIN
        # After the draining: who was busy for long finds the broker's heartbeats there.
        if now >= self._tick_due:
            self._tick_due = now + self._tick
            # Kombu sends none by itself: without this a quiet subscriber on a dead link would wait for ever.
            self._connection.heartbeat_check()
            if now >= self._bind_due and self.settings.transport.name == "amqp":
                self._bind_due = now + _BIND_AGAIN
                bind_again(self._channel, self.settings, self.queue_name, lasting=self._bound_lasting)

    def _read(self, delivery: Any) -> Message:
        body = delivery.body
        # Where the broker does not check it, anybody can write anything there, and reading it takes time.
        account = delivery.user_id if self._checked else None
        return Message.receive(
            body if isinstance(body, bytes) else _as_bytes(body),
            account=account,
            redelivered=bool(delivery.delivery_info.get("redelivered")),
        )

    def _connect_or_drop(self) -> None:
        try:
            self._connect()
        except BaseException:
            self._drop()
            raise

    def _connect(self) -> None:
        settings = self.settings
        self._connection, self._broker = connect(settings, purpose="subscribe", heartbeat=settings.heartbeat)
        try:
            self._errors = broker_errors(self._broker, "listen")
            with self._errors:
                self._drain_events = drainer(self._connection)
                self._join()
        except errors.NotFound as error:
            if self._lost_at is None:
                raise
            # The room was there before: somebody who may make it will.
            raise errors.Closed(str(error), error.hint) from error
        # Whoever comes back has seen the history already.
        self._last = self._since = None
        self._connected_at = monotonic()
        self._tick_due = self._connected_at + self._tick
        self._bind_due = self._connected_at + _BIND_AGAIN
        if hasattr(self._connection.connection, "beat") and settings.heartbeat:
            self._pulse = Pulse(self._connection.connection, self._in_use, settings.heartbeat / _TICKS)

    def _join(self) -> None:
        """Declare the room and a queue, and consume from it."""
        settings, lasts = self.settings, self._durable is not None
        channel = self._connection.channel()
        channel.auto_decode = False
        queue = self._make_queue()(channel)
        self._queue_was_lost = lasts and self._lost_at is not None and not _exists(queue)
        self._bound_lasting = take_place(channel, settings, queue, lasting=lasts)
        # An account that may not make the one binding that outlives a restart is not told that nothing was lost.
        self._lasts = lasts and (self._bound_lasting or settings.transport.name != "amqp")
        channel.basic_qos(0, self._prefetch, False)
        queue.consume(
            consumer_tag=queue.name,
            callback=self._arrived.append,
            no_ack=not self._acknowledges,
        )
        self._queue, self._channel = queue, channel
        self._checked = getattr(self._connection.connection, "checks_accounts", False)

    def _make_queue(self) -> Any:
        if self._durable is not None:
            return durable_queue(self.settings, self._durable, since=self._since)
        return subscriber_queue(self.settings, self.username, last=self._last, since=self._since)

    def _lose(self, error: errors.KchatError) -> None:
        self._drop()
        self._lost_at = monotonic()
        if self._lost_at - self._connected_at < _STEADY:
            self._backoff.fail()
        else:
            self._backoff.reset()
        self._on_event(events.Lost(error))

    def _drop(self) -> None:
        connection = self._forget()
        if connection is not None:
            drop(connection)

    def _forget(self) -> Any:
        connection, self._connection, self._channel = self._connection, None, None
        self._arrived.clear()
        self._handed_over = None
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None
        return connection

    def _come_back(self, deadline: float | None) -> None:
        """Connect again when that is due, everything declared afresh; wait until then, or until the deadline."""
        if self._lost_at is None:
            self.open()
            return
        pause = self._backoff.remaining()
        if deadline is not None:
            pause = min(pause, max(0.0, deadline - monotonic()))
        if pause:
            sleep(pause)
        if self._backoff.remaining():
            return
        try:
            self.open()
        except errors.Untrusted:
            raise
        except (errors.Unreachable, errors.Closed) as error:
            self._on_event(events.Waiting(error, self._backoff.fail(), self._backoff.attempt))
            return
        away, self._lost_at = monotonic() - self._lost_at, None
        self._on_event(events.Back(self.where, away, lossless=self._lasts and not self._queue_was_lost))


def _exists(queue: Any) -> bool:
    """Whether a queue that is bound to a channel is there; the channel is usable afterwards."""
    try:
        queue.queue_declare(passive=True)
    except amqp.exceptions.NotFound:
        return False
    except amqp.exceptions.AccessRefused:  # on Pub/Sub: reading it is another right than looking
        return True
    return True


def _as_bytes(body: object) -> bytes:
    """Kombu's virtual transports hand over text where the body was text."""
    return str(body).encode("utf-8", "surrogatepass")
