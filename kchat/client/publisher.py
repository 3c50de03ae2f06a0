"""One connection of a sender: what is published through it, and what the broker says to that.

When to make another one, and what is sent again, is :class:`kchat.client.sender.Sender`'s affair.
"""

from __future__ import annotations

import time
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ContentTooLarge, RecoverableConnectionError

from kchat import errors, events
from kchat.client.connection import broker_errors, close, connect, drainer, drop

if TYPE_CHECKING:
    from kchat.client.in_flight import InFlight
    from kchat.config.settings import Settings
    from kchat.message import Message


class Publisher:
    """Publishes to a room. The broker's answers go to the messages in flight.

    Arguments:
        settings: the room and its brokers.
        in_flight: has handlers for confirmations and returns.
        routing_key: of all messages.
        on_event: told when the broker blocks the connection.
    """

    def __init__(
        self, settings: Settings, in_flight: InFlight, routing_key: str, on_event: events.OnEvent
    ) -> None:
        self.broker = settings.broker
        self.errors = broker_errors(self.broker, "send")
        """Turns what the methods raise into kchat's errors."""
        self.blocked: str | None = None
        """The broker's reason for taking no messages now; ``None`` while it takes them."""
        self.blocked_at = 0.0
        self._settings = settings
        self._room = settings.transport.room(settings.room)
        self._routing_key = routing_key
        self._in_flight = in_flight
        self._on_event = on_event
        self._account: str | None = None
        self._connection: Any = None
        self._channel: Any = None
        self._drain_events: Any = None
        self._pipelined = False
        self._stream = ""
        self._numbers = b""

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._channel is not None

    def open(self) -> None:
        """Connect to the first broker that answers.

        Raises:
            kchat.errors.BrokerError: see :func:`kchat.client.connection.connect`.
        """
        connection, self.broker = connect(
            self._settings, purpose="send", on_blocked=self._on_blocked, on_unblocked=self._on_unblocked
        )
        self.errors = broker_errors(self.broker, "send")
        self.blocked = None
        try:
            with broker_errors(self.broker, "connect"):
                # RabbitMQ refuses a message whose user_id is not the connection's account.
                self._account = self._settings.transport.account(connection)
                channel = connection.channel()
                if hasattr(connection.connection, "tell"):
                    connection.connection.tell(lambda notice: self._on_event(events.Notice(str(notice))))
                if self._settings.transport.declares_in_process:
                    self._room.open(channel)
                self._prepare(channel)
        except BaseException:
            drop(connection)
            raise
        self._connection, self._channel = connection, channel
        # Kombu's own would connect again, and say nothing, when the connection is lost.
        self._drain_events = drainer(connection)

    def _prepare(self, channel: Any) -> None:
        in_flight = self._in_flight
        self._pipelined = hasattr(channel, "confirm_select")
        channel.auto_decode = False
        if self._pipelined:
            channel.confirm_select()
            channel.events["basic_ack"] = {in_flight.on_ack}
            channel.events["basic_nack"] = {in_flight.on_nack}
        if self._settings.transport.supports_mandatory:
            channel.events["basic_return"] = {in_flight.on_return}

    def declare_room(self) -> None:
        """Declare the exchange, which the broker says is not there. py-amqp has opened the channel afresh."""
        self._room.open(self._channel, missing=True)
        self._prepare(self._channel)

    def publish(self, tag: int, place: int, message: Message) -> None:
        """Publish, and return without waiting for the confirmation where the transport can.

        Arguments:
            tag: the message's delivery tag.
            place: its place in the stream.
            message: it.

        Raises:
            kchat.errors.TooLarge: by a limit of the transport's own; nothing was sent.
            BlockingIOError: the write got stuck, and part of a frame may be out: the connection is of no use any more.
        """
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
        if self._stream != self._in_flight.stream:
            self._stream = self._in_flight.stream
            self._numbers = channel.number_table(self._stream) if hasattr(channel, "number_table") else b""
        if self._numbers:
            raw.table = self._numbers % place
        try:
            channel.basic_publish(
                raw, exchange=self._room.name, routing_key=self._routing_key, mandatory=True
            )
        except ContentTooLarge as error:  # said by the transport itself, before anything is sent
            raise errors.TooLarge(f"{self.broker}: too large: {error.reply_text or error}") from error
        if not self._pipelined:
            self._in_flight.on_ack(tag, multiple=False)

    def drain(self, timeout: float) -> None:
        """Wait for the broker's next words.

        Arguments:
            timeout: in seconds; 0 only looks.

        Raises:
            TimeoutError: there were none.
            amqp.exceptions.RecoverableConnectionError: it is not connected.
        """
        if self._connection is None:
            raise RecoverableConnectionError("the connection was closed")
        if not self._pipelined:
            raise TimeoutError
        self._drain_events(timeout=timeout)

    def take_last_confirmations(self) -> None:
        """Before it is given up: take the confirmations that have come, if the connection still has them."""
        if self._connection is None:
            return
        lost = (*self._connection.connection_errors, *self._connection.channel_errors)
        awaited = -1
        while self._in_flight.awaited not in (0, awaited):
            awaited = self._in_flight.awaited
            with suppress(OSError, *lost):
                self.drain(0)

    def refusal(self) -> errors.Blocked:
        """The error to raise when it has been blocked for too long."""
        return errors.Blocked(
            f"{self.broker} refuses messages: {self.blocked}; "
            f"{len(self._in_flight)} not confirmed, and they may still arrive",
            hint="the broker is short of memory or disk: free some there",
        )

    def close(self) -> None:
        """Say goodbye, if it is connected."""
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
        self.blocked = None
        return connection

    def _on_blocked(self, reason: str) -> None:
        if self.blocked is None:
            self.blocked_at = monotonic()
        self.blocked = reason
        self._on_event(events.Blocked(reason))

    def _on_unblocked(self) -> None:
        if self.blocked is not None:
            self._in_flight.pause_clock(monotonic() - self.blocked_at)
        self.blocked = None
        self._on_event(events.Unblocked())
