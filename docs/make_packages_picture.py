"""Draws docs/pictures/packages.svg, the picture of kchat's packages, from the imports in the code.

    python docs/make_packages_picture.py

The order of the rows is that of `FLOORS` in `tests/unit/test_house.py`. `tests/unit/test_packages_picture.py` fails
where the picture is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.test_house import FLOORS, MODULES, imports  # noqa: E402 - needs the line above

PICTURE = ROOT / "docs/pictures/packages.svg"

ROW, BOX_WIDTH, BOX_HEIGHT, LANE, MARGIN = 40, 190, 28, 30, 16
COLORS = ("#2a6f97", "#bc6c25", "#588157", "#7b2cbf", "#9d0208", "#3d5a80", "#997b00", "#00796b")


def row_of(module: str) -> str:
    """The row that a module is in: the folder `client/`, the folder of one transport, or a file at the top."""
    parts = module.split(".")[1:]
    path = MODULES[module]
    if parts[0] == "transports" and "/".join(path.parts[-4:-2]) == "kchat/transports":
        return f"transports/{parts[1]}/"
    return f"{parts[0]}.py" if path.parent.name == "kchat" else f"{parts[0]}/"


def rows_and_arrows() -> tuple[list[str], dict[str, set[str]]]:
    """The rows from the top to the bottom, and what each of them imports."""
    arrows: dict[str, set[str]] = {}
    for module in MODULES:
        if module not in {"kchat", "kchat.__main__"}:
            own = arrows.setdefault(row_of(module), set())
            own |= {row_of(other) for _, other in imports(module)} - {row_of(module)}
    floors = {name: number for number, names in enumerate(FLOORS) for name in names}

    def place(row: str) -> tuple[int, bool, str]:
        # A transport's folder stands on what all transports share.
        return floors[row.partition("/")[0].removesuffix(".py")], row == "transports/", row

    return sorted(arrows, key=place), arrows


def picture() -> str:
    """The picture as SVG: a line leaves each box, runs down, and enters the boxes of what is imported."""
    rows, arrows = rows_and_arrows()
    sources = [row for row in rows if arrows[row]]
    middle = {row: MARGIN + number * ROW + BOX_HEIGHT / 2 for number, row in enumerate(rows)}
    right = MARGIN + BOX_WIDTH
    # Those that begin lowest run nearest to the boxes: so no line crosses another on its way out.
    lane = {row: right + 40 + LANE * number for number, row in enumerate(reversed(sources))}
    color = {row: COLORS[number % len(COLORS)] for number, row in enumerate(sources)}
    width, height = max(lane.values()) + 2 * MARGIN, 2 * MARGIN + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
        "<title>The packages of kchat and what each of them imports</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for row in rows:
        above = [lane[source] for source in sources if row in arrows[source]]
        if above:
            y = middle[row] - 5
            parts.append(f'<path d="M{max(above)} {y}H{right + 8}" stroke="#999" fill="none"/>')
            parts.append(f'<path d="M{right} {y}l9 -4v8z" fill="#999"/>')
    for source in sources:
        x, start = lane[source], middle[source] + 7
        ends = [middle[target] - 5 for target in arrows[source]]
        up = min(ends) < start
        stroke = f'stroke="{"red" if up else color[source]}" stroke-width="2" fill="none"'
        parts.append(f'<path d="M{right} {start}H{x}M{x} {min(start, *ends)}V{max(ends)}" {stroke}/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="4" fill="{color[source]}"/>' for y in sorted(ends)]
    for row in rows:
        y = middle[row] - BOX_HEIGHT / 2
        edge = color.get(row, "#555")
        parts.append(
            f'<rect x="{MARGIN}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4" fill="#f7f7f7"'
            f' stroke="{edge}" stroke-width="1.5"/>'
        )
        parts.append(f'<text x="{MARGIN + 10}" y="{middle[row] + 5}" font-size="14">{row}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
