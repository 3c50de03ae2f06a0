"""Publishing to a room, each message confirmed by the broker, one or a stream of them.

Confirms are pipelined: messages go out one after the other while the broker's confirmations come in
(https://www.rabbitmq.com/docs/confirms#publisher-confirms). What is not confirmed when a connection breaks is sent
again on the next one, under the same ``id``, by which subscribers recognise a repeat.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any

from kchat import errors, events
from kchat.connection import Backoff, broker_errors, close, connect, drop
from kchat.message import Message
from kchat.settings import Settings, check_username, login_name
from kchat.topology import declare_room, room_exchange

WINDOW = 1000
"""So many messages may be unconfirmed at once: it bounds memory, and what is sent again after a lost connection."""


@dataclass(frozen=True)
class Receipt:
    """What became of one message.

    Attributes:
        message: the message.
        heard: whether anybody was listening; ``None`` where the broker does not say.
        error: why it was not sent; ``None`` when the broker has confirmed it.
    """

    message: Message
    heard: bool | None = None
    error: errors.SendError | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the broker has the message."""
        return self.error is None


class Sender:
    """Sends to one room, under one name. A context manager; connects when it is first needed.

    It declares nothing where the room exists: it publishes first, and only on "not found" declares the exchange and
    publishes again, so that an account with the right to write and no other can send.

    Arguments:
        settings: the room and its brokers.
        username: the name in each message. Default: the login name.
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
        self.username = login_name() if username is None else username
        check_username(self.username)
        self._exchange = room_exchange(settings)
        self._routing_key = self.username if settings.transport.orders_by_routing_key else ""
        self._window = max(1, window)
        self._mandatory = mandatory
        self._reconnect_for = reconnect_for
        self._blocked_for = blocked_for
        self._on_event = on_event
        self._broker = settings.broker
        self._connection: Any = None
        self._channel: Any = None
        self._pipelined = False
        self._tag = 0
        # Delivery tag → (message, when it was published), in order.
        self._unconfirmed: dict[int, tuple[Message, float]] = {}
        self._unheard: set[str] = set()
        self._settled: deque[Receipt] = deque()
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
        for receipt in self.send_many((message,)):
            if receipt.error is not None:
                raise receipt.error
            return receipt
        raise AssertionError("a message without a receipt")

    def send_many(self, messages: Iterable[str | Message | None]) -> Iterator[Receipt]:
        """Send a stream of messages, many of them in flight.

        Arguments:
            messages: texts or whole messages. One that has nothing for now, such as a log that is followed, yields
                ``None`` from time to time; the confirmations that have come are then handed out.

        Yields:
            A receipt for each message, as the broker settles it. A message that is refused by itself has an error in its
            receipt, and the stream goes on.

        Raises:
            kchat.errors.NotConfirmed: the connection was lost, or no confirmation came, and it could not be mended.
            kchat.errors.Blocked: the broker takes no messages for longer than ``blocked_for``.
            kchat.errors.BrokerError: the broker refuses.
        """
        settled = self._settled
        for item in messages:
            if item is None:
                self._collect_confirms()
            else:
                message = item if isinstance(item, Message) else Message.compose(self.username, item)
                self._submit(message)
                while len(self._unconfirmed) >= self._window:
                    self._wait_for_confirms()
            while settled:
                yield settled.popleft()
        while self._unconfirmed:
            self._wait_for_confirms()
            while settled:
                yield settled.popleft()

    def _submit(self, message: Message) -> None:
        size = len(message.body)
        limit = self.settings.transport.max_body
        if size > limit:
            error = errors.TooLarge(
                f"a message of {size:,} bytes is too large: {self._broker} takes {limit:,} at most"
            )
            self._settled.append(Receipt(message, error=error))
            return
        self.open()
        self._tag += 1
        # First noted, then published: whatever interrupts the publishing finds it among what has to be sent again.
        self._unconfirmed[self._tag] = message, monotonic()
        self._mend(lambda: self._publish(self._tag, message))

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
        channel.basic_publish(
            raw, exchange=self._exchange.name, routing_key=self._routing_key, mandatory=True
        )
        if not self._pipelined:
            self._on_ack(tag, multiple=False)

    def _wait_for_confirms(self) -> None:
        """Wait until at least one message is settled, or mend what keeps it from being so."""
        before = len(self._unconfirmed)
        while before and len(self._unconfirmed) >= before:
            self._mend(self._drain)

    def _collect_confirms(self) -> None:
        """Take the confirmations that are there, without waiting."""
        if self._pipelined and self._channel is not None:
            before = -1
            while self._unconfirmed and before != len(self._unconfirmed):
                before = len(self._unconfirmed)
                self._mend(lambda: self._drain(0))

    def _drain(self, timeout: float = 0.5) -> None:
        try:
            self._connection.drain_events(timeout=timeout)
        except TimeoutError:
            self._check_deadlines()

    def _check_deadlines(self) -> None:
        now = monotonic()
        if self._blocked is not None:
            if now - self._blocked_at > self._blocked_for:
                raise errors.Blocked(
                    f"{self._broker} refuses messages: {self._blocked}; "
                    f"{len(self._unconfirmed)} not confirmed after {self._blocked_for:g} s, and may still arrive",
                    hint="the broker is short of memory or disk: free some there",
                )
            return
        oldest = next(iter(self._unconfirmed.values()), None)
        if oldest is not None and now - oldest[1] > self.settings.confirm_timeout:
            raise errors.NotConfirmed(
                f"{self._broker}: no confirmation within {self.settings.confirm_timeout:g} s"
            )

    def _mend(self, action: Callable[[], None]) -> None:
        """Do it; if the connection or the room is missing, see to that and send again what was not confirmed."""
        try:
            with broker_errors(self._broker, "send"):
                action()
                return
        except errors.NotFound as error:
            cause: errors.KchatError = error
        except (errors.Closed, errors.Unreachable, errors.NotConfirmed) as error:
            cause = error
        while True:
            try:
                with broker_errors(self._broker, "send"):
                    if isinstance(cause, errors.NotFound):
                        self._make_room(cause)
                    else:
                        self._reconnect(cause)
                    self._publish_again()
                    return
            except (errors.NotFound, errors.Closed, errors.Unreachable) as error:
                cause = error

    def _make_room(self, cause: errors.NotFound) -> None:
        """Declare the exchange, which the broker says is not there. py-amqp has opened the channel afresh."""
        self._note_failure(cause)
        if self._channel is None:
            raise cause
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
            drop(self._connection)
            self._connection = self._channel = None
        while True:
            self._note_failure(cause)
            try:
                self._connect()
            except (errors.Unreachable, errors.Closed) as error:
                cause = error
            else:
                self._on_event(events.Resumed(str(self._broker), monotonic() - since, len(self._unconfirmed)))
                return

    def _note_failure(self, error: errors.KchatError) -> None:
        """The first failure since the last confirmation is mended at once, those after it with a pause before each try."""
        now = monotonic()
        if self._failing_since is None:
            self._failing_since = now
            return
        if now - self._failing_since > self._reconnect_for:
            raise errors.NotConfirmed(
                f"{len(self._unconfirmed)} messages not confirmed, and given up after {self._reconnect_for:g} s: {error}"
            ) from error
        pause = self._backoff.fail()
        self._on_event(events.Waiting(error, pause, self._backoff.attempt))
        time.sleep(pause)

    def _publish_again(self) -> None:
        messages = [message for message, _ in self._unconfirmed.values()]
        self._unconfirmed.clear()
        self._tag = 0
        now = monotonic()
        for message in messages:
            self._unconfirmed[len(self._unconfirmed) + 1] = message, now
        for tag, message in enumerate(messages, start=1):
            self._tag = tag
            self._publish(tag, message)

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
        channel = self._channel
        self._pipelined = hasattr(channel, "confirm_select")
        channel.auto_decode = False
        if self._pipelined:
            channel.confirm_select()
            channel.events["basic_ack"] = {self._on_ack}
            channel.events["basic_nack"] = {self._on_nack}
        if self.settings.transport.tells_unheard:
            channel.events["basic_return"] = {self._on_return}

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        for message in self._take(tag, multiple=multiple):
            heard: bool | None = None
            error = None
            if self.settings.transport.tells_unheard:
                heard = message.id not in self._unheard
                if not heard:
                    self._unheard.discard(message.id or "")
                    if self._mandatory:
                        error = errors.Returned(
                            f"nobody is listening on {self.settings.room} at {self._broker}"
                        )
            self._settled.append(Receipt(message, heard, error))
        if self._failing_since is not None:
            self._failing_since = None
            self._backoff.reset()

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        for message in self._take(tag, multiple=multiple):
            error = errors.Rejected(f"{self._broker} did not take the message (basic.nack)")
            self._settled.append(Receipt(message, error=error))

    def _take(self, tag: int, *, multiple: bool) -> list[Message]:
        if not multiple:
            settled = self._unconfirmed.pop(tag, None)
            return [] if settled is None else [settled[0]]
        tags = []
        for known in self._unconfirmed:
            if known > tag:
                break
            tags.append(known)
        return [self._unconfirmed.pop(known)[0] for known in tags]

    def _on_return(self, _error: Exception, _exchange: str, _routing_key: str, message: Any) -> None:
        properties = message.properties if hasattr(message, "properties") else message["properties"]
        self._unheard.add(properties.get("message_id", ""))

    def _on_blocked(self, reason: str) -> None:
        self._blocked = reason
        self._blocked_at = monotonic()
        self._on_event(events.Blocked(reason))

    def _on_unblocked(self) -> None:
        self._blocked = None
        # The clock for confirmations starts anew: none could come.
        now = monotonic()
        for tag, (message, _) in self._unconfirmed.items():
            self._unconfirmed[tag] = message, now
        self._on_event(events.Unblocked())
