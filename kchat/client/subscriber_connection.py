"""The connection of a subscriber: its place in the room, what arrives there, and acknowledgements."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import amqp.exceptions

from kchat import errors, events
from kchat.client.connection import Connection
from kchat.client.drops import QueueLength

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.acknowledgements import Acknowledgements
    from kchat.client.catching_up import CatchUp
    from kchat.client.shared_connection import SharedConnection
    from kchat.config.settings import Settings
    from kchat.transports import protocols
    from kchat.transports.durable import Durable
    from kchat.transports.history import Cursor, HistoryPolicy

_STEADY = 10.0
"""Seconds that a connection has to last for the next one to be made without a pause."""

_WAITED = 0.05
"""Seconds after which what comes was not there when the wait for it began: the queue was empty then."""

_ANSWER = 10.0
"""Seconds to wait for the number of messages in the queue."""

_BIND_AGAIN = 5.0
"""Seconds of quiet after which the queue is bound to the room again, since nobody says when that binding is deleted."""


class SubscriberConnection(Connection):
    """Consumes from a queue in a room.

    Arguments as of :class:`~kchat.client.subscriber.Subscriber`, and of :class:`~kchat.client.connection.Connection`;
    ``acks``: knows what is unacknowledged; ``begin``: what of the room's history its queue is to begin with, the number of
    messages and since when; ``catch_up``: what is read of it beside the queue; ``cursor``: or how far it was read, where its
    queue can go on from there.
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
        cursor: Cursor | None,
        on_event: events.OnEvent,
        *,
        wait: bool,
        present: bool = False,
        length: int | None = None,
    ) -> None:
        super().__init__(settings, on_event, wait=wait, heartbeat=settings.heartbeat)
        self.catch_up = catch_up
        self.cursor = cursor
        self.is_missing: Callable[[protocols.Delivery], bool] = _always if cursor is None else cursor.take
        """Whether the next delivery is to be handed over; from then on it was."""
        self._caught_up_missing = 0
        self.followers: list[SharedConnection] = []
        """Those of other rooms that share it."""
        self.back_after: float | None = None
        """Seconds that it was away; until what was missed meanwhile was read beside the queue, and that is told."""
        self.arrived: deque[protocols.Delivery] = deque()
        """Deliveries that nobody has taken yet, in their order."""
        self.verifies = False
        """Whether the broker checks that a message's ``user_id`` is its sender's account."""
        self.counts_properties = False
        """Whether a message's properties count towards its queue's limit in bytes, too."""
        self.overtaken: protocols.CountsOvertaken | None = None
        """Counts the messages that the room itself has removed before they were read; where it can tell."""
        self.counts = False
        """Whether what comes can be counted: from a queue that nobody else reads, and messages that may bear numbers."""
        self.length = QueueLength()
        """Knows whether the queue was full: then its broker may have dropped some of it."""
        self.on_joined: Callable[[bool], object] = bool
        """Told when it has its place: whether that is a durable queue which has gone on, and has dropped something."""
        self.begins_if_kept: HistoryPolicy | None = None
        """Where its queue is to begin with a history that need not be there: what knows whether it is."""
        self.began_kept = False
        """Whether it is there."""
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
    def link(self) -> protocols.Connection | None:
        """The connection itself; ``None`` where there is none."""
        return self._connection

    @property
    def alive_at(self) -> float:
        """When the connection was last known to work, by the monotonic clock."""
        return self._last_alive()

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
                self.waker = self._new_waker(connection)
        except errors.NotFound as error:
            if not again:
                raise
            # The room was there before: an account that may create it will.
            raise errors.Closed(str(error), error.hint) from error
        self._begin = None, None  # after a reconnect the history was seen already
        self._bind_due = monotonic() + _BIND_AGAIN

    def _new_waker(self, connection: protocols.Connection) -> protocols.Waker | None:
        if not hasattr(connection.transport, "waker"):
            return None
        return cast("protocols.Wakes", connection.transport).waker(connection.connection)

    def _take_place(self, connection: protocols.Connection, *, again: bool) -> None:
        """Declare the room and a queue, and consume from it."""
        last, since = self._begin
        self.catch_up.look(connection)
        if since is not None and self.begins_if_kept is not None and not again:
            self.began_kept = self._is_kept(connection, self.begins_if_kept)
            since = since if self.began_kept else None
        begins = self._durable is not None and not again and self.catch_up.is_to_begin
        after = None
        if again and self.cursor is not None and self._lost_at is not None:
            after = self.cursor.after(monotonic() - self._lost_at)
        channel = connection.channel()
        channel.auto_decode = False
        place = self._room.take_place(
            channel,
            self._username,
            durable=self._durable,
            account=self._settings.transport.account(connection),
            last=last,
            since=since,
            after=after,
            length=self._length,
            look=again or begins,
        )
        queue = place.queue
        if begins and place.found:
            self.catch_up.goes_on()
        if place.notice and not again:
            self._on_event(events.Notice(place.notice))
        self._rebinds = place.rebinds
        # An account that may not make the one binding that outlives a restart is not told that nothing was lost.
        self._keeps = place.durable and (place.found or not again)  # or the queue itself was lost
        channel.basic_qos(0, self._acks.prefetch, False)
        queue.consume(queue.name, self.arrived.append, no_ack=not self._acknowledges)
        if self.cursor is not None and self.cursor.join(connection, queue.name, after):
            self.back_after = 0.0
        driver = connection.connection
        self.overtaken = driver if hasattr(driver, "take_overtaken") else None
        self.verifies = self._settings.transport.verifies_accounts
        if self.verifies and hasattr(driver, "verifies_accounts"):
            self.verifies = cast("protocols.Verifies", driver).verifies_accounts
        own = self._durable is None
        self.counts_properties = False
        if not own and hasattr(driver, "counts_properties"):
            self.counts_properties = cast("protocols.CountsProperties", driver).counts_properties
        # Of a queue that is shared, each reader gets a part.
        self.counts = (own or not place.shared) and hasattr(channel, "number_table")
        self._asks = cast("protocols.AsksLength", channel) if hasattr(channel, "ask_length") else None
        known = self._asks is None or place.known
        limits = (queue.queue_arguments or {}) if self._asks is not None and known else {}
        most, most_bytes = (int(limits.get(f"x-max-length{of}") or 0) for of in ("", "-bytes"))
        average = self.length.average
        self.length = QueueLength(
            most, most_bytes, known=known, caught_up=own, waiting=place.waiting, average=average
        )
        # What the same queue, which is full, has no more between what it brought before and what it brings now, it dropped.
        self.on_joined(again and place.found and (self.length.began_full or not known))
        self._queue, self._channel = queue, channel
        if self._presence is not None:
            self._presence.register(channel, self._username)
        self.catch_up.join(connection, channel, queue.name, self.arrived)

    @staticmethod
    def _is_kept(connection: protocols.Connection, history: HistoryPolicy) -> bool:
        """Whether a room has a history: not one that is not there yet, nor one that this account may not ask about."""
        try:
            return history.status(connection) is not None
        except (amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
            return False

    def _has_worked(self, since: float) -> bool:  # noqa: ARG002 - a quiet room is not a failure
        return self.connected and monotonic() - self.connected_at >= _STEADY

    def _reconnected(self, seconds: float) -> events.Reconnected | None:
        if self.back_after is not None or self.catch_up.reading:
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
        self._caught_up_missing = 0

    def tell_dropped(self, event: events.Dropped) -> None:
        """Its queue has dropped something."""
        self._on_notice(event)

    def _on_notice(self, event: events.Event) -> None:
        if self._durable and isinstance(event, events.Dropped):
            event = event._replace(queue=self._durable.name)
        self._on_event(event)

    # ---- receiving

    def count_waiting(self) -> int | None:
        """The number of messages that wait, here or there; ``None`` if the broker does not tell. Raises as :meth:`drain`."""
        assert self._queue is not None
        if self._asks is None:
            waiting = self._room.count_waiting(self._queue)
            return None if waiting is None else waiting + len(self.arrived)
        answers: list[int] = []  # each with what had come before it
        self._asks.ask_length(self.queue_name, lambda waiting: answers.append(waiting + len(self.arrived)))
        ends = monotonic() + _ANSWER
        while not answers:
            self.drain(_ANSWER)
            if not answers and monotonic() >= ends:
                raise amqp.exceptions.RecoverableConnectionError(
                    "the broker does not tell what its queue holds"
                )
        return answers[0]

    def drain(self, timeout: float | None) -> bool:
        """As of any connection."""
        sharers = (self, *self.followers)
        arrived, began = [len(each.arrived) for each in sharers], monotonic()
        came = super().drain(timeout)
        for each, before in zip(sharers, arrived, strict=True):
            each.note_drained(before, began if came else None, self._alive_at)
        return came

    def note_drained(self, arrived: int, began: float | None, ended: float) -> None:
        """Something came in a wait, or nothing did.

        Arguments:
            arrived: the number of deliveries that were here before.
            began: when the wait began, by the monotonic clock; ``None`` where nothing came.
            ended: when it ended.
        """
        # With as much unacknowledged as may be, the broker waits for this side, and more may wait behind it.
        held_up = self._acks.pending + len(self.arrived) >= self._acks.prefetch
        if not held_up and (began is None or ended - began >= _WAITED):
            self.length.caught_up_at = ended if began is None else began
        if len(self.arrived) != arrived:
            self._bind_due = ended + _BIND_AGAIN

    def fail(self, error: errors.KchatError, *, lost: bool = True) -> None:
        """As of any connection; those that share it leave with it."""
        for each in self.followers:
            each.leave()
        super().fail(error, lost=lost)

    def tell_caught_up(self, count: int, missing: int, *, exact: bool) -> None:
        """What was missed was read, so many messages: tell that it is back, or that it was too slow."""
        seconds, self.back_after = self.back_after, None
        if seconds is not None:
            back = events.Reconnected(self._where, seconds, caught_up=count, missing=missing, about=not exact)
            self._on_event(back)
        elif count or missing:
            self._on_event(events.CaughtUp(count, missing, about=not exact))

    def take_overtaken(self) -> int:
        """The number of messages that the room removed before they were read; those that were missed are told otherwise."""
        count = 0 if self.overtaken is None else self.overtaken.take_overtaken()
        if count and self.back_after is not None:
            self._caught_up_missing += count
            return 0
        return count

    def look_behind(self) -> None:
        """Tell that it is back, once what was missed has been handed over."""
        if self.back_after is not None and self.cursor is not None and not self.cursor.is_behind:
            self.take_overtaken()  # also where nothing has come since
            count, missing = self.cursor.take_count(), self._caught_up_missing
            self._caught_up_missing = 0
            self.tell_caught_up(count, missing, exact=True)

    def _look(self, now: float) -> None:
        for each in (self, *self.followers):
            each.look_behind()
            each.look_at_binding(now)

    def look_at_binding(self, now: float) -> None:
        """Bind the queue to the room again, where it is quiet. Raises as :meth:`drain`."""
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


def _always(_: object) -> bool:
    return True


def is_redelivered(delivery: protocols.Delivery) -> bool:
    """The deliveries of kchat's own transports say so by themselves, and make no dict of all that they know for it."""
    try:
        return delivery.redelivered
    except AttributeError:
        return bool(delivery.delivery_info.get("redelivered"))


def content_type(delivery: protocols.Delivery) -> str | None:
    """The property of that name; ``None`` where there is none, or it is not text (anybody may send anything to Redis)."""
    found: object = getattr(delivery, "content_type", None)
    return found if isinstance(found, str) else None


def position_of(delivery: protocols.Delivery) -> str | None:
    """Its place at the broker; ``None`` where it has none."""
    found: object = getattr(delivery, "position", None)
    return found if isinstance(found, str) else None


def as_bytes(body: object) -> bytes:
    """Kombu's virtual transports hand over text where the body was text."""
    return str(body).encode("utf-8", "surrogatepass")
