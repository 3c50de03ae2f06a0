"""The default mode: ``12:04:05 ada: hello``, a line per message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from kchat.display.escaping import indent_block, most_cells, width
from kchat.display.lines import Lines, color_of, local
from kchat.display.names import signature

if TYPE_CHECKING:
    from kchat.message import Message

_MOST_NAMES = 1024
_TIME = len("12:04:05 ")
_NARROWEST_NAME = 4  # columns, with what is behind it


class Plain(Lines):
    """The local time when the message was sent (or arrived, if it does not say), its username, its text.

    Lines after the first are indented: ``         | further``; on a terminal, so are rows after the first.
    With colour, each name has its own, and the time is dim. :mod:`kchat.display.names` explains the marks of names.
    """

    ROW: ClassVar[str] = "[0-9]{2}:[0-9]{2}:[0-9]{2} "

    def __init__(self, stream: TextIO, **options: Any) -> None:
        super().__init__(stream, **options)
        self._names: dict[tuple[str | None, str | None], tuple[str, int]] = {}
        self._named_for = self._columns
        self._second = -1
        self._clock = ""

    def show(self, message: Message) -> None:
        """Add the message's line or lines."""
        sent_at = message.sent_at
        second = int(time.time() if sent_at is None else sent_at.timestamp())
        if second != self._second:
            self._second = second
            clock = time.strftime("%H:%M:%S", local(second))
            self._clock = f"\x1b[2m{clock}\x1b[0m " if self._color else f"{clock} "
        username, account = message.username, message.account
        if self._columns != self._named_for:
            self._named_for = self._columns
            self._names.clear()
        known = self._names.get((username, account))
        if known is None:
            known = self._meet(username, account)
        text = indent_block(message.text, self._indent, total=len(message.body) if message.problem else None)
        self._write(f"{self._clock}{known[0]}", _TIME + known[1], text)

    def _meet(self, username: str | None, account: str | None) -> tuple[str, int]:
        """The name as shown, with its colon, and how wide it is."""
        shown, behind = self._sign(username, account)
        columns = width(shown, most_cells) + width(behind, most_cells) + len(": ")
        behind = self._dim(behind)
        if self._color and username is not None:
            color = color_of(shown)
            shown = f"\x1b[{color + 30 if color < 8 else color + 82}m{shown}\x1b[0m"  # 30 to 37, 90 to 97
        known = (f"{shown}{behind}: ", columns)
        if username is None or len(username) <= 256:  # longer ones are not worth the memory
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            self._names[username, account] = known
        return known

    def _sign(self, username: str | None, account: str | None) -> tuple[str, str]:
        """The name and its mark; on a terminal short enough for one row with the time, however wide it is drawn."""
        room = most = max(_NARROWEST_NAME, self._columns - _TIME - len(": ")) if self._columns else 0
        while True:
            shown, behind = signature(username, account, mark_unverified=self._mark_unverified, columns=room)
            if account is not None and account == self._own:
                behind = ""
            if room <= _NARROWEST_NAME or width(shown, most_cells) + width(behind, most_cells) <= most:
                return shown, behind
            room -= 1
