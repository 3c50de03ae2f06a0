"""The default mode: ``12:04:05 ada: hello``, a line per message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from kchat.display.escaping import most_cells, take_columns, width
from kchat.display.lines import TIME, Lines, color_of, in_room, local

if TYPE_CHECKING:
    from kchat.message import Message

_MOST_NAMES = 1024
_NARROWEST_NAME = 4  # columns, with what is behind it


class Plain(Lines):
    """The local time when the message was sent (or arrived, if it does not say), its username, its text.

    Lines after the first are indented: ``         | further``; on a terminal, so are rows after the first.
    With colour, each name has its own, and the time is dim. :mod:`kchat.display.names` explains the marks of names.

    Where the day changes there is a line, ``-- Fri 20 Nov 2026 --``, also before a first message that is not of today;
    with ``date``, each message has its date instead. With ``utc``, times end in Z.
    """

    ROW: ClassVar[str] = "([0-9]{4}-[0-9]{2}-[0-9]{2} )?[0-9]{2}:[0-9]{2}:[0-9]{2}Z? "
    DAY: ClassVar[str] = "(--|──) [A-Z][a-z]{2} [0-9]{1,2} [A-Z][a-z]{2} [0-9]+( UTC)? (--|──)"

    def __init__(self, stream: TextIO, *, utc: bool = False, date: bool = False, **options: Any) -> None:
        self._form = ("%Y-%m-%d " if date else "") + "%H:%M:%S" + ("Z" if utc else "")
        self._lead = TIME + (len("2026-05-01 ") if date else 0) + (len("Z") if utc else 0)
        self._unwrapped = self._wrapped = " " * self._lead + "| "
        super().__init__(stream, utc=utc, date=date, **options)
        self._day = tuple(local(self._clock(), utc=utc)[:3])
        self._names: dict[tuple[str | None, str | None], tuple[str, int]] = {}
        self._named_for = self._columns
        self._second = -1
        self._shown_time = ""

    def show(self, message: Message) -> None:
        """Add the message's line or lines."""
        sent_at = message.sent_at
        second = int(self._clock() if sent_at is None else sent_at.timestamp())
        if second != self._second:
            self._second = second
            moment = local(second, utc=self._utc)
            if moment[:3] != self._day and not self._date:
                self._begin_day(moment)
            self._shown_time = f"{self._dim(time.strftime(self._form, moment))} "
        username, account = message.username, message.account
        if self._columns != self._named_for:
            self._named_for = self._columns
            self._names.clear()
        known = self._names.get((username, account))
        if known is None:
            known = self._meet(username, account)
        room = in_room(message)
        columns = self._lead + width(room, most_cells) + known[1]
        self._write(f"{self._shown_time}{self._dim(room)}{known[0]}", columns, self._text(message))

    def _begin_day(self, moment: time.struct_time) -> None:
        """Write the line above the messages of another day. No message's line begins like it."""
        self._day = moment[:3]
        edge = "──" if self._output.is_terminal and self._output.has("─") else "--"
        day = f"{time.strftime('%a', moment)} {moment.tm_mday} {time.strftime('%b', moment)} {moment.tm_year}"
        line = f"{edge} {day}{' UTC' if self._utc else ''} {edge}"
        self._output.write(f"{self._dim(take_columns(line, self._columns or len(line)))}\n")

    def _meet(self, username: str | None, account: str | None) -> tuple[str, int]:
        """The name as shown, with its colon, and how wide it is."""
        if self._names_shown.meet(account):
            self._names.clear()
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
        room = most = max(_NARROWEST_NAME, self._columns - self._lead - len(": ")) if self._columns else 0
        while True:
            shown, behind = self._names_shown.sign(username, account, room)
            if room <= _NARROWEST_NAME or width(shown, most_cells) + width(behind, most_cells) <= most:
                return shown, behind
            room -= 1
