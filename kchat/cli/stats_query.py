"""What ``kchat stats --query`` prints."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kchat.archive.store import Answer


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
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from kchat.display.output import Output
    from kchat.message.unprintable import escape_unprintable

    output = Output(sys.stdout)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", border_style="dim")
    for number, name in enumerate(answer.columns):
        is_number = all(isinstance(row[number], int | float | None) for row in answer.rows)
        header = Text(escape_unprintable(name, keep_newlines=False))
        table.add_column(header, justify="right" if is_number else "left", overflow="fold")
    for row in answer.rows:
        table.add_row(*(Text(escape_unprintable(_text(value), keep_newlines=False)) for value in row))
    console = Console(
        file=sys.stdout,
        width=(output.size() or (80, 24))[0],
        no_color=not (output.color if color is None else color),
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(table)
    return captured.get()


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
