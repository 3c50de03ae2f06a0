"""Draw docs/pictures/stats.svg: `kchat stats` about a room of six people, whose messages are made up.

python docs/make_stats_picture.py
"""

from __future__ import annotations

import io
import math
import random
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from kchat.archive.terminal import report

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

FOLDER = Path(__file__).parent / "pictures"
COLUMNS, LINES = 80, 53
DAY = 86_400_000
FIRST = 1_772_409_600_000  # Monday, 2026-03-02
PEOPLE = ("ada", "bob", "cy", "Grace Hopper", "dora", "eve")

_ANSI = [
    (0, 0, 0),
    (205, 49, 49),
    (13, 188, 121),
    (229, 229, 16),
    (36, 114, 200),
    (188, 63, 188),
    (17, 168, 205),
]
THEME = TerminalTheme((18, 18, 24), (220, 220, 220), [*_ANSI, (229, 229, 229)])


def stats() -> Stats:
    """Figures of ten weeks: busy before noon and in the afternoon, quiet at the weekend. The same in each run."""
    from tests.unit.archive.facts_of import said, stats_of

    chance = random.Random(15)  # noqa: S311 - no secrets
    moments = set()
    for day in range(70):
        busy = (0.1 if day % 7 >= 5 else 1.0) * (0.7 + 0.3 * math.sin(day / 6))
        for _ in range(round(12 * busy)):
            hour = chance.gauss(9.5, 1.2) if chance.random() < 0.45 else chance.gauss(14.5, 1.8)
            at = FIRST + day * DAY + round(hour * 3_600_000)
            for _ in range(chance.randrange(1, 14)):
                at += round(chance.expovariate(1 / 40_000))
                moments.add(at)
    records = []
    for at in sorted(moments):
        known = PEOPLE[: 3 + (at - FIRST) // (14 * DAY)]
        who, to = chance.choices(known, [1 / (1 + place) for place in range(len(known))], k=2)
        text = f"@{to} hello" if chance.random() < 0.15 else "hello"
        records.append(
            said(at, who, text, verified=who != "eve", client="kchat" if who != "cy" else "others")
        )
    return stats_of(records, "Europe/Berlin")


def draw(lines: list[str]) -> str:
    """Lines of a terminal as SVG."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    drawn = console.export_svg(title="kchat stats", theme=THEME, unique_id="stats")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # no fonts from elsewhere


def main() -> None:
    """Draw it."""
    sys.path.insert(0, str(FOLDER.parents[1]))  # for the tests' messages
    lines = report(stats(), COLUMNS, styled=True)[:LINES]
    (FOLDER / "stats.svg").write_text(draw(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
