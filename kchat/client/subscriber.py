"""Listening to a room: consume, decode, hand over, acknowledge, come back after a lost connection.

A subscriber is driven by one thread, which asks for messages with :meth:`Subscriber.receive`, does with them what it
wants, and says so with :meth:`Subscriber.acknowledge`. What was not acknowledged stays with the broker. However long it
takes for that, the connection's heartbeats go on (:mod:`kchat.client.heartbeat`). Any other thread may end it: see
:meth:`Subscriber.stop`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from kchat import errors, events
from kchat.client.connection import Backoff, keep_trying
from kchat.client.consumer import Consumer
from kchat.client.deduplication import Deduplicator
from kchat.client.drops import Drops
from kchat.client.gaps import Number
from kchat.config.validation import check_username, login_name
from kchat.message import Message

if TYPE_CHECKING:
    from kchat.config.settings import Settings

PREFETCH = 500
"""Maximum number of unacknowledged messages (AMQP prefetch): two batches, so that one can come while one is shown."""

BATCH = 250
"""Maximum number of messages that are handed over at once, to be acknowledged together."""

LARGE = 1 << 20
"""With more bytes at hand, they are handed over before more is taken off the wire: a broker counts messages, not bytes."""

BATCH_SECONDS = 0.05
"""How long to gather a burst, in seconds."""

_BURST_PAUSE = 0.002
"""Seconds between two messages that end a burst."""

_STOP_LOOK = 0.02
"""Seconds within which a subscriber notices that it was stopped where nothing wakes it: a transport that cannot be woken, a
pause before the next attempt to connect."""

_STEADY = 10.0
"""Seconds that a connection has to last for the next one to be made without a pause."""


class Position(NamedTuple):
    """A place in what a subscriber has handed over.

    Attributes:
        connected_at: when that connection was made, which tells it from others.
        tag: the delivery tag.
    """

    connected_at: float
    tag: Any


class Subscriber:
    """Listens to one room. A context manager; connects when it is first needed.

    Threads: one receives and acknowledges. Of several that do, one waits for the other, each message goes to one of them,
    and acknowledging means everything that any of them got. :meth:`stop` and :meth:`close` may be called from any thread.

    Arguments:
        settings: the room and its brokers.
        username: stands in its queue's name. Default: the settings', else the login name.
        durable: the name of a durable queue, which keeps messages while nobody listens. Default: a temporary queue,
            which goes when the subscriber goes.
        last: number of messages of the room's history to begin with.
        since: begin with what the room holds since then, in UNIX seconds.
        prefetch: maximum number of unacknowledged messages (AMQP prefetch), default 500
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
        capabilities = settings.transport.capabilities
        if durable is not None:
            check_username(durable)
            if not capabilities.durable:
                raise errors.SettingsError(f"the {settings.transport.name} transport has no durable queues")
            settings.transport.room(settings.room).check_durable_name(durable)
        if (last is not None or since is not None) and not capabilities.history:
            raise errors.SettingsError(
                f"a room on {settings.transport.name} keeps no history, so there is nothing to begin with",
                hint="leave {last} and {since} out",
            )
        self.prefetch = max(1, prefetch)
        self._last = last
        self._since = since
        self._wait = wait
        self._on_event = on_event
        self._in_use = RLock()
        self._consumer = Consumer(settings, self.username, durable, self.prefetch, self._in_use, on_event)
        self._handed_over: Any = None
        self._done: Any = None
        self._pending, self._acknowledge_due = 0, 0.0
        self._repeats = Deduplicator()
        self._drops = Drops(self.prefetch + BATCH, on_event)
        self._lost_at: float | None = None
        self._backoff = Backoff()
        self._stopped = False

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def queue_name(self) -> str:
        """The name of its queue; empty before :meth:`open`."""
        return self._consumer.queue_name

    @property
    def where(self) -> str:
        """``chat at amqp://rmq:***@localhost:5672/``; safe to show."""
        return f"{self.settings.room} at {self._consumer.broker}"

    def open(self) -> None:
        """Connect, declare the room and the queue, and start to consume. When it returns, nothing that is sent is missed.

        Raises:
            kchat.errors.Refused: the broker says no, or the room's name is not that of a fanout exchange.
            kchat.errors.BrokerError: anything else between here and the room.
        """
        with self._in_use:
            self._stopped = False
            self._connect()

    def _connect(self) -> None:
        if self._consumer.connected:
            return
        if self._wait and self._lost_at is None:
            keep_trying(self._open, self._on_event, lambda: self._stopped)
        else:
            self._open()

    def _open(self) -> None:
        self._consumer.open(last=self._last, since=self._since, again=self._lost_at is not None)
        # After a reconnect the history was seen already.
        self._last = self._since = None

    @property
    def stopped(self) -> bool:
        """Whether it was stopped or closed, and not opened again."""
        return self._stopped

    def stop(self) -> None:
        """Let the thread that receives come to an end, from any thread or a signal handler; returns at once.

        :meth:`receive` is woken and returns, with no message or with what it had begun to hand over, and iteration ends;
        in the middle of an attempt to connect, after that. From then on it hands over nothing, until :meth:`open`. The
        connection stays until :meth:`close`.
        """
        self._stopped = True
        self._consumer.wake()

    def close(self) -> None:
        """Stop listening. What was received and not acknowledged goes back to the broker; its own queue goes away.

        From another thread than the one that receives it does what :meth:`stop` does, and waits for that.
        """
        self.stop()
        with self._in_use:
            self._drops.tell()
            self._drops.forget()
            # What was not acknowledged comes again after another open().
            self._repeats.forget()
            self._handed_over = self._done = None
            self._consumer.close()

    def receive(self, timeout: float | None = None, limit: int = BATCH) -> list[Message]:
        """What has arrived, in order; waits for the first message, then takes what else is there.

        A lost connection is made again meanwhile; :mod:`kchat.events` tell.

        Arguments:
            timeout: seconds to wait for the first message. Default: for ever.
            limit: maximum number of messages, default 250.

        Returns:
            The messages; none when the time was over, or when it was stopped.

        Raises:
            kchat.errors.Refused: the broker does not let us in any more.
            kchat.errors.Blocked: the disk of an embedded room is full.
        """
        deadline = None if timeout is None else monotonic() + timeout
        with self._taking_turns(timeout) as my_turn:
            return self._receive(deadline, limit) if my_turn else []

    def _receive(self, deadline: float | None, limit: int) -> list[Message]:
        consumer = self._consumer
        while not self._stopped:
            if not consumer.connected:
                self._come_back(deadline)
            if consumer.connected:
                try:
                    with consumer.errors:
                        messages = self._gather(deadline, limit)
                except (errors.Closed, errors.Unreachable, errors.NotFound) as error:
                    self._lose(error)
                else:
                    if messages:
                        return messages
            if deadline is not None and monotonic() >= deadline:
                break
        return []

    @property
    def position(self) -> Position:
        """Up to where :meth:`receive` has handed over, on which connection; for :meth:`acknowledge`."""
        return Position(self._consumer.connected_at, self._handed_over)

    @property
    def has_arrived(self) -> bool:
        """Whether there is more that need not be waited for."""
        return bool(self._consumer.arrived)

    def acknowledge(self, upto: Position | None = None) -> None:
        """What :meth:`receive` has handed over is done with; the broker may forget it.

        Arguments:
            upto: what was handed over up to there, given once. Of a connection that is lost, it has no effect.
                Default: all of it.
        """
        with self._in_use:
            if upto is None:
                self._acknowledge(self._handed_over)
                self._handed_over = None
            elif upto.connected_at == self._consumer.connected_at:
                self._acknowledge(upto.tag)

    def _acknowledge(self, tag: Any) -> None:
        self._done = None
        if tag is None or not self._consumer.connected:
            return
        try:
            with self._consumer.errors:
                self._consumer.acknowledge(tag)
        except (errors.Closed, errors.Unreachable, errors.NotFound) as error:
            self._lose(error)

    def __iter__(self) -> Iterator[Message]:
        """Every message, until it is stopped. Asking for the next message acknowledges the previous ones.

        They are acknowledged before the wait for the next one, and every 50 ms within a burst, as in
        :mod:`kchat.display.loop`. A program that leaves the loop gets the message again at which it left a durable queue;
        a killed one, some of those before it, too.
        """
        try:
            while (message := self.receive_one()) is not None:
                yield message
        finally:
            with self._in_use:
                self._acknowledge(self._done)

    def receive_one(self, timeout: float | None = None) -> Message | None:
        """The next message. Asking for it acknowledges the previous ones, as in iteration.

        Arguments:
            timeout: seconds to wait for it. Default: for ever.

        Returns:
            It; ``None`` when the time was over, or when it was stopped.

        Raises:
            kchat.errors.BrokerError: see :meth:`receive`.
        """
        deadline = None if timeout is None else monotonic() + timeout
        with self._taking_turns(timeout) as my_turn:
            if not my_turn:
                return None
            if self._handed_over is not None:
                self._finish()
            messages = self._receive(deadline, 1)
            return messages[0] if messages else None

    def _finish(self) -> None:
        """Acknowledge what was handed over; while more is here already, together with that."""
        self._done = self._handed_over
        self._pending += 1
        now = monotonic()
        if not self._consumer.arrived or self._pending >= self.half_batch or now >= self._acknowledge_due:
            self.acknowledge()
            self._pending, self._acknowledge_due = 0, now + BATCH_SECONDS

    @contextmanager
    def _taking_turns(self, timeout: float | None) -> Iterator[bool]:
        """Hold the lock, unless another thread does for longer than the timeout; says whether it is held."""
        mine = self._in_use.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        try:
            yield mine
        finally:
            if mine:
                self._in_use.release()

    @property
    def half_batch(self) -> int:
        """Number of messages to acknowledge at once: the broker sends the next ones while the other half is shown."""
        return max(1, min(BATCH, self.prefetch) // 2)

    def _gather(self, deadline: float | None, limit: int) -> list[Message]:
        arrived, unsettled = self._consumer.arrived, self._handed_over is not None
        start = monotonic()
        if not arrived:
            longest = None if self._consumer.wakes else _STOP_LOOK
            if deadline is not None:
                left = max(0.0, deadline - start)
                longest = left if longest is None else min(longest, left)
            self._consumer.drain(longest)
        now = monotonic()
        # What had to be waited for came alone: to look for more costs as much as to show it.
        if now - start < _BURST_PAUSE:
            self._gather_burst(now + BATCH_SECONDS, limit)
        messages: list[Message] = []
        counts, note_number = self._consumer.counts, self._drops.gaps.note
        size, verifies, is_repeat = 0, self._consumer.verifies, self._repeats.has
        room = self.settings.room
        while arrived and len(messages) < limit and size <= LARGE:
            delivery = arrived.popleft()
            self._handed_over = delivery.delivery_tag
            body = delivery.body
            message = Message.from_body(
                body if isinstance(body, bytes) else _as_bytes(body),
                # Where the broker does not check it, anybody can write anything there, and reading it takes time.
                account=delivery.account(room) if verifies else None,
                redelivered=_is_redelivered(delivery),
            )
            if not is_repeat(message):
                messages.append(message)
            size += len(body)
            if counts:
                number = delivery.number
                note_number(None if number is None else Number(*number), message.account)
        self._look_for_drops(len(messages), size)
        if not messages and not unsettled:
            self.acknowledge()  # nothing, or repeats, which nobody is shown
        return messages

    def _look_for_drops(self, messages: int, size: int) -> None:
        consumer = self._consumer
        if messages:
            consumer.note_sizes(messages, size)
            if not consumer.counts:
                self._drops.gaps.uncounted = True
        if consumer.was_full:
            consumer.was_full = False
            self._drops.suspect()
        if messages and consumer.take_overtaken is not None:
            self._drops.note_overtaken(consumer.take_overtaken())
        self._drops.look(messages)

    def _gather_burst(self, end: float, limit: int) -> None:
        """Take in what else is there, until the time is over or there is enough of it."""
        arrived = self._consumer.arrived
        while arrived and len(arrived) < limit and monotonic() < end:
            before = len(arrived)
            if sum(len(each.body) for each in arrived) > LARGE:
                break
            self._consumer.drain(0)
            if len(arrived) == before:
                break

    def _lose(self, error: errors.KchatError) -> None:
        self._drops.tell()
        self._drops.forget()
        self._consumer.drop()
        self._handed_over = self._done = None
        self._lost_at = self._consumer.alive_at
        if monotonic() - self._consumer.connected_at < _STEADY:
            self._backoff.fail()
        else:
            self._backoff.reset()
        self._on_event(events.Disconnected(error))

    def _come_back(self, deadline: float | None) -> None:
        """Connect again when that is due, everything declared afresh; wait until then, or until the deadline."""
        if self._lost_at is None:
            self._connect()
            return
        pause = self._backoff.remaining()
        if deadline is not None:
            pause = min(pause, max(0.0, deadline - monotonic()))
        if pause:
            sleep(min(pause, _STOP_LOOK))
        if self._backoff.remaining():
            return
        try:
            self._connect()
        except errors.Untrusted:
            raise
        except (errors.Unreachable, errors.Closed) as error:
            self._on_event(events.Reconnecting(error, self._backoff.fail(), self._backoff.attempt))
            return
        away, self._lost_at = monotonic() - self._lost_at, None
        self._on_event(
            events.Reconnected(
                self.where, away, durable=self._consumer.durable and not self._consumer.queue_was_lost
            )
        )


def _is_redelivered(delivery: Any) -> bool:
    """The deliveries of kchat's own transports say so by themselves, and make no dict of all that they know for it."""
    try:
        return bool(delivery.redelivered)
    except AttributeError:
        return bool(delivery.delivery_info.get("redelivered"))


def _as_bytes(body: object) -> bytes:
    """Kombu's virtual transports hand over text where the body was text."""
    return str(body).encode("utf-8", "surrogatepass")
