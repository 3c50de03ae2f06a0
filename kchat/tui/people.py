"""Who is in a room, as the window asks for it. The caller that opens the window provides it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class Here(Protocol):
    """Who is in a room, as what knows it tells; with the attributes of :class:`People`."""

    @property
    def names(self) -> Sequence[str]:
        """The usernames that are known."""

    @property
    def count(self) -> int:
        """The number of people."""


class Presence(Protocol):
    """Knows who is in one room, and tells the room that this user is."""

    def close(self) -> None:
        """Leave: this user is not there any more."""


PresenceOf = Callable[["Settings", str, Callable[[Here], object]], "Presence | None"]
"""Makes the presence of a username in a room, when the room is joined; ``None`` where the transport has none. It calls back,
from any thread, with who is there, whenever that has changed. It does not block."""


def nobody_knows(
    _settings: Settings, _username: str, _on_people: Callable[[Here], object]
) -> Presence | None:
    """The default: who is there is not known."""
    return None
