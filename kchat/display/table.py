"""The live table's drawing: from rows to lines for a screen of a certain size, by Rich."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.color import Color
from rich.style import Style
from rich.table import Table
from rich.text import Text

from kchat.display.escaping import cautious_cells, take_columns, width
from kchat.display.lines import color_of, wrap
from kchat.display.names import signature
from kchat.display.rows import FULL_TIME, when
from kchat.message.truncation import truncation_mark, utf8_size
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from rich.console import Console

    from kchat.display.backlog import Entry

_GAP = 2  # columns between the table's columns


class Shape(NamedTuple):
    """How wide and tall the table is.

    Attributes:
        columns: of the screen.
        name_width: columns of the names.
        time_width: columns of the times.
        text_width: columns of the messages.
        has_rule: whether there is room for a line below the header.
        room: lines for rows.
        most: maximum number of lines of a row.
    """

    columns: int
    name_width: int
    time_width: int
    text_width: int
    has_rule: bool
    room: int
    most: int


class Drawing:
    """Draws rows. Whatever is in them becomes text, never markup or a control character.

    Arguments:
        console: renders the lines; its size is changed.
        mark_unverified: see :class:`kchat.display.Factory`, as for ``own``.
        own: the account of which nothing is said, since those who share it cannot be told apart.
    """

    def __init__(self, console: Console, *, mark_unverified: bool, own: str | None) -> None:
        self._console = console
        self._mark_unverified = mark_unverified
        self._own = own
        self._name_width = len("Username")

    def shape(self, columns: int, lines: int, shown: Iterable[Entry]) -> Shape:
        """The table's shape on a screen, with names as wide as these rows need.

        The names' column is never narrower than it was: a table that jumps is hard to read.
        """
        names = {(entry.username, entry.account) for entry in shown if not entry.is_notice}
        widest = max((width("".join(self._sign(*each)), cautious_cells) for each in names), default=0)
        self._name_width = max(self._name_width, widest)
        time_width = FULL_TIME if columns >= 60 else 8 if columns >= 32 else 5
        name_width = min(self._name_width, max(4, (columns - time_width - 2 * _GAP) // 3))
        text_width = max(1, columns - time_width - name_width - 2 * _GAP)
        has_rule = lines >= 6
        room = max(0, lines - (2 if has_rule else 1))
        most = max(1, min(room, max(3, room // 2)))
        return Shape(columns, name_width, time_width, text_width, has_rule, room, most)

    def height(self, entry: Entry, shape: Shape) -> int:
        """How many lines the row takes."""
        return len(fit(entry, shape.text_width, shape.most))

    def draw(self, rows: Iterable[Entry], shape: Shape, hidden: int = 0) -> list[str]:
        """The header and the rows as lines for a terminal, without newlines.

        ``hidden``: how many lines of the first row to leave out.
        """
        table = Table(
            box=SIMPLE_HEAD if shape.has_rule else None, width=shape.columns, padding=0, show_edge=False
        )
        table.header_style = "bold"
        table.border_style = "dim"
        gap = _GAP - 1 if shape.has_rule else _GAP  # the box has one more column between two
        header = "Date / time" if shape.time_width == FULL_TIME else "Time"
        name = "Username"[: shape.name_width]
        table.add_column(name, width=shape.name_width + gap, no_wrap=True, overflow="crop")
        table.add_column(header, width=shape.time_width + gap, no_wrap=True, overflow="crop")
        table.add_column("Message", width=shape.text_width, no_wrap=True, overflow="crop")
        count = 0
        for entry in rows:
            lines = fit(entry, shape.text_width, shape.most)
            count += len(lines)
            text = Text("\n".join(lines[hidden:]), style="bold" if entry.is_notice else "")
            if hidden:  # its name has scrolled off
                table.add_row(Text(), Text(), text)
            else:
                moment = Text(when(entry.seconds, shape.time_width), style="dim")
                table.add_row(self._who(entry, shape.name_width), moment, text)
            hidden = 0
        self._console.size = (shape.columns, count + 2)
        with self._console.capture() as captured:
            self._console.print(table)
        return captured.get().rstrip("\n").split("\n")

    def _who(self, entry: Entry, columns: int) -> Text:
        if entry.is_notice:  # a message has at least a "?" there
            return Text()
        shown, behind = self._sign(entry.username, entry.account, columns)
        style = "dim" if entry.username is None else Style(color=Color.from_ansi(color_of(shown)))
        return Text(shown, style=style).append(behind, style="not bold dim default")

    def _sign(self, username: str | None, account: str | None, columns: int = 0) -> tuple[str, str]:
        if account is not None and account == self._own:
            return signature(username, None, mark_unverified=False, columns=columns)
        return signature(username, account, mark_unverified=self._mark_unverified, columns=columns)


@lru_cache(maxsize=256)
def fit(entry: Entry, columns: int, most: int) -> tuple[str, ...]:
    """A row's text as lines of these columns, up to this number, the last one with a mark if there is more."""
    lines = wrap(escape_unprintable(entry.text).rstrip("\n"), columns).split("\n")
    if len(lines) <= most and not entry.total:
        return tuple(lines)
    ending = truncation_mark(entry.total or utf8_size(entry.text))
    if width(ending) > columns:
        ending = "…"[:columns]
    lines = lines[:most]
    lines[-1] = take_columns(lines[-1], columns - width(ending), cautious_cells) + ending
    return tuple(lines)
