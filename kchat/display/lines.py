"""What the displays have in common that write a line, or a few, for each message."""

from __future__ import annotations

from typing import TextIO

from kchat.display.output import Output
from kchat.text import head, width

INDENT = " " * 9 + "| "
"""In front of a message's further lines: none of them can pass for the beginning of another message."""

_NARROWEST = 20  # a column of text narrower than this is worse than one that begins at the left


class Lines:
    """The parts of a display that do not depend on the mode.

    Arguments:
        stream: where to write.
        color: whether to use colour. Default None: on a terminal, unless ``NO_COLOR`` is set.
    """

    def __init__(self, stream: TextIO, *, color: bool | None = None) -> None:
        self._output = Output(stream)
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
        return wrap(text, columns, start, INDENT)

    def _measure(self) -> int:
        """The columns to wrap at; 0 for not at all."""
        size = self._output.size()
        return size[0] if size else 0


def wrap(text: str, columns: int, start: int, indent: str) -> str:
    """Break lines where a terminal would, so that what follows is indented, and cannot pass for another message.

    Arguments:
        text: safe text, whose further lines begin with ``indent`` already.
        columns: those of the terminal.
        start: how many of them the first line has used up.
        indent: what goes in front of a broken line's rest, in place of which a narrow terminal gets two spaces.
    """
    if columns - len(indent) < _NARROWEST:
        indent = "  "
    lines: list[str] = []
    room = max(1, columns - start)
    for line in text.split("\n"):
        rest = line
        while width(rest) > room:
            piece = head(rest, room) or rest[0]
            space = piece.rfind(" ", len(piece) // 2)
            if space > 0 and rest[len(piece)] != " ":
                piece = piece[: space + 1]
            lines.append(piece)
            rest = indent + rest[len(piece) :].lstrip(" ")
            room = max(len(indent) + 1, columns)
        lines.append(rest)
        room = columns
    return "\n".join(lines)
