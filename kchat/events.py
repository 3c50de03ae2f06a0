"""What happens to the connection of a sender or subscriber: its ``on_event`` is called with one of these.

``str(event)`` is a line to show. It may contain text from a broker: escape it before it reaches a terminal.
Named tuples are made in a fifth of the time that dataclasses take, which a command that sends one message would notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kchat.errors import KchatError


class Reconnecting(NamedTuple):
    """The broker is unreachable; kchat tries again.

    Attributes:
        error: why the last attempt failed.
        seconds: the pause before the next attempt.
        attempt: the number of failed attempts since it last worked: 1, 2, 3, ...
    """

    error: KchatError
    seconds: float
    attempt: int

    def __str__(self) -> str:
        return f"{self.error}; trying again in {self.seconds:.1f} s (attempt {self.attempt})"


class Disconnected(NamedTuple):
    """The connection was lost, with ``error``; kchat reconnects."""

    error: KchatError

    def __str__(self) -> str:
        return f"connection lost: {self.error}"


class Reconnected(NamedTuple):
    """It is connected again, after ``seconds``, to ``where``: a room and its broker.

    ``durable``, of a subscriber: a durable queue kept the messages meanwhile. ``caught_up``: the number of messages that it
    has read since from the room's history, ``None`` where there is none; ``missing``: of those that this did not keep any
    more, ``about`` that number where it is not exact, -1 where some may be missing and nobody can know how many.
    ``unconfirmed``, of a sender: the number of messages that it sends again; ``None`` of a subscriber. ``room``: its
    name, of a subscriber to several.
    """

    where: str
    seconds: float
    durable: bool = False
    unconfirmed: int | None = None
    caught_up: int | None = None
    missing: int = 0
    about: bool = False
    room: str = ""

    def __str__(self) -> str:
        if self.unconfirmed is not None:
            again = f"sending {self.unconfirmed} unconfirmed messages again"
            return f"connected again to {self.where} after {self.seconds:.1f} s; {again}"
        if self.caught_up is not None:
            return f"listening again on {self.where} after {self.seconds:.1f} s; {self.missed}"
        missed = (
            "its queue kept the messages sent meanwhile"
            if self.durable
            else "messages sent meanwhile may have been missed"
        )
        return f"listening again on {self.where} after {self.seconds:.1f} s; {missed}"

    @property
    def missed(self) -> str:
        """Of a subscriber: what it has missed, in a few words."""
        if self.caught_up is not None:
            return f"{_messages(self.caught_up)} caught up{_lost(self.missing, self.about)}"
        return "nothing was missed" if self.durable else "messages may be missing"


class Dropped(NamedTuple):
    """Messages to a subscriber were dropped because it was too slow: its queue at the broker was full.

    ``count``: how many, by the numbers that kchat's senders give to their messages; ``None`` where that is not known, and
    then the loss is not certain either. ``at_least``: there were messages without numbers, too. ``pruned``: not a
    queue, but the room itself removed them to stay within its limits. ``queue``: the durable queue that was full.
    ``room``: as of :class:`Reconnected`.
    """

    count: int | None  # type: ignore[assignment]  # a tuple has a method of that name
    at_least: bool = False
    pruned: bool = False
    queue: str = ""
    room: str = ""

    def __str__(self) -> str:
        return _of(self.room, self._text)

    @property
    def _text(self) -> str:
        slow = "this reader was too slow, and its queue at the broker was full"
        if self.pruned:
            slow = "this reader was too slow, and the room's history is full"
        if self.queue:
            slow = f"the durable queue {self.queue} was full"
        if self.count is None:
            return f"messages may have been dropped: {slow}"
        many = "1 message was dropped" if self.count == 1 else f"{self.count:,} messages were dropped"
        return f"{'at least ' if self.at_least else ''}{many}: {slow}"


class CaughtUp(NamedTuple):
    """A subscriber was too slow for its queue, and has read from the room's history what that dropped.

    ``count``: the number of messages. ``missing``: of those that the history did not hold any more, ``about`` that number
    where it is not exact, -1 as of :class:`Reconnected`, as is ``room``.
    """

    count: int  # type: ignore[assignment]  # a tuple has a method of that name
    missing: int = 0
    about: bool = False
    room: str = ""

    def __str__(self) -> str:
        return _of(
            self.room,
            f"this reader was too slow, and its queue at the broker was full; "
            f"{_messages(self.count)} caught up from the room's history{_lost(self.missing, self.about)}",
        )


def _of(room: str, text: str) -> str:
    return f"{room}: {text}" if room else text


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def _lost(count: int, about: bool) -> str:  # noqa: FBT001 - next to the number
    if count < 0:
        return ", others may be lost: the room's history has lost something itself"
    return (
        f", {'about ' if about else ''}{_messages(count)} lost: its limits had removed them" if count else ""
    )


class WaitingForSubscribers(NamedTuple):
    """A sender is connected again, but the subscribers are not yet: it waits for them, up to ``seconds``."""

    seconds: float

    def __str__(self) -> str:
        return f"nobody is listening yet; waiting up to {self.seconds:.0f} s"


class Blocked(NamedTuple):
    """The broker refuses messages for now, and gives the ``reason`` (``connection.blocked``)."""

    reason: str

    def __str__(self) -> str:
        return f"the broker is refusing messages: {self.reason}"


class Notice(NamedTuple):
    """Anything else that the transport reports, as ``text`` for people."""

    text: str

    def __str__(self) -> str:
        return self.text


class Person(NamedTuple):
    """Somebody who is here.

    ``account``: the authenticated account, where the broker has checked it; ``None`` where it has not, or where only
    somebody else has said so. The name may be anything: escape it before it reaches a terminal.
    """

    username: str
    account: str | None = None


class People(NamedTuple):
    """Who is here, told when that changes to those who asked for it (``presence=True``).

    ``here``: those who are known by name, sorted by it, each once, with however many windows. ``count``: how many are here;
    more than are known by name in a large room. ``more``: there are more than could be counted.
    """

    here: tuple[Person, ...] = ()
    count: int = 0  # type: ignore[assignment]  # a tuple has a method of that name
    more: bool = False

    @property
    def names(self) -> list[str]:
        """The names, sorted, each once."""
        return list(dict.fromkeys(person.username for person in self.here))

    def __str__(self) -> str:
        return f"{'more than ' if self.more else ''}{self.count:,} here"


class Unblocked:
    """The broker accepts messages again (``connection.unblocked``)."""

    __slots__ = ()

    def __str__(self) -> str:
        return "the broker accepts messages again"


Event = (
    Reconnecting
    | Disconnected
    | Reconnected
    | Dropped
    | CaughtUp
    | WaitingForSubscribers
    | Blocked
    | Unblocked
    | Notice
    | People
)


def as_object(event: Event) -> dict[str, object]:
    """An event as JSON has it: its ``type``, such as ``caught_up``, its attributes, and its ``text`` for people.

    The ``room`` is there where there are several.

    Arguments:
        event: what happened. Of an error, its text stands there.
    """
    name = type(event).__name__
    kind = name[0].lower() + "".join(f"_{each.lower()}" if each.isupper() else each for each in name[1:])
    fields = {} if isinstance(event, Unblocked) else event._asdict()
    if not fields.get("room"):
        fields.pop("room", None)
    return {
        "type": kind,
        **{key: str(value) if isinstance(value, Exception) else value for key, value in fields.items()},
        "text": str(event),
    }


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The default ``on_event``."""
