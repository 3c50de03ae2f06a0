"""The report on a whole screen, drawn again and again: :class:`LiveReport`, what ``kchat stats --watch`` shows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

from kchat.archive.terminal import glyphs_for, report
from kchat.display.escaping import cautious_cells, take_columns, width
from kchat.display.output import Output
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

# DEC private modes: 1049 the alternate screen, 25 the cursor, 7 wrapping at the right margin, as the live table has them.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = "\x1b[?1049l\x1b[?7h\x1b[?25h"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
_REVERSE, _NORMAL = "\x1b[7m", "\x1b[0m"


class LiveReport:
    """The report on the alternate screen. What is longer than the screen is scrolled by keys.

    It is a display as :func:`kchat.cli.job_control.opened` takes it: it shares the screen with a shell.

    Arguments:
        stream: a terminal.
        color: True, False, or None for what the terminal and ``NO_COLOR`` say.

    Attributes:
        live: it has the whole screen.
        hint: how to end it, without keys.
        keys_hint: the same with keys.
    """

    live = True

    def __init__(self, stream: TextIO, *, color: bool | None = None) -> None:
        self._output = Output(stream)
        self._color = self._output.color if color is None else color
        self._glyphs = glyphs_for(self._output)
        self.hint = "Ctrl+C ends"
        self.keys_hint = "arrows and PgUp/PgDn scroll, q ends"
        self._stats: Stats | None = None
        self._read_at = ""
        self._trouble = ""
        self._lines: list[str] = []
        self._columns = 0
        self._top = 0
        self._is_open = False

    def open(self, title: str) -> None:  # noqa: ARG002 - the report has its own
        """Take the screen, and draw what there is."""
        self._is_open = True
        self._output.write(_ENTER)
        self.draw()

    def suspend(self) -> None:
        """Give the screen back until :meth:`open` is called again."""
        if self._is_open:
            self._is_open = False
            self._output.write(_LEAVE)
            try:
                self._output.flush()
            except OSError:  # the terminal is gone, and with it what there was to restore
                self._output.discard()

    close = suspend

    def update(self, stats: Stats) -> None:
        """Draw these figures, which were read just now."""
        if stats is not self._stats:
            self._stats, self._columns = stats, 0
        self._trouble = ""
        self._read_at = time.strftime("%H:%M:%S")
        self.draw()

    def fail(self, text: str) -> None:
        """Say that they could not be read again, and why; the last ones stay."""
        self._trouble = escape_unprintable(text, keep_newlines=False)
        self.draw()

    def press(self, key: str) -> None:
        """Scroll: ``up``, ``down``, ``pageup``, ``pagedown``, ``home``, ``end``."""
        page = max(1, self._room() - 1)
        steps = {"up": -1, "down": 1, "pageup": -page, "pagedown": page}
        self._top = {"home": 0, "end": len(self._lines)}.get(key, self._top + steps.get(key, 0))
        self.draw()

    def _size(self) -> tuple[int, int]:
        return self._output.size() or (80, 24)

    def _room(self) -> int:
        """Lines for the report: all but the last one."""
        return max(1, self._size()[1] - 1)

    def draw(self) -> None:
        """Draw the part of the report that is looked at, for the size that the terminal has now."""
        if not self._is_open:
            return
        columns, _ = self._size()
        if columns != self._columns and self._stats is not None:
            self._columns = columns
            self._lines = report(self._stats, columns, styled=True, color=self._color, glyphs=self._glyphs)
        room = self._room()
        self._top = max(0, min(self._top, len(self._lines) - room))
        shown = self._lines[self._top : self._top + room]
        shown += [""] * (room - len(shown))
        # Cleared first: behind a line as wide as the screen, the cursor stands on its last character.
        frame = "".join(f"{_CLEAR_LINE}{line}{_NORMAL}\r\n" for line in shown)
        self._output.write(f"{_HOME}{frame}{_CLEAR_REST}{_REVERSE}{self._status(columns)}{_NORMAL}")
        self._output.flush()

    def _status(self, columns: int) -> str:
        """The last line: trouble, else where one is, when the figures were read, and the keys."""
        if self._trouble:
            said = f" {self._trouble} (figures of {self._read_at}) "
        else:
            below = len(self._lines) - self._top - self._room()
            more = f"{below} more lines below" if below > 0 else "the end" if self._top else ""
            hint = self.hint if columns >= 60 or not more else "q ends"
            said = " " + ", ".join(filter(None, (more, f"read at {self._read_at}", hint))) + " "
        shown = take_columns(said, columns, cautious_cells)
        return shown + " " * (columns - width(shown, cautious_cells))
