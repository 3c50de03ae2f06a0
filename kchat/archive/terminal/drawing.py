"""Bars, sparklines and shades made of characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Glyphs(NamedTuple):
    """The characters to draw with.

    Attributes:
        heights: of a column, from the lowest to the full one.
        shades: from light to full, four.
        eighths: of the last character of a bar, from one eighth on, and the full one; or just the full one.
        arrow: from one name to another.
        dot: between parts of a line.
    """

    heights: str
    shades: str
    eighths: str
    arrow: str
    dot: str

    @property
    def all(self) -> str:
        """All of them, to ask whether a terminal has them."""
        return "".join(self)


BLOCKS = Glyphs("▁▂▃▄▅▆▇█", "░▒▓█", "▏▎▍▌▋▊▉█", "→", "·")
ASCII = Glyphs(".:-=+*#@", ".:+#", "#", "->", "|")
"""For encodings without block characters."""


def level(value: float, most: float, levels: int) -> int:
    """In which of so many levels a value stands: 0 for none, 1 for a little, ``levels`` for the most."""
    if value <= 0 or most <= 0:
        return 0
    return max(1, min(levels, -int(-value * levels // most)))


def bar(value: float, most: float, columns: int, glyphs: Glyphs) -> str:
    """A bar of at most so many columns; at least a trace where there is anything."""
    parts = len(glyphs.eighths)
    full, rest = divmod(level(value, most, columns * parts), parts)
    return glyphs.eighths[-1] * full + (glyphs.eighths[rest - 1] if rest else "")


def chart(values: Sequence[float], glyphs: Glyphs, *, rows: int = 1, cell: int = 1) -> list[str]:
    """A column for each value, drawn in some rows, the top one first. None is blank.

    Arguments:
        values: 0 or more.
        glyphs: to draw with.
        rows: of a column of the most. Default: 1, a sparkline.
        cell: characters to a value; of three and more the last one is a gap.
    """
    steps = len(glyphs.heights)
    most = max(values, default=0)
    levels = [level(value, most, rows * steps) for value in values]
    filled, gap = (cell - 1, " ") if cell >= 3 else (cell, "")
    lines = []
    for row in reversed(range(rows)):
        heights = [min(steps, each - row * steps) for each in levels]
        cells = (glyphs.heights[height - 1] * filled if height > 0 else " " * filled for height in heights)
        lines.append(gap.join(cells))
    return lines


def shade(value: float, most: float, glyphs: Glyphs) -> str:
    """The shade of a value; blank for none."""
    found = level(value, most, len(glyphs.shades))
    return glyphs.shades[found - 1] if found else " "


def shade_ranges(most: int, glyphs: Glyphs) -> list[tuple[str, int, int]]:
    """The shades with the least and the greatest whole number that each is for; those that are for none are left out."""
    levels = len(glyphs.shades)
    ends = [most * number // levels for number in range(levels + 1)]
    # Of fewer numbers than shades, each has a range of its own.
    return [(shade(high, most, glyphs), low + 1, high) for low, high in pairwise(ends) if high > low]


def squeeze(values: Sequence[float], columns: int) -> tuple[list[float], int]:
    """At most so many values, each the mean of as many neighbours; and how many neighbours. The last may be of fewer."""
    together = max(1, -(-len(values) // columns))
    parts = [values[start : start + together] for start in range(0, len(values), together)]
    return [sum(part) / len(part) for part in parts], together
