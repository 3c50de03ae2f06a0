"""What ``kchat stats --query`` prints."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kchat.archive.store import Answer


_READABLE = 12
"""Columns of a terminal in which a longer text, broken into lines, can still be read."""

_LOOKED_AT = 200
"""Rows by which it is decided whether there is room for a table."""


def answer_lines(answer: Answer, *, as_json: bool, as_csv: bool, color: bool | None) -> Iterator[str]:
    """An answer as lines with their newlines: a table for people, with Rich at a terminal; or JSON or CSV.

    Arguments:
        answer: to print. Its values may be anything that somebody sent.
        as_json: an object with ``columns``, ``rows`` (an object each) and ``more``.
        as_csv: a line each.
        color: True, False, or None for what the terminal says.
    """
    if as_json:
        columns = _unique(answer.columns)
        rows = [dict(zip(columns, map(_plain, row), strict=True)) for row in answer.rows]
        yield json.dumps({"version": 1, "columns": columns, "rows": rows, "more": answer.more}) + "\n"
    elif as_csv:
        from kchat.archive.tidy import to_csv

        yield from to_csv(answer.columns, answer.rows)
    elif sys.stdout.isatty():
        yield _table(answer, color)
    else:
        from kchat.cli.table import table_lines

        cells = [answer.columns, *([_text(value) for value in row] for row in answer.rows)]
        yield from (f"{line}\n" for line in table_lines(cells))


def _table(answer: Answer, color: bool | None) -> str:
    """A table; on a terminal too narrow for its columns, a block of lines for each row: a column and its value."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from kchat.display.output import Output
    from kchat.message.unprintable import escape_unprintable

    output = Output(sys.stdout)
    columns = (output.size() or (80, 24))[0]
    names = [escape_unprintable(name, keep_newlines=False) for name in answer.columns]
    rows = [[escape_unprintable(_text(value), keep_newlines=False) for value in row] for row in answer.rows]
    if is_narrow := bool(rows) and _columns_of([names, *rows[:_LOOKED_AT]]) > columns:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
    else:
        table = Table(
            box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", border_style="dim"
        )
        for number, name in enumerate(names):
            is_number = all(isinstance(row[number], int | float | None) for row in answer.rows)
            table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for number, row in enumerate(rows):
        if is_narrow:
            if number:
                table.add_row("", "")
            for name, value in zip(names, row, strict=True):
                table.add_row(Text(name), Text(value))
        else:
            table.add_row(*map(Text, row))
    console = Console(
        file=sys.stdout,
        width=columns,
        no_color=not (output.color if color is None else color),
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _columns_of(rows: Sequence[Sequence[str]]) -> int:
    """Columns of a terminal that a table needs to be read."""
    from kchat.display.escaping import width

    widest = (max(map(width, cells)) for cells in zip(*rows, strict=True))
    return sum(min(each, _READABLE) + 2 for each in widest) - 2


def _unique(columns: Sequence[str]) -> list[str]:
    """Names for the keys of an object: the second ``n`` is ``n_2``."""
    found: list[str] = []
    for name in columns:
        number, unique = 1, name
        while unique in found:
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return found


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.hex() if isinstance(value, bytes) else str(value)


def _plain(value: object) -> object:
    """A value that JSON has: bytes become hexadecimal digits, and what is not a number null."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
