"""What a subscriber hands over next: what its queue has brought, and what it reads in the room's history beside it."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING

from kchat import errors
from kchat.client.acknowledgements import BATCH_SECONDS
from kchat.client.connection import STOP_LOOK
from kchat.client.subscriber_connection import as_bytes, content_type, is_redelivered, position_of
from kchat.message import Message
from kchat.transports.history import Kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.acknowledgements import Acknowledgements
    from kchat.client.deduplication import Deduplicator
    from kchat.client.drops import Drops
    from kchat.client.ending import Ending
    from kchat.client.filters import Filter
    from kchat.client.subscriber_connection import SubscriberConnection
    from kchat.transports import protocols

LARGE = 1 << 20
"""With more bytes at hand, they are handed over before more is taken off the wire: a broker counts messages, not bytes."""

_BURST_PAUSE = 0.002
"""Seconds between two messages that end a burst."""

_HISTORY_WAIT = 1.0
"""Seconds of one wait for what the room's history holds."""

_QUIET = 5.0
"""Seconds in which a queue that has something brings some of it."""


class Gathering:
    """Of one subscriber. Its thread uses it.

    Arguments:
        connection: brings the deliveries.
        acks: when they are acknowledged.
        drops: what is known of those that the queue has dropped.
        duplicates: knows what was handed over.
        acknowledge: acknowledges what is done with.
        content_types: whether messages are handed over with their content types.
        positions: whether messages are handed over with their positions.
        ending: knows when all was handed over that is to be.
        where: which messages to hand over; ``None`` for all.
        holds: whether the queue may hold something to begin with.
    """

    def __init__(
        self,
        connection: SubscriberConnection,
        acks: Acknowledgements,
        drops: Drops,
        duplicates: Deduplicator,
        acknowledge: Callable[[], None],
        *,
        ending: Ending,
        where: Filter | None,
        holds: bool,
        content_types: bool = False,
        positions: bool = False,
    ) -> None:
        self._connection = connection
        self._acks = acks
        self._drops = drops
        self._duplicates = duplicates
        self._acknowledge = acknowledge
        self._content_types = content_types
        self._positions = positions
        self._ending = ending
        self._where = where
        self._holds = holds
        self._quiet_since = math.inf
        self._dropped = False  # whether it is certain, or likely, that the queue has dropped something

        connection.on_joined = self.joined

    def interrupt(self) -> None:
        """The connection is lost. A durable queue goes on: what it drops until :meth:`joined` is known by the numbers."""
        if self._connection.is_durable:
            self._drops.tell()
        else:
            self.forget()

    def joined(self, goes_on: bool) -> None:  # noqa: FBT001 - a callback
        """It has a place in the room: unless its queue ``goes_on``, what is missing from before was not dropped by it."""
        if not goes_on:
            self._drops.gaps.forget()

    def forget(self) -> None:
        """The queue is left: tell what it has dropped, where that is not read later on."""
        self._dropped = False
        self._drops.forget(tell=not self._connection.catch_up.on)

    @property
    def is_at_end(self) -> bool:
        """Whether all was handed over that is to be."""
        connection = self._connection
        if not connection.connected:
            return self._ending.is_late
        return not connection.catch_up.reading and self._ending.is_reached(connection.connected_at)

    @property
    def has_more(self) -> bool:
        """Whether there is something to gather without waiting for the first message, be it by reading the history."""
        connection, ending = self._connection, self._ending
        return (
            bool(connection.arrived and ending.takes_more)
            or connection.catch_up.reading
            or ending.is_to_count(connection.connected_at)
        )

    def patience(self, now: float) -> float | None:
        """Seconds after which there is something to do if nothing arrives; ``None`` for nothing."""
        limits = [] if self._acks.finished is None else [self._acks.due - now]
        if (seconds := self._ending.seconds) is not None and not self.is_at_end:
            limits.append(seconds)
        return min(limits, default=None)

    def gather(self, deadline: float | None, limit: int) -> list[Message]:
        """What comes next; see :meth:`kchat.client.subscriber.Subscriber.receive`."""
        history, most = self._connection.catch_up, math.inf
        if self._holds_nothing():
            return []
        if history.on:
            if not history.reading or history.queue_first:
                self._look_at_history()
            if history.reading and not history.queue_first:
                return self._read_history(deadline, limit)
            most = history.queue_first or math.inf
        unsettled = self._acks.handed_over is not None
        start = monotonic()
        if not self._connection.arrived:
            self._wait(start, deadline)
            self._look_whether_more_comes(start)
        now = monotonic()
        # What had to be waited for came alone: to look for more costs as much as to show it.
        if now - start < _BURST_PAUSE:
            self._take_burst(now + BATCH_SECONDS, limit)
        if history.on and self._connection.length.was_full:
            most = min(most, self._connection.length.came_before)
        messages, size = self._take(limit, most)
        self._look_for_drops(len(messages), size)
        self._connection.look_behind()
        if not messages and not unsettled and not self._acks.busy:
            self._acks.finish()  # nothing, or what nobody is shown: duplicates, and what is not wanted
            if self._acks.is_due:
                self._acknowledge()
        return messages

    def _holds_nothing(self) -> bool:
        """Whether only what is held is wanted from now on, and that is nothing."""
        connection, ending = self._connection, self._ending
        if not ending.is_to_count(connection.connected_at):
            return False
        holds = self._holds or ending.is_late
        ending.count(connection.connected_at, connection.count_waiting() if holds else 0)
        return not (connection.catch_up.reading or ending.takes_more)

    def _take(self, limit: int, most: float) -> tuple[list[Message], int]:
        """Messages of the next ``most`` that have arrived, up to one that shows that others are missing; and their bytes.

        Those are counted as the limit of its queue counts them.
        """
        connection, history, gaps = self._connection, self._connection.catch_up, self._drops.gaps
        arrived, acks = connection.arrived, self._acks
        counts, verifies = connection.counts, connection.verifies
        is_new = history.take if history.on else self._is_new
        is_missing = connection.is_missing
        watches = counts and history.on and not history.queue_first
        with_properties = connection.counts_properties
        messages: list[Message] = []
        size, before = 0, len(arrived)
        where, ending, positions = self._where, self._ending, self._positions
        while arrived and len(messages) < limit and before - len(arrived) < most and size <= LARGE:
            if not ending.takes_more:
                break
            delivery = arrived[0]
            message = self._message(delivery, verifies=verifies)
            if positions and (position := position_of(delivery)) is not None:
                message = message._replace(position=position)
            if watches and gaps.are_shown_by(delivery.number, message.account):
                self._dropped = True  # what is missing comes first
                break
            if counts:
                gaps.note(delivery.number, message.account)
            wanted = (where is None or where(message)) and ending.is_before(delivery, message)
            arrived.popleft()
            ending.take()
            acks.handed_over = delivery.delivery_tag
            if is_missing(delivery) and is_new(message) and wanted:
                messages.append(message)
            size += len(delivery.body) + (delivery.properties_size if with_properties else 0)
        acks.pending += before - len(arrived)
        return messages, size

    def _look_whether_more_comes(self, since: float) -> None:
        """Where the queue comes first, but brings nothing for a while, go on with the history."""
        history = self._connection.catch_up
        if not history.queue_first or self._connection.arrived:
            self._quiet_since = math.inf
            return
        self._quiet_since = min(self._quiet_since, since)
        if monotonic() - self._quiet_since >= _QUIET:
            self._quiet_since = math.inf
            history.has_no_more()

    def _look_at_history(self) -> None:
        """What the queue has dropped is to be read there; else, where that would begin is noted now and then."""
        history = self._connection.catch_up
        gaps = self._drops.gaps
        # Where all bear numbers, these tell whether a queue that was full has dropped any.
        if self._connection.length.take_full() and (gaps.uncounted or gaps.joined):
            self._dropped, gaps.joined = True, False
        if self._dropped:
            self._dropped = False
            history.again()
        elif history.is_to_be_marked:
            history.mark()
        if history.is_far_behind:
            raise errors.Closed("this reader is far behind: it goes on with the room's history")

    def _read_history(self, deadline: float | None, limit: int) -> list[Message]:
        """What comes next in the room's history, before what the queue brings."""
        connection, history, gaps = self._connection, self._connection.catch_up, self._drops.gaps
        wait = math.inf if deadline is None else max(0.0, deadline - monotonic())
        if connection.waker is None:
            wait = min(wait, STOP_LOOK)
        kept = history.read(connection.drain, min(wait, _HISTORY_WAIT), limit)
        messages: list[Message] = []
        for delivery, position in kept:
            message = self._message(delivery, verifies=connection.verifies)
            if self._positions:
                message = message._replace(position=history.position_of(Kept(delivery, position)))
            if connection.counts:
                gaps.note(delivery.number, message.account)
            if history.is_missing(message, position) and (self._where is None or self._where(message)):
                messages.append(message)
        if not history.reading:
            count, about, certain = history.take_counts()
            missing, exact = self._drops.take_missing(about, certain)
            if about < 0 or history.is_exact:
                missing, exact = about, True
            connection.tell_caught_up(count, missing, exact=exact)
        return messages

    def _is_new(self, message: Message) -> bool:
        return not self._duplicates.has(message)

    def _message(self, delivery: protocols.Delivery, *, verifies: bool) -> Message:
        body = delivery.body
        return Message.from_body(
            body if isinstance(body, bytes) else as_bytes(body),
            # Where the broker does not check it, anybody can write anything there, and reading it takes time.
            account=delivery.account(self._connection.room) if verifies else None,
            redelivered=is_redelivered(delivery),
            content_type=content_type(delivery) if self._content_types else None,
        )

    def _wait(self, now: float, deadline: float | None) -> None:
        """Wait for something to arrive; what is done with is acknowledged meanwhile, when that is due."""
        limits = [] if self._connection.waker is not None else [STOP_LOOK]
        if deadline is not None:
            limits.append(deadline - now)
        acks = self._acks
        if (patience := self.patience(now)) is not None:
            limits.append(patience)
        self._connection.drain(max(0.0, min(limits)) if limits else None)
        if acks.is_due and not self._connection.arrived:
            self._acknowledge()
            acks.due = 0.0  # after a pause, the next one is not put off

    def _look_for_drops(self, messages: int, size: int) -> None:
        connection, drops = self._connection, self._drops
        if messages:
            connection.length.note_sizes(messages, size)
            if not connection.counts:
                drops.gaps.uncounted = True
            if connection.overtaken is not None:
                drops.note_overtaken(connection.take_overtaken())
        if connection.length.take_began_full():
            drops.tell_began_full()
        if connection.is_durable and not connection.length.can_have_dropped:
            drops.gaps.missing = 0  # another reader had it before, from a queue that was shared
        if connection.catch_up.on:
            return
        if connection.length.take_full():
            drops.suspect()
        drops.look(messages)

    def _take_burst(self, end: float, limit: int) -> None:
        """Take in what else is there, until the time is over or there is enough of it."""
        arrived = self._connection.arrived
        while arrived and len(arrived) < limit and monotonic() < end:
            before = len(arrived)
            if sum(len(each.body) for each in arrived) > LARGE:
                break
            self._connection.drain(0)
            if len(arrived) == before:
                break
