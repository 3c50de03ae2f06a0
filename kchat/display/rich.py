"""The mode ``rich``: a live table that fills the terminal, the newest message at the bottom."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, ClassVar, TextIO

from rich.console import Console

from kchat import events
from kchat.display import status_line
from kchat.display.backlog import Backlog
from kchat.display.escaping import cautious_cells, take_columns, width
from kchat.display.lines import wrap
from kchat.display.looking_back import Page, Position
from kchat.display.names import REMARK_NOT_CHECKED, Names
from kchat.display.output import Output
from kchat.display.rows import Rows
from kchat.display.table import Drawing, Shape
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.message import Message

REDRAW = 0.1
"""Seconds from one drawing of the table to the next, at least."""

_SHARE = 8  # one part of the time for drawing, at most, and seven for messages
_LONGEST_PAUSE = 0.3  # seconds, however long drawing takes
_STATUS = 10.0  # seconds that a status line stays at least
_LEFT = 500  # maximum number of messages that were never drawn and are left on the normal screen at the end
_LEAST_LEFT = 2  # lines of the table that are left, however small the screen: the header and a message
_WIDE = 60  # columns from which on the last line always says how to end
_APART = 2  # columns between the title and what is beside it
_LEAST_TITLE = 12  # columns of the title: with fewer, it stands alone

# DEC private modes: 1049 the alternate screen, 25 the cursor, 7 wrapping at the right margin. Without the last, text
# that the terminal shows wider than Unicode says is cut at the margin, instead of pushing the table out of shape.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = "\x1b[?1049l"
_AS_BEFORE = "\x1b[?7h\x1b[?25h"
_CLEAR = "\x1b[2J"
_DIM, _WARNING, _STRONG = (
    "2",
    "7",
    "1",
)  # parameters of SGR: not colours, which some screen would make unreadable


class Rich:
    """A table with the columns Username, Date / time and Message, drawn again as messages come.

    It follows the size of the terminal, and keeps the last messages to look back at: see :mod:`kchat.display.backlog`. Each
    takes at most half of the screen; what is longer is cut, with a mark and its size. It stands on the terminal's alternate
    screen; at the end its last state is written to the normal one, where one can scroll back to it, with what came
    in one burst before and was never drawn. Where the output is not a terminal, or one that cannot be drawn
    on, the rows are written as they come.

    Its arguments are those of :class:`kchat.display.Factory`; every row has its date.

    Attributes:
        live: whether it draws on the whole screen.
        hint: how to end it, for the last line.
        keys_hint: the same where it is given the keys.
        remark: a few words beside the title. Safe for a terminal.
        empty: the lines to show after a second without messages. Not safe for a terminal.
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._output = Output(stream)
        self.live = self._output.is_terminal and os.environ.get("TERM") != "dumb"
        self.hint = "Ctrl+C ends"
        self.keys_hint = "PgUp looks back · q ends"
        self.remark = ""
        self.empty = "No messages yet."
        self._lines = Rows(
            stream,
            color=False,
            mark_unverified=mark_unverified,
            own=own,
            utc=utc,
            date=date,
            tell=tell,
            clock=clock,
        )
        # Nobody is told: all rows are drawn again with the marks that they have then, and the heading says the rest.
        self._names = Names(own, mark_unverified=mark_unverified)
        console = Console(
            file=stream,
            force_terminal=self.live,
            no_color=not (self._output.color if color is None else color),
            markup=False,
            emoji=False,
            highlight=False,
        )
        self._drawing = Drawing(console, self._names, utc=utc)
        self._backlog = Backlog(clock)
        self._position = Position(self._backlog)
        self._seen = self._seen_messages = (
            0  # the place behind the newest row drawn, and the messages up to there
        )
        self._skipped: tuple[int, int] | None = None  # the same, before a burst that was too fast to be drawn
        self._title = ""
        self._said: status_line.Forms = ()
        self._said_at = 0.0
        self._said_after = 0  # messages
        self._lost_at: float | None = None
        self._rate = 0.0
        self._counted = (0, time.monotonic())
        self._is_quiet = False
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
        self.hurry()
        self.flush()

    def suspend(self) -> None:
        """Give the screen back, as it was, until :meth:`open` is called again."""
        self._leave("")

    def show(self, message: Message) -> None:
        """Remember the message, or as much of it as a screen can show."""
        if not self.live:
            self._lines.show(message)
            return
        names, account = self._names, message.account
        names.meet(account)
        if not names.left_out and names.is_shared(account):
            names.mark(
                message.username, account
            )  # whether marks are left out is known now, and not while it draws
        self._backlog.add(message)
        self._stale = True

    def flush(self) -> bool:
        """Draw, if there is something new to show and the last time is long enough ago; otherwise return False."""
        if not self.live:
            return self._lines.flush()
        now = time.monotonic()
        if now - self._drawn_at < self._pause:
            return not self._stale
        self._tick(now)
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

    def hurry(self) -> None:
        """Draw at the next flush, however long ago the last time is."""
        self._drawn_at = -math.inf

    def press(self, key: str) -> None:
        """Look back, or return to the newest messages: ``pageup``, ``pagedown``, ``up``, ``down``, ``home``, ``end``."""
        if not self.live or not self._is_open:
            return
        columns, lines = self._output.size() or (80, 24)
        shape = self._shape(columns, self._table_lines(lines))
        if shape.room and self._position.move(key, shape.room, lambda place: self._height(place, shape)):
            self._stale = True
            self.hurry()  # somebody waits for it

    def status(self, text: str) -> None:
        """Show a text on the last line, for ten seconds and until a message comes."""
        self._say((text,))

    def note(self, event: events.Event) -> None:
        """As :meth:`status`, in words for a narrow line, and without the broker's URL.

        Where messages may be missing, a row of the table says so, too.
        """
        now = time.monotonic()
        self.hurry()  # the attempt to connect, which comes next, may take a while
        if isinstance(event, events.Disconnected | events.Reconnecting):
            self._lost_at = now if self._lost_at is None else self._lost_at
            self._stale = True
            return
        forms = status_line.happened(event)
        if isinstance(event, events.Reconnected):
            self._lost_at = None
        if isinstance(event, events.Reconnected | events.Dropped | events.CaughtUp):
            self._backlog.add_notice(forms[0])
        self._say(forms)

    def close(self) -> None:
        """Give the screen back, with the table as it was at last behind what stood there before."""
        self._lines.close()
        if not (self._is_open and self._backlog.messages):
            return self._leave("")
        columns, lines = self._output.size() or (80, 24)
        rows = [
            take_columns(self._title, columns, cautious_cells),
            *self._last_rows(columns, max(_LEAST_LEFT, lines - 2)),
        ]
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

    def _say(self, forms: status_line.Forms) -> None:
        self._said = [escape_unprintable(form, keep_newlines=False) for form in forms]
        self._said_at, self._said_after = time.monotonic(), self._backlog.messages
        self._stale = True

    def _tick(self, now: float) -> None:
        """Once a second: the rate, and what the last line says of the time."""
        count, since = self._counted
        if now - since < 1:
            return
        messages = self._backlog.messages
        if not (self._is_quiet or messages):
            self._is_quiet = self._stale = True  # before that, the history may be on its way
        rate = (messages - count) / (now - since)
        self._stale = self._stale or rate != self._rate or self._lost_at is not None
        self._rate = rate
        self._counted = (messages, now)
        if self._said and now - self._said_at >= _STATUS and messages > self._said_after:
            self._said = ()
            self._stale = True

    # ---- drawing

    def _shape(self, columns: int, lines: int) -> Shape:
        end = self._backlog.end if self._position.end is None else self._position.end
        return self._drawing.shape(columns, lines, self._backlog.between(end - lines, end + lines))

    def _height(self, place: int, shape: Shape) -> int:
        return self._drawing.height(self._backlog[place], shape)

    @staticmethod
    def _table_lines(lines: int) -> int:
        """Those between the title, which a small screen lacks, and the last line; none in three lines."""
        return 0 if lines < 3 else lines - (2 if lines >= 10 else 1)

    def _draw(self, columns: int, lines: int) -> None:
        """Write a frame of exactly this number of lines."""
        frame: list[str] = []
        page = Page(0, 0, 0)
        if table_lines := self._table_lines(lines):
            shape = self._shape(columns, table_lines)
            page = self._position.page(shape.room, lambda place: self._height(place, shape))
            frame += self._drawing.draw(self._backlog.between(page.top, page.end), shape, page.hidden)
            if self._is_quiet and not self._backlog.end:
                frame += self._invitation(columns, shape.room)
        self._note_drawn(page)
        has_heading = lines >= 10
        if has_heading:  # after the rows, whose names say whether some are left without a mark
            frame.insert(0, self._heading(columns))
        frame = frame[: lines - 1] + [""] * (lines - 1 - len(frame))
        frame.append(self._last_line(columns, page, has_heading and self._has_room_for_remark(columns)))
        self._output.write("".join(f"\x1b[{number};1H\x1b[2K{line}" for number, line in enumerate(frame, 1)))

    def _note_drawn(self, page: Page) -> None:
        """Note which rows were on the screen, and which were not and have scrolled past it."""
        if self._skipped is not None and page.top < page.end and page.top <= self._skipped[0]:
            self._skipped = None  # somebody has looked back
        if page.end <= self._seen:
            return
        if page.top + (page.hidden > 0) <= self._seen:
            self._skipped = None
        elif self._skipped is None:
            self._skipped = self._seen, self._seen_messages
        self._seen, self._seen_messages = page.end, self._backlog[page.end - 1].number

    @property
    def _remark(self) -> str:
        return self.remark or (REMARK_NOT_CHECKED if self._names.left_out else "")

    def _has_room_for_remark(self, columns: int) -> bool:
        return columns - len(self._remark) - _APART >= _LEAST_TITLE

    def _heading(self, columns: int) -> str:
        title, room, remark = self._title, columns, self._remark
        if remark and self._has_room_for_remark(columns):
            room -= len(remark) + _APART
        if width(title, cautious_cells) > room:
            title = take_columns(title, room - 1, cautious_cells) + "…"[: room - 1]
        if room == columns:
            return title
        return f"{title}{' ' * (columns - width(title, cautious_cells) - len(remark))}\x1b[2m{remark}\x1b[0m"

    def _invitation(self, columns: int, room: int) -> list[str]:
        text = escape_unprintable(self.empty)
        return wrap(text, columns).split("\n")[:room]

    def _last_line(self, columns: int, page: Page, has_remark: bool) -> str:  # noqa: FBT001 - of this class alone
        messages = self._backlog.messages
        parts: list[status_line.Part] = []
        if self._lost_at is not None:
            forms = status_line.lost(time.monotonic() - self._lost_at)
            parts.append(status_line.Part(forms, _WARNING, optional=False))
        elif self._said:
            parts.append(status_line.Part(self._said, _WARNING, optional=False))
        ends = self.hint.rpartition(status_line.BETWEEN)[2]
        if self._position.end is not None and page.end > page.top:
            new = messages - self._seen_messages
            parts.append(status_line.Part(status_line.looking_back(new), _STRONG, optional=False))
            parts.append(status_line.Part((ends,), _DIM, columns < _WIDE, at_right=True))
            first, last = (self._backlog[place].number for place in (page.top, page.end - 1))
            parts.append(status_line.Part((f"{max(1, first):,} to {last:,} of {messages:,}",)))
        else:
            count = f"{messages:,} message{'' if messages == 1 else 's'}"
            rate = f", {self._rate:,.0f}/s" if self._rate >= 1 else ""
            hint = self.hint if page.top + (page.hidden > 0) > self._backlog.first else ends
            parts.append(status_line.Part((hint, ends), _DIM, columns < _WIDE, at_right=True))
            parts.append(status_line.Part((count + rate, count)))
        if self._remark and not has_remark:
            parts.append(status_line.Part((self._remark,), _DIM))
        return status_line.compose(columns, parts)

    def _last_rows(self, columns: int, lines: int) -> list[str]:
        """The newest rows, for the normal screen; with those before them that were too fast to be drawn."""
        self._position.end = None
        shape = self._shape(columns, lines)
        page = self._position.page(shape.room, lambda place: self._height(place, shape))
        self._note_drawn(page)
        top, hidden, note = page.top, page.hidden, []
        if self._skipped is not None and self._skipped[0] < top + (hidden > 0):
            top, hidden = max(self._skipped[0], self._backlog.first, page.end - _LEFT), 0
            if more := self._backlog[top].number - 1 - self._skipped[1]:
                note = [take_columns(f"… {more:,} more were too fast to be drawn", columns, cautious_cells)]
        head, *rows = self._drawing.draw(self._backlog.between(top, page.end), shape, hidden)
        return [head, *rows[: shape.has_rule], *note, *rows[shape.has_rule :]]
