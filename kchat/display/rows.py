"""The rows of the mode ``rich`` without a screen to draw on: in the order of arrival, the newest last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kchat.display.escaping import display_name, most_cells, width
from kchat.display.lines import Lines, in_room, local
from kchat.display.names import UNVERIFIED

if TYPE_CHECKING:
    from kchat.message import Message

FULL_TIME = len("2026-05-01 12:04:05")
_NAME_WIDTH = 16
_GAP = " " * 2


class Rows(Lines):
    """Columns for the name, the time and the message. On a terminal that cannot be drawn on, kchat breaks the rows."""

    _unwrapped = " " * (_NAME_WIDTH + FULL_TIME + 2) + "| "

    def open(self, title: str) -> None:  # noqa: ARG002 - there is no place for it
        """Write the header."""
        self._write(f"{'Username':<{_NAME_WIDTH}}{_GAP}{'Date / time':<{FULL_TIME}}{_GAP}", 0, "Message")

    def show(self, message: Message) -> None:
        """Add the message's row or rows."""
        sent_at = message.sent_at
        seconds = self._clock() if sent_at is None else sent_at.timestamp()
        self._names_shown.meet(message.account)
        behind = self._names_shown.mark(message.username, message.account)
        # An account is written out, since it tells who sent this: a long one moves the rest of its row.
        name = display_name(message.username, _NAME_WIDTH - (len(UNVERIFIED) if behind else 0)) + behind
        lead = (
            f"{name}{' ' * (_NAME_WIDTH - width(name))}{_GAP}{when(seconds, FULL_TIME, utc=self._utc)}{_GAP}"
            f"{in_room(message)}"
        )
        self._write(lead, width(lead, most_cells), self._text(message))


def when(seconds: float, columns: int, *, utc: bool = False) -> str:
    """Date and time, or the part that fits."""
    return time.strftime(
        {FULL_TIME: "%Y-%m-%d %H:%M:%S", 8: "%H:%M:%S"}.get(columns, "%H:%M"), local(seconds, utc=utc)
    )
