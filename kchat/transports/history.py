"""What a room's history is on a broker: :class:`HistoryPolicy`.

The host switches it on, and what is sent from then on is kept for those who come later, within limits of age and size. Where
a queue can begin with it by itself (``x-history-*``), that is all. Elsewhere queues begin empty, and a subscriber reads what
is kept beside its queue, with a :class:`HistoryReader`: before what its queue brings, after a lost connection, and where the
queue dropped something.

It opens nothing but channels: it acts on the connection or the channel that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kchat.transports.guests import Administration
    from kchat.transports.protocols import Channel, Connection, Delivery
    from kchat.transports.room import RoomPolicy
    from kchat.transports.url import Broker

KEEP = 7 * 24 * 3600.0
"""Seconds that messages are kept, unless said otherwise: a week."""

MAX_SIZE = 64 * 1024 * 1024
"""Bytes that a room's history takes, unless said otherwise."""


class Begin(NamedTuple):
    """With which of a room's history to begin; with the first of these that is given.

    Attributes:
        after: behind this position. What stands a little before it may come again, down to ``floor``.
        floor: nothing before this position.
        last: number of messages.
        since: from the first message on that came to the broker then, in UNIX seconds, by the broker's clock.
    """

    after: Any = None
    floor: Any = None
    last: int | None = None
    since: float | None = None


class Kept(NamedTuple):
    """A message that was kept.

    Attributes:
        delivery: as a consumer gets it.
        position: its place in the history; positions can be compared.
    """

    delivery: Delivery
    position: Any


class HistoryStatus(NamedTuple):
    """A room's history that is switched on.

    Attributes:
        messages: their number; ``None`` where that is not known.
        since: when the oldest message in it came, in UNIX seconds; ``None`` where it is empty or that is not known.
        size: in bytes, as the broker counts; likewise.
        keep: seconds that messages are kept; ``None`` without such a limit, or where it cannot be read.
        max_size: its limit in bytes; likewise.
    """

    messages: int | None
    since: float | None = None
    size: int | None = None
    keep: float | None = None
    max_size: int | None = None


class HistoryReader(Protocol):
    """Hands over what a room's history held when it was made."""

    @property
    def done(self) -> bool:
        """Whether all of it was handed over."""

    @property
    def missing(self) -> int:
        """About how many messages behind the position to begin after the history holds no more; -1 for an unknown number."""

    @property
    def certain(self) -> int:
        """Of :attr:`missing`, the number that is certain."""

    @property
    def is_other(self) -> bool:
        """Whether the history is another one than that of the position to begin after, as it was cleared: then all of it."""

    @property
    def held(self) -> int:
        """About how many messages it hands over, at least that, once :meth:`read` has returned some."""

    def read(self, drain: Callable[[float | None], bool], timeout: float, limit: int) -> Sequence[Kept]:
        """The next messages in the order of the history; none at its end, when it was woken, or when the time was over.

        Arguments:
            drain: what lets the connection wait for something, for this number of seconds.
            timeout: seconds to wait for the first one.
            limit: maximum number of messages.

        Raises:
            Exception: a driver's error: the connection is of no use any more.
        """

    def close(self) -> None:
        """Leave off."""


class Cursor(Protocol):
    """How far a subscriber has read, where its queue begins with history by itself. One thread uses it."""

    def after(self, away: float) -> Any:
        """What another queue is to go on behind; ``None`` where nothing is known.

        It is for :meth:`kchat.transports.room.RoomPolicy.take_place`.

        Arguments:
            away: seconds since the connection was lost.
        """

    def join(self, connection: Connection, queue: str, after: Any) -> bool:
        """A queue was bound that goes on there; nothing of it was delivered yet.

        Arguments:
            connection: that it belongs to.
            queue: its name.
            after: of :meth:`after`, or ``None``.

        Returns:
            Whether nothing is missed. Not without ``after``, or where there is no history.

        Raises:
            amqp.exceptions.AMQPError: the connection is lost, or something else is wrong.
        """

    def take(self, delivery: Delivery) -> bool:
        """Whether the next delivery is to be handed over, or was before; from then on it was."""

    @property
    def is_behind(self) -> bool:
        """Whether some of what was missed may still come."""

    def take_count(self) -> int:
        """The number of messages that were missed and have been handed over since."""


class HistoryPolicy:
    """What a room's history is on a broker. Here: there is none beside the queues.

    Arguments:
        room: what the room is there.
    """

    by_host: ClassVar[bool] = False
    """Whether a room has none until the host switches it on."""
    limits_by_host: ClassVar[bool] = False
    """Whether the host can change its limits, look at it and clear it, although every room has one."""
    by_size: ClassVar[bool] = True
    """Whether it has a limit in bytes, too, or only one of time: ``max_size`` means nothing then."""
    beside: ClassVar[bool] = False
    """Whether it is read beside the queue, with :meth:`reader`."""
    takes_everything: ClassVar[bool] = False
    """Whether a message counts as routed where only the history takes it, so that nobody knows whether somebody listens."""
    needs: ClassVar[str] = "use the account of the room's host"
    """What to do where the account may not switch it on or off; a hint as of :class:`kchat.errors.Hint`."""
    counts_missing: ClassVar[bool] = False
    """Whether a reader's :attr:`~HistoryReader.missing` is exact."""
    by_number: ClassVar[bool] = True
    """Whether a subscriber can begin with a number of messages; else by time alone."""

    def __init__(self, room: RoomPolicy) -> None:
        self._room = room

    # ---- the host's side

    def administer(self, management: Administration, broker: Broker) -> None:
        """Use an administrator's access too, where the methods below have a use for it. By default they have none.

        Arguments:
            management: of :meth:`kchat.transports.guests.Guests.management`.
            broker: where the room is.
        """

    def switch_on(self, channel: Channel, *, keep: float = KEEP, max_size: int = MAX_SIZE) -> None:
        """Keep what is sent from now on; where it is kept already, with other limits.

        Arguments:
            channel: a Kombu channel of an account with the right. It may be closed afterwards.
            keep: seconds. Default: a week.
            max_size: bytes. Default: 64 MiB.

        Raises:
            kchat.errors.Refused: this broker cannot.
            amqp.exceptions.AMQPError: it is not allowed, or something else is wrong.
        """
        raise NotImplementedError

    def check_off(self) -> None:
        """Whether :meth:`switch_off` is of use at all; by default it is.

        Raises:
            kchat.errors.Refused: it never is.
        """

    def check_clear(self) -> None:
        """Likewise for :meth:`clear`."""

    def switch_off(self, channel: Channel) -> None:
        """Keep nothing from now on, and forget what was kept. Harmless where it is off. Raises as :meth:`switch_on`."""
        raise NotImplementedError

    def clear(self, channel: Channel) -> None:
        """Forget what was kept. Raises as :meth:`switch_on`."""
        raise NotImplementedError

    def status(self, connection: Connection) -> HistoryStatus | None:
        """What is kept; ``None`` where it is off. Anybody who may read may ask."""
        raise NotImplementedError

    # ---- everybody's side

    def is_on(self, connection: Connection) -> bool | None:  # noqa: ARG002 - for those that know
        """Whether it is on; ``None``, as by default, where that is not known. Accounts that may only send may ask.

        Arguments:
            connection: connected.
        """
        return None

    def keeps_unrouted(self, connection: Connection, channel: Channel) -> bool | None:  # noqa: ARG002 - as above
        """Whether it has what was published last, and nobody was listening to; ``None`` where that is not known.

        Arguments:
            connection: connected.
            channel: by which it was published.
        """
        return self.is_on(connection)

    def newest(self, connection: Connection, *, known: bool = False) -> Any:
        """The position of the newest message, one before the first where it is empty; ``None`` where it is off.

        Arguments:
            connection: connected.
            known: it was on a moment ago, so after a restart of the broker it will be again.

        Raises:
            amqp.exceptions.AMQPError: this account may not read it, or something else is wrong.
        """
        raise NotImplementedError

    def reader(self, connection: Connection, begin: Begin, end: Any) -> HistoryReader:
        """Begin to read.

        Arguments:
            connection: connected.
            begin: where.
            end: up to where, with that: a position of :meth:`newest`.

        Raises:
            amqp.exceptions.AMQPError: this account may not read it, or something else is wrong.
        """
        raise NotImplementedError

    def position_at(self, connection: Connection, until: float, end: Any) -> Any:
        """The position of the last message that came before a point in time, by the broker's clock.

        Arguments:
            connection: connected.
            until: in UNIX seconds.
            end: a position of :meth:`newest`: the answer is not behind that.

        Raises:
            amqp.exceptions.AMQPError: this account may not read it, or something else is wrong.
        """
        raise NotImplementedError

    def position_of(self, kept: Kept) -> str | None:  # noqa: ARG002 - for those that know
        """The place of a message that a reader has handed over, as text: the same whenever it is read, also by others.

        No other message of the room has it, one of a history that was switched off and on again included. ``None``, as by
        default, where there is none.
        """
        return None

    def cursor(self) -> Cursor | None:
        """What goes on after a lost connection, where a queue begins with history by itself; ``None`` elsewhere."""
        return None

    def ask_waiting(self, channel: Channel, queue: str, answer: Callable[[int], None]) -> None:
        """Ask how many messages wait in a queue, behind those that it has delivered by then; tell it now or later.

        Arguments:
            channel: by which the queue is consumed from, in the order of which it is answered.
            queue: by its name.
            answer: called with the number.
        """
        raise NotImplementedError
