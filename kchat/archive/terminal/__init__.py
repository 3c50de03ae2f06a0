"""The report of ``kchat stats`` in a terminal, with Rich: :func:`report`.

It has two columns on a wide screen, and one on others, down to some 40 characters. It says everything without colour, too.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from kchat.archive.terminal import amounts, sections
from kchat.archive.terminal.drawing import ASCII, BLOCKS, Glyphs
from kchat.archive.terminal.sections import FAINT, TITLE, Pen
from kchat.display.escaping import display_name
from kchat.message.amounts import listed
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.archive.stats import Stats
    from kchat.display.output import Output

__all__ = ["ASCII", "BLOCKS", "glyphs_for", "report"]

TWO_COLUMNS = 120
"""Columns of a screen from which on the report has two."""

WIDEST = 200
"""Columns that are used at most."""

NARROWEST = 24
"""Columns that are used at least; a narrower terminal breaks the lines."""

_GAP = 4

Part = Sequence["Text | Table"]


def report(
    stats: Stats, columns: int, *, styled: bool = False, color: bool = True, glyphs: Glyphs = BLOCKS
) -> list[str]:
    """The report as lines for a terminal, without newlines.

    Arguments:
        stats: the figures.
        columns: of the screen.
        styled: whether there may be escape sequences in them, for bold and faint text and for colours. Default: not.
        color: whether there may be colours then. Default: yes.
        glyphs: to draw with. Default: :data:`BLOCKS`; :data:`ASCII` where the encoding does not have them.
    """
    columns = max(NARROWEST, min(columns, WIDEST))
    console = Console(
        file=io.StringIO(),
        width=columns,
        force_terminal=styled,
        no_color=not color,
        # Not what the environment says of the terminal on which this process may not even write.
        color_system="standard" if styled else None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        console.print(_page(stats, columns, glyphs))
    lines = captured.get().rstrip("\n").split("\n")
    return lines if styled else [line.rstrip() for line in lines]


def _page(stats: Stats, columns: int, glyphs: Glyphs) -> Group:
    heading = _heading(stats)
    if not stats.messages:
        return Group(*heading, Text(""), Text(_nothing(stats)))
    whole = Pen(columns, glyphs)
    top = _stacked([heading, sections.totals(stats, whole)])
    if columns < TWO_COLUMNS:
        return Group(*top, Text(""), *_stacked([*_left(stats, whole), *_right(stats, whole)]))
    half = Pen((columns - _GAP) // 2, glyphs)
    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(width=half.columns)
    table.add_column(width=half.columns)
    table.add_row(Group(*_stacked(_left(stats, half))), Group(*_stacked(_right(stats, half))))
    return Group(*top, Text(""), table)


def _left(stats: Stats, pen: Pen) -> list[Part]:
    drawn = (sections.most_active, sections.per_day, sections.per_hour, sections.heat_map, sections.people)
    return [part(stats, pen) for part in drawn]


def _right(stats: Stats, pen: Pen) -> list[Part]:
    drawn = (sections.times, sections.conversations, sections.mentions, sections.words)
    return [part(stats, pen) for part in drawn]


def _stacked(parts: Sequence[Part]) -> list[Text | Table]:
    """One part below the other, with a blank line between two."""
    found: list[Text | Table] = []
    for part in parts:
        if part:
            found += [Text(""), *part] if found else part
    return found


def _heading(stats: Stats) -> list[Text | Table]:
    names = listed([display_name(room) for room in stats.rooms])
    many = f"{len(stats.rooms):,} rooms: " if len(stats.rooms) > 1 else ""
    where = escape_unprintable(stats.archive, keep_newlines=False)
    first = Text(f"{many}{names}" or "Nothing", style=TITLE).append(f" in {where}", style="not bold")
    asked = ""
    if stats.since is not None:
        asked += f" since {amounts.moment(stats.since)}"
    if stats.until is not None:
        asked += f" until {amounts.moment(stats.until)}"
    zone = f"times in {escape_unprintable(stats.zone, keep_newlines=False)}"
    return [first, Text(f"{asked.strip()}, {zone}" if asked else zone, style=FAINT)]


def _nothing(stats: Stats) -> str:
    if stats.since is not None or stats.until is not None:
        return "No messages in this time."
    return 'No messages yet. What "kchat archive" keeps of the room is counted here.'


def glyphs_for(output: Output) -> Glyphs:
    """The characters to draw with: blocks where the encoding has them."""
    return BLOCKS if output.has(BLOCKS.all) else ASCII
