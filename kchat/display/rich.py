"""The mode ``rich``: a live table that fills the terminal, the newest message on top."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TextIO

from rich.box import SIMPLE_HEAD
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from kchat.display.escaping import cautious_cells, take_columns, width
from kchat.display.lines import color_of, wrap
from kchat.display.names import Names
from kchat.display.output import Output
from kchat.display.rows import FULL_TIME, Rows, when
from kchat.message.truncation import truncation_mark, utf8_size
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.message import Message

REDRAW = 0.1
"""Seconds from one drawing of the table to the next, at least."""

_SHARE = 8  # one part of the time for drawing, at most, and seven for messages
_LONGEST_PAUSE = 0.3  # seconds, however long drawing takes
_KEPT = 256  # messages, for the tallest terminal that there may be
_KEPT_TEXT = 8192  # characters of each: more than half of any screen
_STATUS = 10.0  # seconds that a status line stays at least
_GAP = 2  # columns between the table's columns

# DEC private modes: 1049 the alternate screen, 25 the cursor, 7 wrapping at the right margin. Without the last, text
# that the terminal shows wider than Unicode says is cut at the margin, instead of pushing the table out of shape.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = "\x1b[?1049l"
_AS_BEFORE = "\x1b[?7h\x1b[?25h"
_CLEAR = "\x1b[2J"


class _Row(NamedTuple):
    username: str | None
    account: str | None
    seconds: float
    text: str
    total: int


class Rich:
    """A table with the columns Username, Date / time and Message, drawn again as messages come.

    It holds the messages that the terminal has room for and follows its size. Each takes at most half of the
    screen; what is longer is cut, with a mark and its size. It stands on the terminal's alternate screen; at the end
    its last state is written to the normal one, where one can scroll back to it. Where the output is not a terminal, or
    one that cannot be drawn on, the rows are written as they come, the newest last.

    Its arguments are those of :class:`kchat.display.Factory`; every row has its date.

    Attributes:
        live: whether it draws on the whole screen.
        hint: how to end it, for the last line.
        tick: seconds between looks at the size of the screen and at keys, when nothing comes.
    """

    ROW: ClassVar[str] = "(?! |Username).{8,}?  [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}  "

    LONGEST: ClassVar[int] = Rows.LONGEST

    def __init__(
        self,
        stream: TextIO,
        *,
        color: bool | None = None,
        mark_unverified: bool = False,
        own: str | None = None,
        utc: bool = False,
        date: bool = False,
        tell: Callable[[str], object] = lambda text: None,  # noqa: ARG005 - nobody is told
    ) -> None:
        self._output = Output(stream)
        self.live = self._output.is_terminal and os.environ.get("TERM") != "dumb"
        self.hint = "Ctrl+C ends"
        self.tick = REDRAW if self.live else 1.0
        self._lines = Rows(
            stream, color=False, mark_unverified=mark_unverified, own=own, utc=utc, date=date, tell=tell
        )
        self._names = Names(own, mark_unverified=mark_unverified, tell=tell)
        self._utc = utc
        self._console = Console(
            file=stream,
            force_terminal=self.live,
            no_color=not (self._output.color if color is None else color),
            markup=False,
            emoji=False,
            highlight=False,
        )
        self._rows: deque[_Row] = deque(maxlen=_KEPT)
        self._title = ""
        self._status = ""
        self._status_at = 0.0
        self._status_count = 0
        self._name_width = len("Username")
        self._count = 0
        self._rate = 0.0
        self._counted = (0, time.monotonic())
        self._screen = (0, 0)
        self._drawn_at = 0.0
        self._pause = REDRAW
        self._stale = True
        self._is_open = False

    def open(self, title: str) -> None:
        """Take over the screen, and draw the empty table."""
        self._title = escape_unprintable(title, keep_newlines=False)
        if not self.live:
            self._lines.open(title)
            self._lines.flush()
            return
        self._is_open = True
        self._output.write(_ENTER)
        self._screen = (0, 0)
        self._drawn_at = -math.inf
        self.flush()

    def suspend(self) -> None:
        """Give the screen back, as it was, until :meth:`open` is called again."""
        self._leave("")

    def show(self, message: Message) -> None:
        """Remember the message, or as much of it as a screen can show."""
        if not self.live:
            self._lines.show(message)
            return
        self._names.meet(message.account)
        text = message.text
        sent_at = message.sent_at
        row = _Row(
            None if message.username is None else message.username[:_KEPT_TEXT],
            message.account,
            time.time() if sent_at is None else sent_at.timestamp(),
            text[:_KEPT_TEXT],
            0 if len(text) <= _KEPT_TEXT else len(message.body) if message.problem else utf8_size(text),
        )
        self._count += 1
        self._rows.append(row)
        self._stale = True

    def flush(self) -> bool:
        """Draw, if there is something new to show and the last time is long enough ago; otherwise return False."""
        if not self.live:
            return self._lines.flush()
        now = time.monotonic()
        if now - self._drawn_at < self._pause:
            return not self._stale
        self._measure_rate(now)
        screen = self._output.size() or (80, 24)
        if screen != self._screen:
            self._screen = screen
            self._stale = True
            self._output.write(_CLEAR)
        if self._stale and self._is_open:
            self._drawn_at = now
            self._stale = False
            self._draw(*screen)
            self._output.flush()
            # On a slow or busy machine drawing takes no more than its share; but somebody is watching.
            self._pause = min(max(REDRAW, _SHARE * (time.monotonic() - now)), _LONGEST_PAUSE)
        return True

    def status(self, text: str) -> None:
        """Show a line below the table: for ten seconds, and until a message comes."""
        self._status = escape_unprintable(text, keep_newlines=False)
        self._status_at = time.monotonic()
        self._status_count = self._count
        self._stale = True

    def close(self) -> None:
        """Give the screen back, with the table as it was at last behind what stood there before."""
        self._lines.close()
        if not (self._is_open and self._rows):
            return self._leave("")
        columns, lines = self._output.size() or (80, 24)
        rows = [take_columns(self._title, columns, cautious_cells), *self._table(columns, max(1, lines - 2))]
        return self._leave("".join(f"{row.rstrip()}\n" for row in rows))

    def _leave(self, farewell: str) -> None:
        self._output.discard()
        if self._is_open:
            self._is_open = False
            # The last rows come before wrapping is switched on again: they are as wide as the screen.
            self._output.write(f"{_LEAVE}{farewell}{_AS_BEFORE}")
            try:
                self._output.flush()
            except OSError:  # the terminal is gone, and with it what there was to restore
                self._output.discard()

    def _measure_rate(self, now: float) -> None:
        count, since = self._counted
        if now - since >= 1:
            rate = (self._count - count) / (now - since)
            self._stale = self._stale or rate != self._rate
            self._rate = rate
            self._counted = (self._count, now)
            if self._status and now - self._status_at >= _STATUS and self._count > self._status_count:
                self._status = ""

    def _draw(self, columns: int, lines: int) -> None:
        """Write a frame of exactly this number of lines."""
        frame = [take_columns(self._title, columns, cautious_cells)] if lines >= 10 else []
        if lines >= 3:
            frame += self._table(columns, lines - len(frame) - 1)
        frame += [""] * (lines - 1 - len(frame))
        frame.append(take_columns(self._caption(), columns, cautious_cells))
        at = "".join(f"\x1b[{number};1H\x1b[2K{line}" for number, line in enumerate(frame, 1))
        self._output.write(at)

    def _caption(self) -> str:
        messages = f"{self._count:,} message{'' if self._count == 1 else 's'}"
        rate = f", {self._rate:,.0f}/s" if self._rate >= 1 else ""
        return f"{messages}{rate}  {self._status or self.hint}"

    def _table(self, columns: int, lines: int) -> list[str]:
        """The table in at most this number of lines: header, rule (where there is room) and the rows that fit."""
        has_rule = lines >= 6
        time_width = FULL_TIME if columns >= 60 else 8 if columns >= 32 else 5
        names = ("".join(self._signature(row)) for row in list(self._rows)[-lines:])
        widest = max((width(name, cautious_cells) for name in names), default=0)
        self._name_width = max(self._name_width, widest)  # never narrower: a table that jumps is hard to read
        name_width = min(self._name_width, max(4, (columns - time_width - 2 * _GAP) // 3))
        text_width = max(1, columns - time_width - name_width - 2 * _GAP)
        table = Table(box=SIMPLE_HEAD if has_rule else None, width=columns, padding=0, show_edge=False)
        table.header_style = "bold"
        gap = _GAP - 1 if has_rule else _GAP  # the box has one more column between two
        header = "Date / time" if time_width == FULL_TIME else "Time"
        table.add_column("Username"[:name_width], width=name_width + gap, no_wrap=True, overflow="crop")
        table.add_column(header, width=time_width + gap, no_wrap=True, overflow="crop")
        table.add_column("Message", width=text_width, no_wrap=True, overflow="crop")
        room = lines - (2 if has_rule else 1)
        most = max(1, min(room, max(3, room // 2)))
        for row in reversed(self._rows):
            if room <= 0:
                break
            text = _fit(row, text_width, min(most, room))
            room -= len(text)
            shown, behind = self._signature(row, name_width)
            style = "dim" if row.username is None else Style(color=Color.from_ansi(color_of(shown)))
            who = Text(shown, style=style).append(behind, style="not bold dim default")
            moment = Text(when(row.seconds, time_width, utc=self._utc), style="dim")
            table.add_row(who, moment, Text("\n".join(text)))
        self._console.size = (columns, lines)
        with self._console.capture() as captured:
            self._console.print(table)
        return captured.get().rstrip("\n").split("\n")

    def _signature(self, row: _Row, columns: int = 0) -> tuple[str, str]:
        return self._names.sign(row.username, row.account, columns)


def _fit(row: _Row, columns: int, most: int) -> list[str]:
    """A message's lines, up to this number, the last one with a mark if there are more."""
    lines = wrap(escape_unprintable(row.text).rstrip("\n"), columns).split("\n")
    if len(lines) <= most and not row.total:
        return lines
    ending = truncation_mark(row.total or utf8_size(row.text))
    if width(ending) > columns:
        ending = "…"[:columns]
    lines = lines[:most]
    lines[-1] = take_columns(lines[-1], columns - width(ending), cautious_cells) + ending
    return lines
