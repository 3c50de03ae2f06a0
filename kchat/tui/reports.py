"""What the threads at the broker tell the window. Each report names its room."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kchat.errors import KchatError
    from kchat.events import Event, People
    from kchat.message import Message


class Joined(NamedTuple):
    """The room is joined: from now on, nothing that is sent there is missed."""

    room: str
    has_history: bool = False
    """Whether it has one to look further back in."""


class Arrived(NamedTuple):
    """Messages have arrived, in this order."""

    room: str
    messages: list[Message]


class Older(NamedTuple):
    """Messages from the room's history, from before the oldest that the window has; none where there are none.

    ``messages`` is None where the history could not be read.
    """

    room: str
    messages: list[Message] | None


class Sent(NamedTuple):
    """The broker has confirmed a message. ``routed``: whether anybody was listening; ``None`` where it does not say."""

    room: str
    id: str
    routed: bool | None


class NotSent(NamedTuple):
    """A message was not sent, or that is not known."""

    room: str
    id: str
    error: KchatError


class Happened(NamedTuple):
    """Something happened to a connection. ``sending``: to that of the sender."""

    room: str
    event: Event
    sending: bool


class Failed(NamedTuple):
    """The room cannot be read, or no longer. ``joined``: whether it could be before."""

    room: str
    error: KchatError
    joined: bool


class PeopleChanged(NamedTuple):
    """Others are there than before."""

    room: str
    people: People


Report = Joined | Arrived | Older | Sent | NotSent | Happened | Failed | PeopleChanged
