"""What the transport tells the user of a connection, besides messages and errors.

A callback that was set by :meth:`.connection.Connection.tell` gets it; without one it is logged as a warning.
"""

from __future__ import annotations

from typing import NamedTuple


class Dropped(NamedTuple):
    """Messages were dropped from ``queue`` while nobody read it: it held more than the room's limits allow."""

    queue: str
    messages: int

    def __str__(self) -> str:
        what = "1 message was" if self.messages == 1 else f"{self.messages} messages were"
        return f"{what} dropped while nobody read the queue {self.queue}"


class Ignored(NamedTuple):
    """Something that the URL asks for does not count; ``text`` says what, and why."""

    text: str

    def __str__(self) -> str:
        return self.text


Notice = Dropped | Ignored
