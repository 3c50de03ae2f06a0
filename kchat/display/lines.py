"""What the displays have in common that write a line, or a few, for each message."""

from __future__ import annotations

import time
from typing import TextIO
from zlib import crc32

from kchat.display.output import Output
from kchat.text import head

INDENT = " " * 9 + "| "
"""In front of a message's further lines: none of them can pass for the beginning of another message."""

_NARROWEST = 20  # a column of text that is narrower than this gets less of an indent
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

    Arguments:
        stream: where to write.
        color: whether to use colour. Default None: on a terminal, unless ``NO_COLOR`` is set.
        unchecked: whether a name that nobody vouches for gets a mark (:mod:`kchat.display.names`). Default no.
        own: the account of whoever looks on. Who share it cannot be told apart, so it is not named.
    """

    def __init__(
        self, stream: TextIO, *, color: bool | None = None, unchecked: bool = False, own: str | None = None
    ) -> None:
        self._output = Output(stream)
        self._unchecked = unchecked
        self._own = own
        self._color = self._output.color if color is None else color
        self._columns = self._measure()

    def open(self, title: str) -> None:
        """Nothing: the lines speak for themselves."""

    def flush(self) -> None:
        """Write all lines."""
        self._output.flush()
        if self._output.is_terminal:
            self._columns = self._measure()

    def status(self, text: str) -> None:
        """Nothing: standard output is for messages, and may be read by a program."""

    def close(self) -> None:
        """Forget what was not flushed: it was not acknowledged either, and belongs to the next reader."""
        self._output.discard()

    def _fit(self, text: str, start: int) -> str:
        """Break the lines of text, as from :func:`kchat.text.block`, that a terminal would break."""
        columns = self._columns
        if not columns or (start + len(text) <= columns and text.isascii() and "\n" not in text):
            return text
        indent = len(INDENT) if columns - len(INDENT) >= _NARROWEST else 2
        return wrap(text, columns, start, " " * indent)

    def _measure(self) -> int:
        """The columns to wrap at; 0 for not at all."""
        size = self._output.size()
        return size[0] if size else 0


def wrap(text: str, columns: int, start: int = 0, indent: str = "") -> str:
    """Break lines where a terminal would, or after the word before.

    So what follows can be indented: otherwise a message of the right length has a second line on the screen that
    looks like another message.

    Arguments:
        text: safe text.
        columns: those of the terminal.
        start: how many of them the first line does without. Default 0.
        indent: what goes in front of the rest of a broken line. Default nothing.
    """
    lines: list[str] = []
    room = columns - start
    for line in text.split("\n"):
        rest, lead = line, ""
        while True:
            # With at most four marks to a character, so many characters are wider than the room.
            piece = head(rest[: 8 * max(room, 1)], room)
            if len(piece) == len(rest):
                break
            piece = _to_word(piece, rest) or rest[0]
            lines.append(lead + piece)
            rest = rest[len(piece) :].lstrip(" ")
            lead, room = indent, columns - len(indent)
        lines.append(lead + rest)
        room = columns
    return "\n".join(lines)


def _to_word(piece: str, rest: str) -> str:
    """A piece from the beginning of a line, without the word that it ends in the middle of, unless that is long."""
    if rest[len(piece)] == " ":
        return piece
    space = piece.rfind(" ", len(piece) // 2)
    return piece[: space + 1] if space > 0 else piece


def color_of(shown: str) -> int:
    """The colour of a name, as a number from 0 to 15 of a terminal's palette; the same for it everywhere."""
    return _COLORS[crc32(shown.encode()) % len(_COLORS)]


def local(seconds: float) -> time.struct_time:
    """A UNIX time in local time; 1970 where the platform cannot show it."""
    try:
        return time.localtime(seconds)
    except (ValueError, OverflowError, OSError):
        return time.gmtime(0)
