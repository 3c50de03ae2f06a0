"""Publishing to a room, each message confirmed by the broker, one or a stream of them.

Confirms are pipelined: messages go out one after the other while the broker's confirmations come in
(https://www.rabbitmq.com/docs/confirms#publisher-confirms). What is not confirmed when a connection breaks is sent
again on the next one, under the same ``id``, by which subscribers recognise a repeat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Self

from kchat import errors, events
from kchat.client.sender_connection import SenderConnection
from kchat.config.validation import check_name, login_name
from kchat.message import Message

if TYPE_CHECKING:
    from kchat.client.in_flight import Receipt
    from kchat.config.settings import Settings

WINDOW = 1000
"""Maximum number of unconfirmed messages: it bounds memory, and what is sent again after a lost connection."""

WINDOW_BYTES = 4 * 1024 * 1024
"""... and maximum number of bytes of their bodies, or one larger message."""

REJOIN = 15.0
"""Seconds to wait for subscribers to come back to a room that had some. A subscriber tries every 5 s at the least."""

_LOOK = 0.05
"""Seconds between looks for confirmations while messages come."""


class Sender:
    """Sends to one room, under one name. A context manager; connects when it is first needed.

    It declares nothing where the room exists: it publishes first, and only on "not found" declares the exchange and
    publishes again, so that an account with the right to write and no other can send.

    A lost connection is made again, and what was not confirmed is sent again, in order. Where somebody was listening
    before, that waits until somebody is again: after a restart of the broker a sender is often there first, and would
    talk to an empty room.

    Threads may share a sender. Any of them may call :meth:`send`: they take turns, and each gets its own receipt. One of
    them may run a stream (:meth:`send_many`), also while others send; a second stream is refused by a ``RuntimeError``.
    :meth:`close` may be called from any thread.

    Arguments:
        settings: the room and its brokers.
        username: the name in each message. Default: the settings', else the login name.
        window: maximum number of unconfirmed messages, default 1,000.
        mandatory: a message that nobody was listening to counts as an error (:class:`~kchat.errors.Returned`). Where the
            room's history takes every message (on AMQP), nobody can tell, and connecting raises ``SettingsError``.
        wait: keep trying for ever where no broker can be reached, at the start too. Default: fail at the start, and
            after ``reconnect_for`` later on.
        reconnect_for: seconds to keep trying after a connection that worked was lost, default 60: a RabbitMQ takes
            from 5 to 30 to restart.
        rejoin_for: seconds to wait, after that, for subscribers to come back, default 15; 0 for not at all.
        blocked_for: seconds to wait while the broker refuses messages (``connection.blocked``), default 30.
        on_event: told what happens to the connection, see :mod:`kchat.events`.
        headers: gives the headers of a message, text by name (AMQP headers, attributes on Pub/Sub). Default: none.

    Raises:
        kchat.errors.SettingsError: the username is not valid.
    """

    _connection_type: ClassVar[type[SenderConnection]] = SenderConnection

    def __init__(
        self,
        settings: Settings,
        username: str | None = None,
        *,
        window: int = WINDOW,
        mandatory: bool = False,
        wait: bool = False,
        reconnect_for: float = 60.0,
        rejoin_for: float = REJOIN,
        blocked_for: float = 30.0,
        on_event: events.OnEvent = events.ignore,
        headers: Callable[[Message], Mapping[str, str]] | None = None,
    ) -> None:
        self.settings = settings
        self.username = (settings.username or login_name()) if username is None else username
        check_name(self.username)
        self._window = max(1, window)
        self._closing: set[object] = set()  # one for each thread that wants to close it
        self._gives_up: Callable[[], bool] = bool  # bool() is False
        self._connection = self._connection_type(
            settings,
            self.username,
            on_event,
            wait=wait,
            mandatory=mandatory,
            reconnect_for=reconnect_for,
            rejoin_for=rejoin_for,
            blocked_for=blocked_for,
            headers=headers,
        )
        self._connection.stopping = lambda: bool(self._closing) or self._gives_up()
        # Held while the connection or what is in flight is used; never while somebody else's code runs.
        self._in_use = self._connection.in_use
        self._in_flight = self._connection.in_flight
        self._settled: deque[Receipt] = deque()  # of streams, and not handed out yet
        self._given_up = 0
        self._streams: list[int] = []  # the thread of each that runs; of all the same
        self._look_due = 0.0
        self._loss = errors.NotConfirmed("")  # the last one: a stream that began before it has to be told

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._in_use:
            if kind is not None and self.unsettled:
                # Interrupted while the broker owes an answer: it may not answer a goodbye either.
                self._connection.drop()
            self.close()

    @property
    def unsettled(self) -> int:
        """Number of messages that were taken without handing out a receipt: they may or may not have been delivered."""
        return len(self._in_flight) + len(self._settled) + self._given_up

    def open(self, *, stopping: Callable[[], bool] = bool) -> None:
        """Connect, if it is not connected.

        Arguments:
            stopping: true ends the wait for a broker. Default: only :meth:`close` does.

        Raises:
            kchat.errors.BrokerError: see :func:`kchat.client.connection.connect`.
            kchat.errors.Closed: it was closed or stopped meanwhile.
            kchat.errors.SettingsError: it is ``mandatory``, and the room's history takes every message.
        """
        with self._in_use:
            self._gives_up = stopping
            try:
                self._connection.start()
            finally:
                self._gives_up = bool

    def keeps_unrouted(self) -> bool | None:
        """Whether the room's history has what nobody was listening to; ``None`` where that is not known."""
        with self._in_use:
            return self._connection.keeps_unrouted()

    def close(self) -> None:
        """Close the connection; from another thread, after what that one is sending is confirmed.

        Where the broker is away, that one gives up: :class:`~kchat.errors.NotConfirmed`. What is not confirmed by now may
        be lost; :meth:`send_many` leaves nothing behind.
        """
        who = object()
        self._closing.add(who)
        try:
            with self._in_use:
                if self._streams and self._streams[0] != get_ident():
                    self._end_stream()
                self._connection.close()
        finally:
            self._closing.discard(who)

    def _end_stream(self) -> None:
        """Wait for what another thread's stream has published, and let it end: it would connect again."""
        self._loss = errors.NotConfirmed("the sender was closed meanwhile")
        try:
            if self._connection.connected:
                self._wait_for_confirms(0, 0)
        except errors.KchatError as error:
            self._give_up(error)

    def send(self, message: str | Message) -> Receipt:
        """Send one message, and return when the broker has confirmed it. From any thread; threads take turns.

        Arguments:
            message: the text, or a whole message.

        Raises:
            kchat.errors.NotConfirmed: no confirmation came in time. It may or may not have arrived.
            kchat.errors.Rejected: the broker rejected it (``basic.nack``).
            kchat.errors.Returned: nobody was listening, and the sender insists on that (``mandatory``).
            kchat.errors.TooLarge: it is larger than the broker takes; nothing was sent.
            kchat.errors.Blocked: the broker takes no messages for now.
            kchat.errors.BrokerError: anything else between here and the room.
        """
        if not isinstance(message, Message):
            message = Message.compose(self.username, message)
        # What was in flight before may be settled meanwhile: those receipts go to its own caller.
        receipts: deque[Receipt] = deque()
        connection = self._connection
        with self._in_use:
            self._given_up = 0
            try:
                connection.submit(message, receipts)
                while not receipts:
                    connection.confirm()
            except BaseException as error:
                ours = isinstance(error, errors.KchatError)
                self._give_up(error, look=ours)
                if not (ours and receipts):
                    raise
        receipt = receipts[0]
        if receipt.error is not None:
            raise receipt.error
        return receipt

    def send_many(self, messages: Iterable[str | Message | None]) -> Iterator[Receipt]:
        """Send a stream of messages, many of them in flight.

        Arguments:
            messages: texts or whole messages. One that has nothing for now, such as a log that is followed, yields
                ``None`` from time to time; the confirmations that have come are then handed out. When it raises, what it
                gave before that is sent and its receipts are handed out, and then it is raised.

        Yields:
            A receipt for each message, when the broker has settled it: it is looked for every 50 ms while messages come,
            and waited for when there are ``window`` of them. A message that is refused by itself has an error in its
            receipt, and the stream goes on. A caller that stops early gets the others from the next call.

        Raises:
            TypeError: an item is neither a text nor a message, or a message was given instead of an iterable.
            RuntimeError: another thread is in the middle of a stream.
            kchat.errors.NotConfirmed: the connection was lost or no confirmation came, and sending again failed.
            kchat.errors.Blocked: the broker takes no messages for longer than ``blocked_for``.
            kchat.errors.BrokerError: the broker refuses.
        """
        if isinstance(messages, str | Message):  # both can be iterated, and nobody means that
            raise TypeError("send_many() takes an iterable of messages; for one there is send()")
        me = get_ident()
        with self._in_use:
            if self._streams and self._streams[0] != me:
                raise RuntimeError(
                    "another thread runs send_many() of this sender; send() may be called meanwhile"
                )
            self._streams.append(me)
        try:
            yield from self._stream(messages)
        finally:
            with self._in_use:
                self._streams.pop()

    def _stream(self, messages: Iterable[str | Message | None]) -> Iterator[Receipt]:
        """See :meth:`send_many`. Between two steps, and while the iterable is asked, other threads may send."""
        failures: list[Exception] = []
        settled, before = self._settled, self._loss
        self._given_up = 0
        self._look_due = monotonic() + _LOOK
        try:
            for message in self._until_failure(messages, failures):
                self._step(message, before)
                while settled:
                    yield settled.popleft()
            while self._settle_more(before):
                while settled:
                    yield settled.popleft()
        except GeneratorExit:  # between two messages
            raise
        except BaseException as error:
            # One that is not ours is an interrupt, or what cannot be written: maybe in the middle of a frame.
            ours = isinstance(error, errors.KchatError)
            self._give_up(error, look=ours)
            while ours and settled:
                yield settled.popleft()
            raise
        if failures:
            raise failures[0]

    def _step(self, message: Message | None, before: errors.NotConfirmed) -> None:
        """Publish a message, if there is one, and take the confirmations that have come, once in a while."""
        in_flight = self._in_flight
        with self._in_use:
            if self._loss is not before:  # another call has given up messages that may be this one's
                raise errors.NotConfirmed(str(self._loss))
            if message is not None:
                self._connection.submit(message, self._settled)
                if len(in_flight) >= self._window or in_flight.bytes >= WINDOW_BYTES:
                    # Down to half: one confirmation settles many, and meanwhile the broker has the other half to do.
                    self._wait_for_confirms(self._window // 2, WINDOW_BYTES // 2)
            if message is None or monotonic() >= self._look_due:
                self._collect_confirms()
                self._look_due = monotonic() + _LOOK

    def _settle_more(self, before: errors.NotConfirmed) -> bool:
        """Wait for receipts, if any are still to come; returns whether there are some."""
        in_flight = self._in_flight
        with self._in_use:
            if self._loss is not before:
                raise errors.NotConfirmed(str(self._loss))
            while in_flight and not self._settled:
                self._wait_for_confirms(len(in_flight) - 1, in_flight.bytes)
        return bool(self._settled)

    def _give_up(self, error: BaseException, *, look: bool = False) -> None:
        """Drop what is not confirmed, so that no later call sends it, and close the connection: its state is unknown.

        With ``look``, the last confirmations are taken first.
        """
        with self._in_use:
            if look:
                self._connection.take_last_confirmations()
            self._given_up = len(self._in_flight)
            if self._given_up:
                # Some of it may be another thread's, whose stream has to be told.
                why = str(error) or type(error).__name__
                self._loss = errors.NotConfirmed(f"{self._given_up} messages not confirmed: {why}")
            self._in_flight.clear()
            self._connection.drop()

    def _until_failure(
        self, messages: Iterable[str | Message | None], failures: list[Exception]
    ) -> Iterator[Message | None]:
        """The messages, until the iterable raises or has an invalid item; that error goes to ``failures``."""
        try:
            for item in messages:
                if item is None or isinstance(item, Message):
                    yield item
                else:
                    yield Message.compose(self.username, item)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised when all before it is settled
            failures.append(error)

    def _wait_for_confirms(self, messages: int, size: int) -> None:
        """Wait until the unconfirmed messages and bytes are within these limits; reconnect if that is needed."""
        in_flight = self._in_flight
        while in_flight and (len(in_flight) > messages or in_flight.bytes > size):
            self._connection.confirm()

    def _collect_confirms(self) -> None:
        """Take the confirmations that are there, without waiting."""
        before = -1
        while self._in_flight and before != len(self._in_flight):
            before = len(self._in_flight)
            self._connection.confirm(0)
