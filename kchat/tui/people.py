"""Who is in a room, as the window asks for it. What knows that is handed over by whoever opens the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from kchat.config.settings import Settings


class People(NamedTuple):
    """Who is in a room.

    Attributes:
        names: the usernames that are known, in the order to show; fewer than ``count`` in a crowd.
        count: the number of people.
    """

    names: tuple[str, ...]
    count: int  # type: ignore[assignment]  # a tuple has a method of that name


class Presence(Protocol):
    """Knows who is in one room, and tells the room that this user is. Its methods do not block."""

    def people(self) -> People:
        """Who is there now, this user included."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call back when :meth:`people` has changed; from any thread."""

    def close(self) -> None:
        """Leave: this user is not there any more."""


PresenceOf = Callable[["Settings", str], "Presence | None"]
"""Makes the presence of a username in a room, when the room is joined; ``None`` where the transport has none."""


def nobody_knows(_settings: Settings, _username: str) -> Presence | None:
    """The default: who is there is not known."""
    return None
