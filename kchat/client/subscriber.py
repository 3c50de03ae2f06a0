"""Listening to a room: consume, decode, hand over, acknowledge, come back after a lost connection.

A subscriber is driven by one thread, which asks for messages with :meth:`Subscriber.receive`, processes them,
and calls :meth:`Subscriber.acknowledge`. What was not acknowledged stays with the broker. However long that takes,
the connection's heartbeats go on (:mod:`kchat.client.heartbeat`). Any other thread may end it: see
:meth:`Subscriber.stop`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Self

from kchat import errors, events
from kchat.client.acknowledgements import BATCH, Acknowledgements, Position
from kchat.client.catching_up import CatchUp
from kchat.client.deduplication import REMEMBERED, Deduplicator
from kchat.client.drops import Drops
from kchat.client.durable import require_durable
from kchat.client.ending import Ending
from kchat.client.gathering import Gathering
from kchat.client.subscriber_connection import SubscriberConnection
from kchat.config.validation import check_name, login_name
from kchat.transports.durable import Durable
from kchat.transports.history import Begin

if TYPE_CHECKING:
    from kchat.client.filters import Filter
    from kchat.config.settings import Settings
    from kchat.message import Message

PREFETCH = 500
"""Maximum number of unacknowledged messages (AMQP prefetch): two batches, so that one can come while one is shown."""

LOST = (errors.Closed, errors.Unreachable, errors.NotFound)
"""Errors after which a connection is made again."""


class Subscriber:
    """Listens to one room. A context manager; connects when it is first needed.

    Threads: one receives and acknowledges. Of several that do, one waits for the other, each message goes to one of them,
    and acknowledging means everything that any of them got. :meth:`stop` and :meth:`close` may be called from any thread.

    Arguments:
        settings: the room and its brokers.
        username: stands in its queue's name. Default: the settings', else the login name.
        durable: a durable queue, which keeps messages while nobody listens: its name, or a
            :class:`~kchat.transports.durable.Durable` with its limits. Default: a temporary queue, which goes when the
            subscriber goes.
        last: number of messages of the room's history to begin with.
        since: begin with what the room holds since then, in UNIX seconds.
        until: end then, in UNIX seconds, as :meth:`stop` does it. Where that has passed, end with what the room's history
            holds up to then: by the broker's clock where it is read beside the queue, else by the times in the messages.
        follow: whether to go on with what comes. Default: it does. Else it ends as :meth:`stop` does it, with what the
            room's history, or the durable queue, holds when it is first asked for a message.
        where: which messages to hand over (:mod:`kchat.client.filters`); the others are acknowledged. Of the number
            ``last``, they count. Default: all.
        if_kept: begin with nothing where the room has no history, or none that can begin so. Default: that is an error.
        queue_length: maximum number of messages in its own queue, where the broker drops the oldest of more. Default:
            10,000.
        prefetch: maximum number of unacknowledged messages (AMQP prefetch), default 500
            (https://www.rabbitmq.com/docs/consumer-prefetch).
        wait: keep trying for ever when no broker can be reached at the start. Default: fail.
        on_event: told what happens to the connection, see :mod:`kchat.events`.
        present: whether it counts as here on a broker that knows by itself who is. On others a
            :class:`~kchat.client.presence.Presence` does that. Default: it does not.
        content_types: whether messages get their ``content_type``, which takes time for each. Default: they do not.
        positions: whether messages get their ``position``, likewise. Default: they do not.

    Raises:
        kchat.errors.SettingsError: the transport cannot do what is asked.
    """

    _gathers: ClassVar[type[Gathering]] = Gathering
    _begins_anew: ClassVar[bool] = False
    """Whether a durable queue that was there before begins with the history, too."""

    def __init__(
        self,
        settings: Settings,
        username: str | None = None,
        *,
        durable: str | Durable | None = None,
        last: int | None = None,
        since: float | None = None,
        until: float | None = None,
        follow: bool = True,
        where: Filter | None = None,
        if_kept: bool = False,
        queue_length: int | None = None,
        prefetch: int = PREFETCH,
        wait: bool = False,
        on_event: events.OnEvent = events.ignore,
        present: bool = False,
        content_types: bool = False,
        positions: bool = False,
    ) -> None:
        self.settings = settings
        self.username = (settings.username or login_name()) if username is None else username
        check_name(self.username)
        capabilities = settings.transport.capabilities
        if durable is not None:
            durable = Durable.of(durable)
            check_name(durable.name, "durable name")
            require_durable(settings)
            settings.transport.room(settings.room).check_durable(durable)
        self._ending = ending = Ending(until, follow=follow)
        since = ending.check(last=last, since=since, durable=durable)
        history = settings.transport.history(settings.room) if capabilities.history else None
        if history is None and not if_kept and (last is not None or since is not None):
            raise errors.SettingsError(
                f"a room on {settings.transport.name} keeps no history, so there is nothing to begin with",
                hint="leave {last} and {since} out",
            )
        if if_kept and (history is None or not history.by_number):
            last, since = None, None if history is None else since
        if last is not None and history is not None and not history.by_number:
            raise errors.SettingsError(
                f"a room on {settings.transport.name} cannot begin with its last messages by their number, only by time",
                hint="use {since}, as in: kchat subscribe --since 1h",
            )
        self.prefetch = max(1, prefetch)
        self._acks = Acknowledgements(self.prefetch)
        # What a full queue and the messages on their way may bring again, after they were read from the history.
        self._duplicates = Deduplicator(max(REMEMBERED, 2 * (queue_length or 0)))
        beside = history is not None and history.beside
        begin = None if last is None and since is None else Begin(last=last, since=since)
        self._catch_up = CatchUp(
            history if beside else None,
            begin if beside else None,
            self._duplicates,
            settings.room,
            once=durable is not None,
            until=ending.until,
            follow=follow,
            if_kept=if_kept,
            anew=self._begins_anew,
        )
        self._stopped = self._at_end = self._left = self._woken = False
        self._connection = self._new_connection(
            settings,
            self.username,
            durable,
            self._acks,
            (None, None) if beside else (last, since),
            self._catch_up,
            history.cursor() if history is not None and durable is None else None,
            on_event,
            wait=wait,
            present=present,
            length=queue_length,
        )
        self._connection.stopping = lambda: self._stopped or self._woken
        self._in_use = self._connection.in_use
        drops = Drops(self.prefetch + BATCH, self._connection.tell_dropped)
        self._gathering = self._gathers(
            self._connection,
            self._acks,
            drops,
            self._duplicates,
            self._acknowledge_done,
            ending=ending,
            where=where,
            # A queue of its own, beside a history, holds nothing to begin with.
            holds=durable is not None or not beside,
            content_types=content_types,
            positions=positions,
        )

    def _new_connection(self, *args: Any, **more: Any) -> SubscriberConnection:
        return SubscriberConnection(*args, **more)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        """Whether somebody works on what was handed over, be it by a connection that is lost by now.

        What comes again of that is not handed over, and is acknowledged only with what is handed over after it, or by
        :meth:`acknowledge`. To be set by whoever receives before the last messages are done with.
        """
        return self._acks.busy

    @busy.setter
    def busy(self, busy: bool) -> None:
        self._acks.busy = busy

    @property
    def queue_name(self) -> str:
        """The name of its queue; empty before :meth:`open`."""
        return self._connection.queue_name

    @property
    def where(self) -> str:
        """``chat at amqp://rmq:***@localhost:5672/``; safe to show."""
        return f"{self.settings.room} at {self._connection.broker}"

    @property
    def verifies_accounts(self) -> bool:
        """Whether the broker that it is connected to checks who sent a message; False before :meth:`open`."""
        return self._connection.verifies

    @property
    def each(self) -> Sequence[Subscriber]:
        """The subscriber of each room: this one."""
        return (self,)

    @property
    def has_history(self) -> bool:
        """Whether the room has a history, which what is missed is read from; False before :meth:`open`."""
        transport = self.settings.transport
        return self._catch_up.on or (bool(self._connection.connected_at) and transport.always_keeps_history)

    @property
    def begins(self) -> bool:
        """Whether it still reads, beside its queue, what of the room's history it was to begin with."""
        return self._catch_up.is_to_begin

    @property
    def unlocked_settings(self) -> Settings:
        """Its settings, with the password of the keyring once it has connected."""
        return self._connection.settings

    def open(self) -> None:
        """Connect, declare the room and the queue, and start to consume. When it returns, nothing that is sent is missed.

        Raises:
            kchat.errors.Refused: the broker says no, or the room's name is not that of a fanout exchange.
            kchat.errors.BrokerError: anything else between here and the room.
            kchat.errors.Closed: it was stopped or closed before it was connected. The next call begins anew.
        """
        with self._in_use:
            if self._left or self._connection.connected_at:  # else it was stopped before its first use
                self._stopped = self._at_end = False
            if self._stopped or not self._connection.open():
                self.close()
                raise errors.Closed(f"{self.where} was left before it was joined")

    @property
    def stopped(self) -> bool:
        """Whether it was stopped or closed, and not opened again."""
        return self._stopped

    @property
    def at_end(self) -> bool:
        """Whether it has stopped by itself, as all that it was to hand over was: nobody has stopped or closed it."""
        return self._at_end

    def stop(self) -> None:
        """Let the thread that receives come to an end, from any thread or a signal handler; returns at once.

        :meth:`receive` is woken and returns, with no message or with what it had begun to hand over, and iteration ends;
        in the middle of an attempt to connect, after that. From then on it hands over nothing, until :meth:`open`. The
        connection stays until :meth:`close`. Before it was ever connected, it ends :meth:`open`, also one that begins later.
        """
        self._stopped, self._at_end = True, False
        self._connection.wake()

    def wake(self) -> None:
        """Let the :meth:`receive` that waits return, or the next one, be it without a message; returns at once.

        From any thread or a signal handler. An attempt to connect comes to its end first. Iteration goes on.
        """
        self._woken = True
        self._connection.wake()

    def close(self) -> None:
        """Stop listening. What was received and not acknowledged goes back to the broker; its own queue goes away.

        From another thread than the one that receives it does what :meth:`stop` does, and waits for that.
        """
        self.stop()
        with self._in_use:
            self._acknowledge_done()
            self._gathering.forget()
            # What was not acknowledged comes again after another open().
            self._duplicates.forget()
            self._acks.forget()
            self._connection.close()
            self._left = True

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
        return self._receive(timeout, limit)

    def _receive(self, timeout: float | None, limit: int, *, done: bool = False) -> list[Message]:
        """See :meth:`receive`; ``done``: with what was handed over before. Threads take turns."""
        deadline = None if timeout is None else monotonic() + timeout
        if not self._in_use.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            return []
        try:
            if done:
                self.finish()
            connection = self._connection
            while not (self._stopped or self._was_woken(ends=not done)):
                if self._gathering.is_at_end:
                    self._stopped = self._at_end = True
                    break
                if connection.connected or connection.open(self._ending.deadline(deadline), again=True):
                    try:
                        with connection.errors:
                            messages = self._gathering.gather(deadline, limit)
                    except LOST as error:
                        self._lose(error)
                    else:
                        if messages:
                            return messages
                if deadline is not None and monotonic() >= deadline:
                    break
            self._acknowledge_done()
            return []
        finally:
            self._in_use.release()

    def _was_woken(self, *, ends: bool) -> bool:
        """Whether :meth:`wake` was called since this was last asked, if that ends the wait: it does not end iteration."""
        woken, self._woken = self._woken, False
        return woken and ends

    @property
    def position(self) -> Position:
        """Up to where :meth:`receive` has handed over, on which connection; for :meth:`acknowledge`."""
        return Position(self._connection.connected_at, self._acks.handed_over)

    @property
    def begins_with_history(self) -> bool:
        """Whether it has yet to hand over some of the history that it was to begin with, read beside its queue."""
        return self._catch_up.begins

    @property
    def has_arrived(self) -> bool:
        """Whether there is more that need not be waited for."""
        return bool(self._connection.arrived) or self._catch_up.reading

    def acknowledge(self, upto: Position | None = None) -> None:
        """What :meth:`receive` has handed over is done with; the broker may forget it at once.

        Arguments:
            upto: what was handed over up to there. Of a connection that is lost, it has no effect. Default: all of it.
        """
        with self._in_use:
            self._note_done(upto)
            self._acknowledge_done()

    def finish(self, upto: Position | None = None, *, hold: bool = False) -> None:
        """As :meth:`acknowledge`, but within a burst that is put off, as each is a packet for the broker.

        It is acknowledged at once after a pause; else after 50 ms, or with half a batch, or else no more would come.
        :meth:`receive` sees to it while it waits, and before it returns without a message.

        Arguments:
            upto: as of :meth:`acknowledge`.
            hold: nothing is done with yet, unless it is half a batch.
        """
        with self._in_use:
            if not hold or self._acks.pending >= self._acks.half_batch:
                self._note_done(upto)
                if self._acks.is_due:
                    self._acknowledge_done()

    def count_waiting(self) -> int | None:
        """The number of messages that wait for it in its queue, and of those that it was handed and is not done with.

        ``None`` where the broker does not tell, or is away. In the thread that receives.
        """
        with self._in_use:
            if not self._connection.connected:
                return None
            try:
                with self._connection.errors:
                    waiting = self._connection.count_waiting()
            except LOST as error:
                self._lose(error)
                return None
            except errors.BrokerError:
                return None
            return None if waiting is None else waiting + self._acks.pending

    @property
    def acknowledgement_is_due(self) -> bool:
        """Whether :meth:`finish` would acknowledge at once."""
        return monotonic() >= self._acks.due

    def _note_done(self, upto: Position | None) -> None:
        if upto is None:
            self._acks.finish()
        elif upto.tag is not None and upto.connected_at == self._connection.connected_at:
            self._acks.finish(upto.tag)

    def _acknowledge_done(self) -> None:
        tag = self._acks.take()
        if tag is None or not self._connection.connected:
            return
        try:
            with self._connection.errors:
                self._connection.acknowledge(tag)
        except LOST as error:
            self._lose(error)

    def __iter__(self) -> Iterator[Message]:
        """Every message, until it is stopped. Asking for the next message acknowledges the previous ones.

        They are acknowledged as :meth:`finish` does it. A program that leaves the loop gets the message again at which it
        left a durable queue; a killed one, some of those before it, too.
        """
        try:
            while (message := self.receive_one()) is not None:
                yield message
        finally:
            with self._in_use:
                self._acknowledge_done()

    def receive_one(self, timeout: float | None = None) -> Message | None:
        """The next message. Asking for it acknowledges the previous ones, as in iteration.

        Arguments:
            timeout: seconds to wait for it. Default: for ever.

        Returns:
            It; ``None`` when the time was over, or when it was stopped.

        Raises:
            kchat.errors.BrokerError: see :meth:`receive`.
        """
        messages = self._receive(timeout, 1, done=True)
        return messages[0] if messages else None

    def _lose(self, error: errors.KchatError) -> None:
        self._gathering.interrupt()
        self._acks.forget()
        self._connection.fail(error)
