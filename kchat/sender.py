"""Publishing to a room, each message confirmed by the broker, one or a stream of them.

Confirms are pipelined: messages go out one after the other while the broker's confirmations come in
(https://www.rabbitmq.com/docs/confirms#publisher-confirms). What is not confirmed when a connection breaks is sent
again on the next one, under the same ``id``, by which subscribers recognise a repeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Any

from kchat import errors, events
from kchat.confirms import InFlight, Receipt
from kchat.connection import Backoff, broker_errors, close, connect, drop
from kchat.message import Message
from kchat.settings import Settings, check_username, login_name
from kchat.topology import declare_room, room_exchange

WINDOW = 1000
"""So many messages may be unconfirmed at once: it bounds memory, and what is sent again after a lost connection."""

WINDOW_BYTES = 4 * 1024 * 1024
"""... and so many bytes of bodies, or one message that is larger."""

_TICK = 0.5
"""Seconds between looks at the clock while confirmations are waited for."""


class Sender:
    """Sends to one room, under one name. A context manager; connects when it is first needed.

    It declares nothing where the room exists: it publishes first, and only on "not found" declares the exchange and
    publishes again, so that an account with the right to write and no other can send.

    Arguments:
        settings: the room and its brokers.
        username: the name in each message. Default: the settings', else the login name.
        window: so many messages may be unconfirmed at once, default 1,000.
        mandatory: a message that nobody was listening to counts as an error (:class:`~kchat.errors.Returned`).
        reconnect_for: seconds to keep trying after a connection that worked was lost, default 30.
        blocked_for: seconds to wait while the broker refuses messages (``connection.blocked``), default 30.
        on_event: told what happens to the connection, see :mod:`kchat.events`.

    Raises:
        kchat.errors.SettingsError: the username is no name.
    """

    def __init__(
        self,
        settings: Settings,
        username: str | None = None,
        *,
        window: int = WINDOW,
        mandatory: bool = False,
        reconnect_for: float = 30.0,
        blocked_for: float = 30.0,
        on_event: events.OnEvent = events.ignore,
    ) -> None:
        self.settings = settings
        self.username = (settings.username or login_name()) if username is None else username
        check_username(self.username)
        self._exchange = room_exchange(settings)
        self._routing_key = self.username if settings.transport.orders_by_routing_key else ""
        self._window = max(1, window)
        self._reconnect_for = reconnect_for
        self._blocked_for = blocked_for
        self._on_event = on_event
        self._broker = settings.broker
        self._account: str | None = None
        self._connection: Any = None
        self._channel: Any = None
        self._pipelined = False
        self._in_flight = InFlight(
            str(settings), tells_unheard=settings.transport.tells_unheard, mandatory=mandatory
        )
        self._blocked: str | None = None
        self._blocked_at = 0.0
        self._failing_since: float | None = None
        self._backoff = Backoff()

    def __enter__(self) -> Sender:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Connect, if it is not connected.

        Raises:
            kchat.errors.BrokerError: see :func:`kchat.connection.connect`.
        """
        if self._channel is None:
            self._connect()

    def close(self) -> None:
        """Close the connection. What is not confirmed by now may be lost; :meth:`send_many` leaves nothing behind."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            close(connection)

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            drop(connection)

    def send(self, message: str | Message) -> Receipt:
        """Send one message, and return when the broker has confirmed it.

        Arguments:
            message: the text, or a whole message.

        Raises:
            kchat.errors.NotConfirmed: no confirmation came in time. It may or may not have arrived.
            kchat.errors.Rejected: the broker gave it back.
            kchat.errors.Returned: nobody was listening, and the sender insists on that (``mandatory``).
            kchat.errors.TooLarge: it is larger than the broker takes; nothing was sent.
            kchat.errors.Blocked: the broker takes no messages for now.
            kchat.errors.BrokerError: anything else between here and the room.
        """
        if not isinstance(message, Message):
            message = Message.compose(self.username, message)
        (receipt,) = (each for each in self.send_many((message,)) if each.message is message)
        if receipt.error is not None:
            raise receipt.error
        return receipt

    def send_many(self, messages: Iterable[str | Message | None]) -> Iterator[Receipt]:
        """Send a stream of messages, many of them in flight.

        Arguments:
            messages: texts or whole messages. One that has nothing for now, such as a log that is followed, yields
                ``None`` from time to time; the confirmations that have come are then handed out.

        Yields:
            A receipt for each message, as the broker settles it. A message that is refused by itself has an error
            in its receipt, and the stream goes on.

        Raises:
            kchat.errors.NotConfirmed: the connection was lost, or no confirmation came, and it could not be mended.
            kchat.errors.Blocked: the broker takes no messages for longer than ``blocked_for``.
            kchat.errors.BrokerError: the broker refuses.
        """
        try:
            yield from self._send_many(messages)
        except errors.KchatError:
            # What is given up is not sent by a later call, and a connection in doubt is not used again.
            self._in_flight.clear()
            self._drop()
            raise

    def _send_many(self, messages: Iterable[str | Message | None]) -> Iterator[Receipt]:
        in_flight = self._in_flight
        settled = in_flight.settled
        for item in messages:
            if item is None:
                self._collect_confirms()
            else:
                self._submit(item if isinstance(item, Message) else Message.compose(self.username, item))
                if len(in_flight) >= self._window or in_flight.bytes >= WINDOW_BYTES:
                    # Down to half: one confirmation settles many, and meanwhile the broker has the other half to do.
                    self._wait_for_confirms(self._window // 2, WINDOW_BYTES // 2)
            while settled:
                yield settled.popleft()
        while in_flight:
            self._wait_for_confirms(len(in_flight) - 1, in_flight.bytes)
            while settled:
                yield settled.popleft()

    def _submit(self, message: Message) -> None:
        size, limit = len(message.body), self.settings.transport.max_body
        if size > limit:
            text = f"a message of {size:,} bytes is too large: {self._broker} takes {limit:,} at most"
            self._in_flight.refuse(message, errors.TooLarge(text))
            return
        self.open()
        # First noted, then published: whatever interrupts the publishing finds it among what has to be sent again.
        tag = self._in_flight.add(message)
        self._mend(lambda: self._publish(tag, message))

    def _publish(self, tag: int, message: Message) -> None:
        channel = self._channel
        raw = channel.prepare_message(
            message.body,
            content_type="application/json",
            content_encoding="utf-8",
            properties={
                "message_id": message.id,
                "timestamp": int(time.time() if message.sent_at is None else message.sent_at.timestamp()),
                "app_id": "kchat",
                # RabbitMQ checks it against the account: https://www.rabbitmq.com/docs/validated-user-id
                "user_id": self._account,
                "delivery_mode": 1,
            },
        )
        try:
            channel.basic_publish(
                raw, exchange=self._exchange.name, routing_key=self._routing_key, mandatory=True
            )
        except BlockingIOError:
            # The write got stuck, and half a frame may be out. Did the broker say why?
            with suppress(TimeoutError):
                while self._blocked is None:
                    self._connection.drain_events(timeout=0.1)
            if self._blocked is not None:
                raise self._refusal() from None
            raise
        if not self._pipelined:
            self._in_flight.on_ack(tag, multiple=False)

    def _wait_for_confirms(self, messages: int, size: int) -> None:
        """Wait until no more than so many messages and bytes are unconfirmed, or mend what keeps them from it."""
        in_flight = self._in_flight
        while in_flight and (len(in_flight) > messages or in_flight.bytes > size):
            self._mend(self._drain)

    def _collect_confirms(self) -> None:
        """Take the confirmations that are there, without waiting."""
        before = -1
        while self._pipelined and self._in_flight and before != len(self._in_flight):
            before = len(self._in_flight)
            self._mend(lambda: self._drain(0))

    def _drain(self, timeout: float = _TICK) -> None:
        try:
            self._connection.drain_events(timeout=timeout)
        except TimeoutError:
            self._check_deadlines()

    def _check_deadlines(self) -> None:
        if self._blocked is not None:
            if monotonic() - self._blocked_at > self._blocked_for:
                raise self._refusal()
        elif self._in_flight.waiting_for() > self.settings.confirm_timeout:
            text = f"{self._broker}: no confirmation within {self.settings.confirm_timeout:g} s"
            raise errors.NotConfirmed(text)

    def _refusal(self) -> errors.Blocked:
        return errors.Blocked(
            f"{self._broker} refuses messages: {self._blocked}; "
            f"{len(self._in_flight)} not confirmed, and they may still arrive",
            hint="the broker is short of memory or disk: free some there",
        )

    def _mend(self, action: Callable[[], None]) -> None:
        """Do it; if the connection or the room is missing, see to that and send again what was not confirmed."""
        try:
            with broker_errors(self._broker, "send"):
                action()
                return
        except (errors.NotFound, errors.Closed, errors.Unreachable, errors.NotConfirmed) as error:
            cause: errors.KchatError = error
        while True:
            try:
                with broker_errors(self._broker, "send"):
                    if isinstance(cause, errors.NotFound):
                        self._make_room(cause)
                    else:
                        self._reconnect(cause)
                    for tag, message in self._in_flight.again():
                        self._publish(tag, message)
                    return
            except (errors.NotFound, errors.Closed, errors.Unreachable) as error:
                cause = error

    def _make_room(self, cause: errors.NotFound) -> None:
        """Declare the exchange, which the broker says is not there. py-amqp has opened the channel afresh."""
        self._note_failure(cause)
        declare_room(self._channel, self._exchange)
        self._prepare_channel()

    def _reconnect(self, cause: errors.KchatError) -> None:
        """Drop the connection and make another one, patiently.

        Raises:
            kchat.errors.NotConfirmed: there was no progress for ``reconnect_for`` seconds.
            kchat.errors.Refused: the broker answers, and does not let us in any more.
        """
        since = monotonic()
        if self._connection is not None:
            self._on_event(events.Lost(cause))
            self._drop()
        while True:
            self._note_failure(cause)
            try:
                self._connect()
            except (errors.Unreachable, errors.Closed) as error:
                cause = error
            else:
                away = monotonic() - since
                self._on_event(events.Resumed(str(self._broker), away, len(self._in_flight)))
                return

    def _note_failure(self, error: errors.KchatError) -> None:
        """The first failure since a confirmation is mended at once, those after it with a pause before each try."""
        now = monotonic()
        if self._failing_since is None or self._in_flight.last_settled > self._failing_since:
            self._failing_since = now
            self._backoff.reset()
            return
        if now - self._failing_since > self._reconnect_for:
            text = (
                f"{len(self._in_flight)} messages not confirmed, and given up after {self._reconnect_for:g} s"
            )
            raise errors.NotConfirmed(f"{text}: {error}", getattr(error, "hint", "")) from error
        pause = self._backoff.fail()
        self._on_event(events.Waiting(error, pause, self._backoff.attempt))
        time.sleep(pause)

    def _connect(self) -> None:
        self._connection, self._broker = connect(
            self.settings, purpose="send", on_blocked=self._on_blocked, on_unblocked=self._on_unblocked
        )
        self._blocked = None
        # RabbitMQ refuses a message whose user_id is not the connection's account.
        self._account = self._connection.userid if self.settings.transport.name == "amqp" else None
        with broker_errors(self._broker, "connect"):
            self._channel = self._connection.channel()
            if self.settings.transport.declares_in_process:
                self._exchange(self._channel).declare()
            self._prepare_channel()

    def _prepare_channel(self) -> None:
        channel, in_flight = self._channel, self._in_flight
        self._pipelined = hasattr(channel, "confirm_select")
        channel.auto_decode = False
        if self._pipelined:
            channel.confirm_select()
            channel.events["basic_ack"] = {in_flight.on_ack}
            channel.events["basic_nack"] = {in_flight.on_nack}
        if self.settings.transport.tells_unheard:
            channel.events["basic_return"] = {in_flight.on_return}

    def _on_blocked(self, reason: str) -> None:
        self._blocked = reason
        self._blocked_at = monotonic()
        self._on_event(events.Blocked(reason))

    def _on_unblocked(self) -> None:
        self._blocked = None
        self._in_flight.restart_clock()
        self._on_event(events.Unblocked())
