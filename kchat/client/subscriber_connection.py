"""The connection of a subscriber: its place in the room, what arrives there, and acknowledgements."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from kchat import errors, events
from kchat.client.connection import Connection
from kchat.client.drops import QueueLength

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.acknowledgements import Acknowledgements
    from kchat.client.catching_up import CatchUp
    from kchat.config.settings import Settings
    from kchat.transports import protocols
    from kchat.transports.durable import Durable

_STEADY = 10.0
"""Seconds that a connection has to last for the next one to be made without a pause."""

_WAITED = 0.05
"""Seconds after which what comes was not there when the wait for it began: the queue was empty then."""

_BIND_AGAIN = 5.0
"""Seconds of quiet after which the queue is bound to the room again, since nobody says when that binding is deleted."""


class SubscriberConnection(Connection):
    """Consumes from a queue in a room.

    Arguments as of :class:`~kchat.client.subscriber.Subscriber`, and of :class:`~kchat.client.connection.Connection`;
    ``acks``: knows what is unacknowledged; ``begin``: what of the room's history its queue is to begin with, the number of
    messages and since when; ``catch_up``: what is read of it beside the queue.
    """

    purpose, doing = "subscribe", "listen"

    def __init__(
        self,
        settings: Settings,
        username: str,
        durable: Durable | None,
        acks: Acknowledgements,
        begin: tuple[int | None, float | None],
        catch_up: CatchUp,
        on_event: events.OnEvent,
        *,
        wait: bool,
        present: bool = False,
        length: int | None = None,
    ) -> None:
        super().__init__(settings, on_event, wait=wait, heartbeat=settings.heartbeat)
        self.catch_up = catch_up
        self.back_after: float | None = None
        """Seconds that it was away; until what was missed meanwhile was read beside the queue, and that is told."""
        self.arrived: deque[protocols.Delivery] = deque()
        """Deliveries that nobody has taken yet, in their order."""
        self.verifies = False
        """Whether the broker checks that a message's ``user_id`` is its sender's account."""
        self.overtaken: protocols.CountsOvertaken | None = None
        """Counts the messages that the room itself has removed before they were read; where it can tell."""
        self.counts = False
        """Whether what comes can be counted: from a queue that nobody else reads, and messages that may bear numbers."""
        self.length = QueueLength()
        """Knows whether the queue was full: then its broker may have dropped some of it."""
        self.on_joined: Callable[[bool], object] = bool
        """Told when it has its place: whether that is a durable queue which has gone on, and has dropped something."""
        self._room = settings.transport.room(settings.room)
        self._username = username
        self._durable = durable
        self._acks = acks
        self._begin = begin
        self._length = length
        self._presence = settings.transport.presence(settings.room) if present else None
        self._acknowledges = settings.transport.acknowledges
        self._queue: protocols.Queue | None = None
        self._asks: protocols.AsksLength | None = None
        self._keeps = False  # whether what is sent while it is away is kept, a restart of the broker included
        self._rebinds = False
        self._bind_due = 0.0

    @property
    def is_durable(self) -> bool:
        """Whether its queue outlives it."""
        return self._durable is not None

    @property
    def queue_name(self) -> str:
        """The name of its queue; empty before :meth:`open`."""
        return "" if self._queue is None else self._queue.name

    @property
    def room(self) -> str:
        """The room's name."""
        return self._settings.room

    # ---- connecting

    def _join(self, connection: protocols.Connection, *, again: bool) -> None:
        try:
            with self.errors:
                self._take_place(connection, again=again)
                # From now on: a declaration that is cut short would read as one that failed.
                self.waker = None
                if hasattr(connection.transport, "waker"):
                    self.waker = cast("protocols.Wakes", connection.transport).waker(connection.connection)
        except errors.NotFound as error:
            if not again:
                raise
            # The room was there before: an account that may create it will.
            raise errors.Closed(str(error), error.hint) from error
        self._begin = None, None  # after a reconnect the history was seen already
        self._bind_due = monotonic() + _BIND_AGAIN

    def _take_place(self, connection: protocols.Connection, *, again: bool) -> None:
        """Declare the room and a queue, and consume from it."""
        last, since = self._begin
        self.catch_up.look(connection)
        channel = connection.channel()
        channel.auto_decode = False
        place = self._room.take_place(
            channel,
            self._username,
            durable=self._durable,
            account=self._settings.transport.account(connection),
            last=last,
            since=since,
            length=self._length,
            look=again,
        )
        queue = place.queue
        if place.notice and not again:
            self._on_event(events.Notice(place.notice))
        self._rebinds = place.rebinds
        # An account that may not make the one binding that outlives a restart is not told that nothing was lost.
        self._keeps = place.durable and (place.found or not again)  # or the queue itself was lost
        channel.basic_qos(0, self._acks.prefetch, False)
        queue.consume(queue.name, self.arrived.append, no_ack=not self._acknowledges)
        driver = connection.connection
        self.overtaken = driver if hasattr(driver, "take_overtaken") else None
        self.verifies = self._settings.transport.verifies_accounts
        if self.verifies and hasattr(driver, "verifies_accounts"):
            self.verifies = cast("protocols.Verifies", driver).verifies_accounts
        own = self._durable is None
        # Of a queue that is shared, each reader gets a part.
        self.counts = (own or not place.shared) and hasattr(channel, "number_table")
        self._asks = cast("protocols.AsksLength", channel) if hasattr(channel, "ask_length") else None
        limits = (queue.queue_arguments or {}) if self._asks is not None and place.limited else {}
        most, most_bytes = (int(limits.get(f"x-max-length{of}") or 0) for of in ("", "-bytes"))
        average = self.length.average
        self.length = QueueLength(most, most_bytes, caught_up=own, waiting=place.waiting, average=average)
        # What the same queue, which is full, has no more between what it brought before and what it brings now, it dropped.
        self.on_joined(again and place.found and self.length.began_full)
        self._queue, self._channel = queue, channel
        if self._presence is not None:
            self._presence.register(channel, self._username)
        self.catch_up.join(connection, channel, queue.name, self.arrived)

    def _has_worked(self, since: float) -> bool:  # noqa: ARG002 - a quiet room is not a failure
        return self.connected and monotonic() - self.connected_at >= _STEADY

    def _reconnected(self, seconds: float) -> events.Reconnected | None:
        if self.catch_up.reading:
            self.back_after = seconds
            return None
        return events.Reconnected(self._where, seconds, durable=self._keeps)

    @property
    def _where(self) -> str:
        return f"{self._settings.room} at {self.broker}"

    def _forget(self) -> None:
        self.arrived.clear()
        self.catch_up.interrupt()
        self.back_after = None

    def tell_dropped(self, event: events.Dropped) -> None:
        """Its queue has dropped something."""
        self._on_notice(event)

    def _on_notice(self, event: events.Event) -> None:
        if self._durable and isinstance(event, events.Dropped):
            event = event._replace(queue=self._durable.name)
        self._on_event(event)

    # ---- receiving

    def drain(self, timeout: float | None) -> bool:
        """As of any connection."""
        arrived, began = len(self.arrived), monotonic()
        came = super().drain(timeout)
        # With as much unacknowledged as may be, the broker waits for this side, and more may wait behind it.
        held_up = self._acks.pending + len(self.arrived) >= self._acks.prefetch
        if not held_up and (not came or self._alive_at - began >= _WAITED):
            self.length.caught_up_at = self._alive_at if not came else began
        if len(self.arrived) != arrived:
            self._bind_due = self._alive_at + _BIND_AGAIN
        return came

    def tell_caught_up(self, count: int, missing: int, *, exact: bool) -> None:
        """What was missed was read, so many messages: tell that it is back, or that it was too slow."""
        seconds, self.back_after = self.back_after, None
        if seconds is not None:
            back = events.Reconnected(self._where, seconds, caught_up=count, missing=missing, about=not exact)
            self._on_event(back)
        elif count or missing:
            self._on_event(events.CaughtUp(count, missing, about=not exact))

    def _look(self, now: float) -> None:
        if now >= self._bind_due:
            self._bind_due = now + _BIND_AGAIN
            self._room.bind_again(self.channel, self.queue_name, rebinds=self._rebinds)

    def acknowledge(self, tag: Any) -> None:
        """The broker may forget everything up to a delivery tag. Raises as :meth:`drain`."""
        if self._acknowledges:
            if self._asks is not None and self.length.is_to_be_asked():
                note, arrived = self.length.note, self.arrived
                self._asks.ask_length(self.queue_name, lambda messages: note(messages, len(arrived)))
            self.channel.basic_ack(tag, multiple=True)


def is_redelivered(delivery: protocols.Delivery) -> bool:
    """The deliveries of kchat's own transports say so by themselves, and make no dict of all that they know for it."""
    try:
        return delivery.redelivered
    except AttributeError:
        return bool(delivery.delivery_info.get("redelivered"))


def as_bytes(body: object) -> bytes:
    """Kombu's virtual transports hand over text where the body was text."""
    return str(body).encode("utf-8", "surrogatepass")
