"""Listening to several rooms of a broker by one connection: :class:`Subscribers`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from kchat import events
from kchat.client.acknowledgements import BATCH
from kchat.client.connection import STOP_LOOK
from kchat.client.shared_connection import SharedConnection
from kchat.client.subscriber import LOST, Subscriber

if TYPE_CHECKING:
    from kchat import errors
    from kchat.client.gathering import Gathering
    from kchat.client.subscriber_connection import SubscriberConnection
    from kchat.config.settings import Settings
    from kchat.message import Message


class _Part(Subscriber):
    """The subscriber of one room, with what the others of its connection have to know of it.

    Arguments as of a subscriber; ``lead``: the one whose connection it shares. Default: it has its own.
    """

    def __init__(
        self, settings: Settings, username: str | None, lead: _Part | None = None, **options: Any
    ) -> None:
        self._lead = lead
        super().__init__(settings, username, **options)

    def _new_connection(self, *args: Any, **more: Any) -> SubscriberConnection:
        if self._lead is None:
            return super()._new_connection(*args, **more)
        return SharedConnection(*args, lead=self._lead.connection, **more)

    @property
    def connection(self) -> SubscriberConnection:
        """Its connection."""
        return self._connection

    @property
    def gathering(self) -> Gathering:
        """What it hands over next."""
        return self._gathering

    def take_woken(self) -> bool:
        """Whether it was woken since this was last asked."""
        return self._was_woken(ends=True)

    def connect_again(self, deadline: float | None) -> bool:
        """Connect, if it is not, after another one was lost; returns whether it is connected."""
        if self._connection.connected:
            return True
        self.forget_lost()
        return self._connection.open(self._ending.deadline(deadline), again=True)

    def forget_lost(self) -> None:
        """The connection was lost, and what was unacknowledged comes again."""
        self._gathering.forget()
        self._acks.forget()

    def lose(self, error: errors.KchatError) -> None:
        """The connection is lost."""
        self._lose(error)

    def acknowledge_finished(self, *, if_due: bool = False) -> None:
        """Acknowledge what is done with; ``if_due``: if that is due and nothing has arrived."""
        if not if_due:
            self._acknowledge_done()
        elif self._acks.is_due and not self._connection.arrived:
            self._acknowledge_done()
            self._acks.due = 0.0  # after a pause, the next one is not put off


class _PartAnew(_Part):
    """As it, but it begins with the history also where its durable queue was there before."""

    _begins_anew = True


def _tell(on_event: events.OnEvent, room: str, event: events.Event) -> None:
    """Tell of an event in which room it was. The connection's own have none."""
    if isinstance(event, events.Reconnected | events.Dropped | events.CaughtUp):
        event = event._replace(room=room)
    on_event(event)


class Subscribers:
    """Listens to several rooms. A context manager; connects when it is first needed.

    There is a :class:`~kchat.client.subscriber.Subscriber` for each room, with its own queue, place in the room's history
    and acknowledgements. The first one's connection is that of all. Messages have the name of their room
    (:attr:`kchat.Message.room`), and so have events that are one room's. The order of each room's messages is kept.

    Threads: as of a subscriber. One receives and acknowledges; any may call :meth:`stop`, :meth:`wake` and :meth:`close`.

    Arguments:
        settings: the rooms, with the same brokers.
        username: as of :class:`~kchat.client.subscriber.Subscriber`.
        since: likewise; or by the names of the rooms, with those left out that begin with nothing.
        anew: whether a room begins with its history also where its durable queue was there before. Default: not.
        options: as of a subscriber; they hold for each room.

    Raises:
        kchat.errors.SettingsError: as of a subscriber.
    """

    def __init__(
        self,
        settings: Sequence[Settings],
        username: str | None = None,
        *,
        since: float | Mapping[str, float] | None = None,
        anew: bool = False,
        **options: Any,
    ) -> None:
        first, *others = settings
        part = _PartAnew if anew else _Part

        def options_of(each: Settings) -> dict[str, Any]:
            begin = since.get(each.room) if isinstance(since, Mapping) else since
            of_room = {**options, "since": begin}
            return {**of_room, "on_event": partial(_tell, on_event, each.room)} if others else of_room

        on_event: events.OnEvent = options.get("on_event", events.ignore)
        self._lead = part(first, username, **options_of(first))
        self._all = [
            self._lead,
            *(part(each, username, self._lead, **options_of(each)) for each in others),
        ]
        self._turns = deque(self._all)
        self.settings = first
        self.username = self._lead.username

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def each(self) -> Sequence[Subscriber]:
        """The subscriber of each room."""
        return tuple(self._all)

    @property
    def where(self) -> str:
        """``lunch, ops at amqp://rmq:***@localhost:5672/``; safe to show."""
        others = "".join(f", {each.settings.room}" for each in self._all[1:])
        room = self._lead.settings.room
        return f"{room}{others}{self._lead.where.removeprefix(room)}"

    @property
    def queue_name(self) -> str:
        """The names of its queues; empty before :meth:`open`."""
        return ", ".join(filter(None, (each.queue_name for each in self._all)))

    @property
    def verifies_accounts(self) -> bool:
        """Whether the broker that it is connected to checks who sent a message; False before :meth:`open`."""
        return self._lead.verifies_accounts

    @property
    def busy(self) -> bool:
        """As of a subscriber: whether somebody works on what was handed over."""
        return self._lead.busy

    @busy.setter
    def busy(self, busy: bool) -> None:
        for each in self._all:
            each.busy = busy

    @property
    def stopped(self) -> bool:
        """Whether it was stopped or closed, and not opened again."""
        return self._lead.stopped

    def open(self) -> None:
        """Connect, and join all rooms. When it returns, nothing that is sent there is missed.

        Raises:
            kchat.errors.BrokerError: as of :meth:`kchat.client.subscriber.Subscriber.open`, of any room.
        """
        with self._lead.connection.in_use:
            try:
                for each in self._all:
                    each.open()
            except BaseException:
                self.close()
                raise

    def stop(self) -> None:
        """As of a subscriber: :meth:`receive` ends. From any thread or a signal handler; returns at once."""
        self._lead.stop()

    def wake(self) -> None:
        """As of a subscriber: the :meth:`receive` that waits returns, or the next one."""
        self._lead.wake()

    def close(self) -> None:
        """Leave all rooms. What was received and not acknowledged goes back to the broker."""
        self.stop()
        with self._lead.connection.in_use:
            for each in reversed(self._all):  # the connection is the first one's
                each.close()

    def receive(self, timeout: float | None = None, limit: int = BATCH) -> list[Message]:
        """What has arrived in one of the rooms, in order; the rooms take turns.

        Arguments:
            timeout: seconds to wait for the first message. Default: for ever.
            limit: maximum number of messages, default 250.

        Returns:
            The messages; none when the time was over, or when it was stopped, be it as all rooms were at their ends.

        Raises:
            kchat.errors.BrokerError: as of :meth:`kchat.client.subscriber.Subscriber.receive`.
        """
        deadline = None if timeout is None else monotonic() + timeout
        lead = self._lead
        with lead.connection.in_use:
            while not (lead.stopped or lead.take_woken()):
                if all(each.gathering.is_at_end for each in self._all):
                    self.stop()
                    break
                try:
                    if self._connect(deadline):
                        with lead.connection.errors:
                            if messages := self._gather(deadline, limit):
                                return messages
                except LOST as error:
                    lead.lose(error)
                if deadline is not None and monotonic() >= deadline:
                    break
            self._acknowledge_done()
            return []

    def _connect(self, deadline: float | None) -> bool:
        return all(each.connect_again(deadline) for each in self._all)

    def _gather(self, deadline: float | None, limit: int) -> list[Message]:
        for _ in self._all:
            each = self._turns[0]
            self._turns.rotate(-1)
            if each.gathering.has_more and (messages := each.gathering.gather(deadline, limit)):
                room = each.settings.room
                return [message._replace(room=room) for message in messages]
        if not (
            any(each.gathering.has_more for each in self._all)
            or all(each.gathering.is_at_end for each in self._all)
        ):
            self._wait(deadline)
        return []

    def _wait(self, deadline: float | None) -> None:
        """Wait for something to arrive; what is done with is acknowledged meanwhile, when that is due."""
        now = monotonic()
        limits = [each.gathering.patience(now) for each in self._all]
        limits += [] if deadline is None else [deadline - now]
        connection = self._lead.connection
        limits += [] if connection.waker is not None else [STOP_LOOK]
        known = [each for each in limits if each is not None]
        connection.drain(max(0.0, min(known)) if known else None)
        for each in self._all:
            each.acknowledge_finished(if_due=True)

    def _acknowledge_done(self) -> None:
        for each in self._all:
            each.acknowledge_finished()

    def count_waiting(self) -> int | None:
        """As of a subscriber: the number of messages that wait, in all rooms together; ``None`` where it is not known."""
        counts = [each.count_waiting() for each in self._all]
        return None if None in counts else sum(filter(None, counts))

    def acknowledge(self) -> None:
        """What :meth:`receive` has handed over is done with."""
        for each in self._all:
            each.acknowledge()

    def finish(self, *, hold: bool = False) -> None:
        """As of a subscriber: the same, put off within a burst."""
        for each in self._all:
            each.finish(hold=hold)

    def __iter__(self) -> Iterator[Message]:
        """Every message, until it is stopped. Asking for the next message acknowledges the previous ones."""
        try:
            while not self.stopped:
                messages = self.receive(limit=1)
                yield from messages
                if messages:
                    self.finish()
        finally:
            self._acknowledge_done()
