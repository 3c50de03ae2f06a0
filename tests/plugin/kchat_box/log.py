"""The mode ``log``: ``2026-01-31T12:04:05.678Z ada: hello``."""

from __future__ import annotations

from typing import ClassVar

from kchat.display.escaping import indent_block, most_cells, width
from kchat.display.lines import INDENT, Lines
from kchat.display.names import signature
from kchat.message import Message, rfc3339


class Log(Lines):
    """A line for each message, with the time in UTC; further lines of a message are indented."""

    ROW: ClassVar[str] = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z "

    def show(self, message: Message) -> None:
        """Add the message's line or lines."""
        when = rfc3339.now() if message.sent_at is None else rfc3339.text(message.sent_at)
        name = "".join(signature(message.username, message.account, mark_unverified=self._mark_unverified))
        text = indent_block(message.text, INDENT, total=len(message.body) if message.problem else None)
        lead = f"{when} {name}: "
        self._write(lead, width(lead, most_cells), text)
