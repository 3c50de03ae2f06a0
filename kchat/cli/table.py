"""A table on standard output, made safe to show: its text may come from a broker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click


def write_table(rows: Sequence[Sequence[str]]) -> None:
    """Write rows of cells in columns, the header first."""
    for line in table_lines(rows):
        click.echo(line)


def table_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of cells in columns, the header first, as lines without newlines."""
    from kchat.display.escaping import width
    from kchat.message.unprintable import escape_unprintable

    shown = [[escape_unprintable(cell, keep_newlines=False) for cell in row] for row in rows]
    widths = [max(width(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        cells = (cell + " " * (most - width(cell)) for cell, most in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
