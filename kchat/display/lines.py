"""The common part of displays that write one or more lines per message."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TextIO
from zlib import crc32

from kchat.display.escaping import (
    cautious_cells,
    display_name,
    expand_tabs,
    indent_block,
    most_cells,
    take_columns,
    width,
)
from kchat.display.names import Names
from kchat.display.output import Output

if TYPE_CHECKING:
    from kchat.message import Message

WHOLE = 2 << 20
"""Maximum size of a body that is written whole to a file or pipe, in bytes. Of a larger one comes what a terminal gets."""

TIME = len("12:04:05 ")
"""Columns of the time before a name, without date or zone."""

INDENT = " " * TIME + "| "
"""Put before all lines of a message but the first, so that none of them looks like another message."""

_SHORT_INDENT = "| "
_NARROWEST = 20  # a column of text that is narrower than this gets the short indent

# DEC private mode 7, wrapping at the right margin. Without it, text that a terminal draws wider than usual is cut off
# instead of beginning a line.
_NO_WRAP = "\x1b[?7l"
_WRAP = "\x1b[?7h"

# In these locales Greek, Cyrillic and other scripts may be wide, as in their own character sets (UAX 11, ambiguous).
_WIDE_LOCALES = ("zh", "ja", "ko")
_COLORS = (
    6,
    2,
    3,
    5,
    4,
    14,
    10,
    11,
    13,
    12,
)  # no red: it would look like an error; nor black, white and grey


class Lines:
    """The parts of a display that do not depend on the mode.

    Its arguments are those of :class:`kchat.display.Factory`, and:

    Arguments:
        clock: returns the UNIX time now, in seconds: what day it is when the display is made, and the time of a message that
            does not say when it was sent. Default: the system's clock.
    """

    LONGEST: ClassVar[int] = 10 * WHOLE
    """See :class:`kchat.display.Display`; an escape such as \\U000e0041 has ten bytes, and its character four."""

    _unwrapped = INDENT
    """The indent where rows are not wrapped."""

    _wrapped = INDENT
    """The indent on a terminal that is not narrow."""

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
        self._mark_unverified = mark_unverified
        self._names_shown = Names(own, mark_unverified=mark_unverified, tell=tell)
        self._utc = utc
        self._date = date
        self._clock = clock
        self._color = self._output.color if color is None else color
        self._is_dumb = os.environ.get("TERM") == "dumb"
        locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
        self._cells = most_cells if self._is_dumb or locale.startswith(_WIDE_LOCALES) else cautious_cells
        self._measure()

    def open(self, title: str) -> None:
        """Nothing: the lines speak for themselves."""

    def flush(self) -> bool:
        """Write all lines."""
        self._output.flush()
        if self._output.is_terminal:
            self._measure()
        return True

    def status(self, text: str) -> None:
        """Nothing: standard output is for messages, and may be read by a program."""

    def close(self) -> None:
        """Discard unflushed messages: they are not acknowledged either, and go to the next reader."""
        self._output.discard()

    def _text(self, message: Message) -> str:
        """The message's text for :meth:`_write`: whole in a file or pipe, unless it is longer than any person's."""
        size = len(message.body)
        whole = not self._output.is_terminal and size <= WHOLE
        total = size if message.problem else None
        return indent_block(message.text, self._indent, total=total, tabs=True, whole=whole)

    def _write(self, lead: str, columns: int, text: str, behind: str = "") -> None:
        """Write a message's lines. On a terminal only the lead and the indent are at the left margin.

        The lead, before the text, has at most ``columns`` columns in any terminal; what is behind the text is dim where
        there is colour. The text is of :meth:`_text`. A file or pipe gets tabs as they are; on a terminal they are as many
        spaces as the terminal would leave, or it could not be known how wide a row is.
        """
        room = self._columns
        if room and "\t" in text:
            text = expand_tabs(text, columns)
        if not room or ("\n" not in text and text.isascii() and columns + len(text) + len(behind) <= room):
            self._output.write(f"{lead}{text}{self._dim(behind)}\n")
            return
        if columns > room:
            lead = lead.rstrip()
        rows = wrap(text, room, columns, self._indent, self._cells).split("\n")
        last = len(rows) - 1
        further: list[str] = []
        if behind and width(rows[last], most_cells) + width(behind, most_cells) > room - (
            0 if last else columns
        ):
            further = wrap(self._indent + behind.strip(), room, 0, self._indent, most_cells).split("\n")
            behind = ""
        for number, row in enumerate(rows):
            start, used = ("", 0) if number else (lead, columns)
            end = self._dim(behind) if number == last else ""
            self._output.write(self._guarded(f"{start}{row}{end}", used + width(row, most_cells)))
        for row in further:
            self._output.write(self._guarded(self._dim(row), width(row, most_cells)))

    def _guarded(self, row: str, columns: int) -> str:
        """A row with its newline, which the terminal must not wrap even if it draws it as wide as that."""
        if columns <= self._columns or self._is_dumb:
            return row + "\n"
        return f"{_NO_WRAP}{row}{_WRAP}\n"

    def _dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if text and self._color else text

    def _measure(self) -> None:
        """Look how wide the terminal is: the columns to wrap at, 0 for not at all; and what to indent rows by."""
        size = self._output.size()
        self._columns = size[0] if size else 0
        self._indent = self._unwrapped
        if self._columns:
            is_narrow = self._columns < _NARROWEST + len(self._wrapped)
            self._indent = _SHORT_INDENT if is_narrow else self._wrapped


def wrap(
    text: str, columns: int, start: int = 0, indent: str = "", cells: Callable[[str], int] = cautious_cells
) -> str:
    """Break lines where a terminal would, or after the word before.

    So the rest can be indented: otherwise a message of the right length could have a second row on the screen that
    looks like another message.

    Arguments:
        text: safe text.
        columns: width of the terminal.
        start: columns that are already used in the first line. Default 0.
        indent: put before the rest of a broken line. Default nothing.
        cells: the width of a character, as for :func:`kchat.display.escaping.width`. Default: symbols, about which
            terminals disagree, have their maximum width.
    """
    lines: list[str] = []
    room = columns - start
    for line in text.split("\n"):
        rest, lead = line, ""
        # With at most four marks to a character, this number of characters is wider than the row.
        while len(piece := take_columns(rest[: 8 * max(room, 1)], room, cells)) < len(rest):
            # Each line has at least one character, however narrow, except one that begins with something else.
            piece = _to_word(piece, rest) or (rest[0] if lines or not start else "")
            lines.append(lead + piece)
            rest = rest[len(piece) :].lstrip(" ")
            lead, room = indent, columns - len(indent)
            if not rest:
                break
        else:
            lines.append(lead + rest)
        room = columns
    return "\n".join(lines)


def _to_word(piece: str, rest: str) -> str:
    """A piece from the beginning of a line, without the word that it ends in the middle of, unless that is long."""
    if rest[len(piece)] == " ":
        return piece
    space = piece.rfind(" ", len(piece) // 2)
    return piece[: space + 1] if space > 0 else piece


def in_room(message: Message) -> str:
    """``[lunch] `` where messages of several rooms are shown, to be put in front of what a sender chose; else nothing."""
    return "" if message.room is None else f"[{display_name(message.room)}] "


def color_of(shown: str) -> int:
    """The colour of a name, as a number from 0 to 15 of a terminal's palette; always the same for the same name."""
    return _COLORS[crc32(shown.encode()) % len(_COLORS)]


def local(seconds: float, *, utc: bool = False) -> time.struct_time:
    """A UNIX time in local time, or in UTC; 1970 where the platform cannot show it."""
    try:
        return time.gmtime(seconds) if utc else time.localtime(seconds)
    except (ValueError, OverflowError, OSError):
        return time.gmtime(0)
