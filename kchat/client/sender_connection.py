"""The connection of a sender: what is published through it and not confirmed yet, and what is done when it breaks."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import amqp.exceptions
from amqp.exceptions import ContentTooLarge

from kchat import errors, events
from kchat.client.connection import Connection, broker_errors
from kchat.client.in_flight import InFlight, Receipt

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.message import Message
    from kchat.transports import protocols
    from kchat.transports.history import HistoryPolicy

_JSON = "application/json"

_REJOIN_TICK = 0.25
"""Seconds between looks whether subscribers have come back."""

_TICK = 0.5
"""Seconds between looks at the clock while confirmations are waited for."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_RETRYABLE = (errors.NotFound, errors.Closed, errors.Unreachable, errors.NotConfirmed)


class SenderConnection(Connection):
    """Publishes to a room. The broker's answers go to the messages in flight.

    Arguments as of :class:`~kchat.client.sender.Sender`, and of :class:`~kchat.client.connection.Connection`.
    """

    purpose = doing = "send"

    def __init__(
        self,
        settings: Settings,
        username: str,
        on_event: events.OnEvent,
        *,
        wait: bool,
        mandatory: bool,
        reconnect_for: float,
        rejoin_for: float,
        blocked_for: float,
        headers: Callable[[Message], Mapping[str, str]] | None = None,
    ) -> None:
        transport = settings.transport
        super().__init__(settings, on_event, wait=wait, patience=math.inf if wait else reconnect_for)
        self.in_flight = InFlight(
            str(settings), supports_mandatory=transport.supports_mandatory, mandatory=mandatory
        )
        self._room = transport.room(settings.room)
        self._mandatory = mandatory
        self._routing_key = self._key(settings, username)
        self._beside: protocols.Channel | None = None
        self._max_body = transport.max_body
        self._rejoin_for = rejoin_for
        self._rejoin_until = 0.0
        self._blocked_for = blocked_for
        self._blocked: str | None = None  # the broker's reason for taking no messages now
        self._blocked_at = 0.0
        self._account: str | None = None
        self._pipelined = False
        self._headers = headers or (lambda _: _NO_HEADERS)
        self._stream = ""
        self._numbered: Mapping[str, str] = _NO_HEADERS
        self._numbers = b""

    @staticmethod
    def _key(settings: Settings, username: str) -> str:
        """The routing key of messages to a room."""
        transport = settings.transport
        if transport.orders_by_routing_key:
            return username
        return settings.room if transport.routing_key_is_room else ""

    def switch(self, settings: Settings, username: str) -> None:
        """Publish to another room of the same broker, on the connection that there is.

        Raises RuntimeError while something is in flight, and the driver's errors as any method.
        """
        if settings.room != self._settings.room:
            self.in_flight.switch(str(settings))
            # The connection's own, with the passwords of the keyring, but for the room.
            self._settings = replace(self._settings, room=settings.room)
            self._room = settings.transport.room(settings.room)
            self.__dict__.pop("_history", None)
            if self._settings.transport.declares_in_process and self.connected:
                with self.errors:
                    self._room.open(self.channel)
        self._routing_key = self._key(settings, username)

    def beside(self) -> protocols.Channel:
        """A second channel on its connection, for what is not chat: an error of one is not the other's.

        It is made when it is first asked for. Raises a driver's error, and that of a lost connection where there is none.
        """
        if self._connection is None:
            raise amqp.exceptions.RecoverableConnectionError("the connection was closed")
        if self._beside is None:
            self._beside = self._connection.channel()
            self._beside.auto_decode = False
        return self._beside

    def close_beside(self) -> None:
        """Close the second channel; its state is not known."""
        beside, self._beside = self._beside, None
        if beside is not None and self._connection is not None:
            lost = self._connection.connection_errors + self._connection.channel_errors
            with suppress(OSError, *lost):
                cast("Any", beside).close()

    # ---- connecting

    def _join(self, connection: protocols.Connection, *, again: bool) -> None:  # noqa: ARG002 - a sender expects no room
        with broker_errors(self.broker, "connect"):
            # RabbitMQ refuses a message whose user_id is not the connection's account.
            self._account = self._settings.transport.account(connection)
            if self._mandatory:
                self._refuse_history(connection)
            self._channel = connection.channel()
            if self._settings.transport.declares_in_process:
                self._room.open(self.channel)
            self._prepare()
        self._rejoin_until = monotonic() + self._rejoin_for

    def _refuse_history(self, connection: protocols.Connection) -> None:
        """Raise :class:`kchat.errors.SettingsError` where the broker cannot tell whether somebody listens."""
        history = self._history
        if history is not None and history.takes_everything and history.is_on(connection):
            raise errors.SettingsError(
                f"{self._settings} has a history, which takes every message: "
                "the broker cannot tell there whether anybody is listening",
                hint="leave {mandatory} out; kchat who shows who is listening",
            )

    @cached_property
    def _history(self) -> HistoryPolicy | None:
        """What the room's history is; loaded when it is needed, which is seldom."""
        transport = self._settings.transport
        return transport.history(self._settings.room) if transport.capabilities.history else None

    def keeps_unrouted(self) -> bool | None:
        """Whether the room's history has what nobody was listening to; ``None`` where that is not known."""
        history = self._history
        if history is None or history.takes_everything:  # it would have been routed
            return False
        if not history.by_host:
            return True
        if self._connection is None:
            return None
        try:
            with self.errors:
                return history.keeps_unrouted(self._connection, self.channel)
        except errors.KchatError:  # the message is confirmed all the same
            return None

    def _prepare(self) -> None:
        channel, in_flight = self.channel, self.in_flight
        channel.auto_decode = False
        self._pipelined = hasattr(channel, "confirm_select")
        if self._pipelined:
            cast("protocols.Confirms", channel).confirm_select()
            channel.events["basic_ack"] = {in_flight.on_ack}
            channel.events["basic_nack"] = {in_flight.on_nack}
        if self._settings.transport.supports_mandatory:
            channel.events["basic_return"] = {in_flight.on_return}

    def _has_worked(self, since: float) -> bool:
        return self.in_flight.last_settled > since

    def _reconnected(self, seconds: float) -> events.Reconnected:
        return events.Reconnected(str(self.broker), seconds, unconfirmed=len(self.in_flight))

    def _given_up(self, error: errors.KchatError) -> errors.KchatError:
        return self._unconfirmed(f", and given up after {self._patience:g} s: {error}", error)

    def _unconfirmed(self, why: str, error: errors.KchatError) -> errors.NotConfirmed:
        return errors.NotConfirmed(f"{len(self.in_flight)} messages not confirmed{why}", error.hint)

    def _last_alive(self) -> float:
        return monotonic()  # nobody watches it: it is lost when that is found out

    def _forget(self) -> None:
        self._blocked = self._beside = None

    # ---- publishing

    def submit(self, message: Message, receipts: deque[Receipt]) -> None:
        """Publish, without waiting for the confirmation where the transport can. Raises as :meth:`_retrying`.

        Its receipt goes to ``receipts`` when it is settled.
        """
        size, most = len(message.body), self._max_body
        if size > most:
            text = f"a message of {size:,} bytes is too large: {self.broker} takes {most:,} at most"
            receipts.append(Receipt(message, error=errors.TooLarge(text)))
            return
        if not self.connected:
            self.start()
        # First noted, then published: whatever interrupts the publishing finds it among what has to be sent again.
        tag, place = self.in_flight.add(message, receipts)
        self._retrying(self._publish, tag, place, message)

    def start(self) -> None:
        """Connect, if it is not connected, and publish what a stream that was left had in flight before a close.

        Raises :class:`kchat.errors.Closed` where it was closed meanwhile.
        """
        if self.connected:
            return
        if not self.open():
            raise errors.Closed(f"the sender to {self._settings} was closed before it was connected")
        with self.errors:
            self._publish_again(rejoin=False)

    def _publish(self, tag: int, place: int, message: Message) -> None:
        channel = self.channel
        headers = self._headers(message)
        if self._stream != self.in_flight.stream or headers is not self._numbered:
            self._stream, self._numbered = self.in_flight.stream, headers
            self._numbers = b""
            if hasattr(channel, "number_table"):
                self._numbers = cast("protocols.NumbersMessages", channel).number_table(self._stream, headers)
        content_type = message.content_type or _JSON
        raw = channel.prepare_message(
            message.body,
            content_type=content_type,
            # Of what is not kchat's own, nobody knows.
            content_encoding="utf-8" if content_type == _JSON else None,
            headers=None if self._numbers or not headers else dict(headers),
            properties={
                "message_id": message.id,
                "timestamp": int(time.time() if message.sent_at is None else message.sent_at.timestamp()),
                "app_id": "kchat",
                # RabbitMQ checks it against the account: https://www.rabbitmq.com/docs/validated-user-id
                "user_id": self._account,
                "delivery_mode": 1,
            },
        )
        if self._numbers:
            raw.table = self._numbers % place
        try:
            channel.basic_publish(
                raw, exchange=self._room.name, routing_key=self._routing_key, mandatory=True
            )
        except ContentTooLarge as error:
            # By a limit that only the transport knows. Nothing was sent: it is this message's affair alone.
            text = f"{self.broker}: too large: {error.reply_text or error}"
            self.in_flight.refuse(tag, errors.TooLarge(text))
        except BlockingIOError:
            # The write got stuck. Did the broker say why?
            ends = monotonic() + self._settings.confirm_timeout
            while self._blocked is None and monotonic() < ends and self.drain(0.1):
                pass
            while self._blocked is not None:
                self._await_answer()
            raise  # half a frame may be out: not on this connection
        else:
            if not self._pipelined:
                self.in_flight.on_ack(tag, multiple=False)

    # ---- confirmations

    def drain(self, timeout: float | None) -> bool:
        """As of any connection; where nothing is confirmed later, nothing comes."""
        return (self._pipelined or not self.connected) and super().drain(timeout)

    @property
    def account(self) -> str | None:
        """The account that messages bear."""
        return self._account

    def drain_any(self, timeout: float) -> None:
        """Wait for whatever comes, of any channel. Raises as :meth:`~kchat.client.connection.Connection.drain`."""
        super().drain(timeout)

    def confirm(self, timeout: float = _TICK) -> None:
        """Wait for the broker's next words, if there are any in time, be they what they may.

        Raises :class:`kchat.errors.Blocked` where it has refused messages for too long; else as :meth:`_retrying`.
        """
        self.start()
        self._retrying(self._await_answer, timeout)

    def _await_answer(self, timeout: float = _TICK) -> None:
        settings, in_flight = self._settings, self.in_flight
        given_back = None if self._blocked is not None else in_flight.given_back_for
        self.drain(timeout if given_back is None else min(timeout, given_back))
        if given_back is not None and self._blocked is None:
            while (message := in_flight.next_given_back()) is not None:
                self._publish(*message)
        if self._blocked is not None:
            if self.stopping() or monotonic() - self._blocked_at > self._blocked_for:
                raise errors.Blocked(
                    f"{self.broker} refuses messages: {self._blocked}; "
                    f"{len(in_flight)} not confirmed, and they may still arrive",
                    hint="the broker is short of memory or disk: free some there",
                )
        elif (
            in_flight.waiting_for() > settings.confirm_timeout
            # Blocked and unblocked in turns, it has had all the time that there is.
            or in_flight.waiting_for(pauses=True) > settings.confirm_timeout + self._blocked_for
        ):
            raise errors.NotConfirmed(f"{self.broker}: no confirmation within {settings.confirm_timeout:g} s")

    def take_last_confirmations(self) -> None:
        """Before it is given up: take the confirmations that have come, if the connection still has them."""
        if self._connection is None:
            return
        lost = self._connection.connection_errors + self._connection.channel_errors
        awaited = -1
        while self.in_flight.awaited not in (0, awaited):
            awaited = self.in_flight.awaited
            with suppress(OSError, *lost):
                self.drain(0)

    def _on_blocked(self, reason: str) -> None:
        if self._blocked is None:
            self._blocked_at = monotonic()
        self._blocked = reason
        self._on_event(events.Blocked(reason))

    def _on_unblocked(self) -> None:
        if self._blocked is not None:
            self.in_flight.pause_clock(monotonic() - self._blocked_at)
        self._blocked = None
        self._on_event(events.Unblocked())

    # ---- when something breaks

    def _retrying(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do it; if the connection or the room is missing, see to that, and publish again what was not confirmed.

        Raises :class:`kchat.errors.NotConfirmed` where that could not be done, or what the broker refuses by.
        """
        try:
            with self.errors:
                action(*arguments)
                return
        except _RETRYABLE as error:
            cause: errors.KchatError = error
        rejoin = self.in_flight.routed is True
        self._rejoin_until = monotonic() + self._rejoin_for
        while True:
            missing = isinstance(cause, errors.NotFound)
            self.fail(cause, lost=not missing)
            if not (self.pause() if missing else self.open(again=True)):
                raise self._unconfirmed(f": the sender was closed meanwhile: {cause}", cause) from cause
            try:
                with self.errors:
                    if missing:
                        self._room.open(self.channel, missing=True)  # py-amqp has opened the channel afresh
                        self._prepare()
                    self._publish_again(rejoin=rejoin)
                    return
            except _RETRYABLE as error:
                # Where this account may not make the room, it waits for somebody else to do it, if it was there before.
                waits = self.in_flight.last_settled > 0 and monotonic() < self._rejoin_until
                if missing and isinstance(error, errors.NotFound) and not waits:
                    raise
                cause = error

    def _publish_again(self, *, rejoin: bool) -> None:
        """Publish what is not confirmed, in order; where there were subscribers, not before there is one again."""
        self.in_flight.restart()
        if rejoin:
            self._wait_for_subscribers()
        while (message := self.in_flight.next_again()) is not None:
            self._publish(*message)

    def _wait_for_subscribers(self) -> None:
        """Try with the first message until it is routed, or until subscribers had enough time to return."""
        in_flight, told = self.in_flight, False
        in_flight.keep_unrouted = True
        try:
            while (
                not self.stopping()
                and monotonic() < self._rejoin_until
                and (message := in_flight.next_again()) is not None
            ):
                self._publish(*message)
                while in_flight.awaited:
                    self._await_answer()
                if in_flight.routed is not False:
                    return
                if not told:
                    self._on_event(events.WaitingForSubscribers(max(0.0, self._rejoin_until - monotonic())))
                    told = True
                time.sleep(_REJOIN_TICK)
        finally:
            in_flight.keep_unrouted = False
