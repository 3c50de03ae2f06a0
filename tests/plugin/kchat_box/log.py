"""The mode ``log``: ``2026-01-31T12:04:05.678Z ada: hello``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TextIO

from kchat import Message
from kchat.display.escaping import display_name, indent_block


class Log:
    """A line for each message, with the time in UTC; further lines of a message are indented."""

    ROW = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z "

    def __init__(
        self,
        stream: TextIO,
        *,
        color: bool | None = None,
        mark_unverified: bool = False,
        own: str | None = None,
    ) -> None:
        self._stream = stream
        self._mark_unverified = mark_unverified
        self._lines: list[str] = []

    def open(self, title: str) -> None:
        """Nothing."""

    def show(self, message: Message) -> None:
        """Keep the message's line or lines until they are flushed."""
        when = (message.sent_at or datetime.now(UTC)).astimezone(UTC)
        mark = " ?" if self._mark_unverified and not message.verified else ""
        text = indent_block(
            message.text, " " * 9 + "| ", total=len(message.body) if message.problem else None
        )
        moment = when.replace(tzinfo=None).isoformat(timespec="milliseconds")
        self._lines.append(f"{moment}Z {display_name(message.username)}{mark}: {text}\n")

    def flush(self) -> bool:
        """Write them."""
        self._stream.write("".join(self._lines))
        self._lines.clear()
        self._stream.flush()
        return True

    def status(self, text: str) -> None:
        """Nothing: a log is of messages."""

    def close(self) -> None:
        """Forget what is not written: it is not acknowledged either."""
        self._lines.clear()
