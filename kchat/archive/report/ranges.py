"""The chart of times: how long half of them are, most of them, and the longest, on a scale from milliseconds to years."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING

from kchat.archive.report import charts
from kchat.archive.report.markup import Element, add, element

if TYPE_CHECKING:
    from kchat.archive.stats import Times

_SCALE = (
    (0.001, "1 ms"),
    (0.01, "10 ms"),
    (0.1, "0.1 s"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3600.0, "1 h"),
    (21_600.0, "6 h"),
    (86_400.0, "1 day"),
    (604_800.0, "1 week"),
    (2_592_000.0, "30 days"),
    (31_536_000.0, "1 year"),
    (315_360_000.0, "10 years"),
    (3_153_600_000.0, "100 years"),
)
"""Times in seconds that the axis may have, and how they read."""

_ROW, _AXIS = 58, 24  # pixels

SHAPES = (
    ("half", "half are not longer"),
    ("mean", "mean"),
    ("most", "95 of 100 are not longer"),
    ("longest", "longest"),
)
"""The marks by class, told apart by their shapes, and what they mean."""


def chart(key: str, title: str, description: str, rows: Sequence[tuple[str, Times]]) -> Element:
    """A row for each kind of time that there is."""
    found = charts.figure(key, title, description, _ROW * len(rows) + _AXIS, "plot flush")
    points = [
        value
        for _, times in rows
        for value in (times.p50, times.mean, times.p95, times.longest)
        if value is not None
    ]
    least, most = max(min(points), 0.001), max(*points, 0.001)
    scale = [
        each
        for number, each in enumerate(_SCALE)
        if each[0] <= most * 1.0001 or _SCALE[number - 1][0] < most
        if number + 1 == len(_SCALE) or _SCALE[number + 1][0] > least
    ]
    if len(scale) == 1:
        first = min(_SCALE.index(scale[0]), len(_SCALE) - 2)
        scale = list(_SCALE[first : first + 2])
    begin, end = log10(scale[0][0]), log10(scale[-1][0])

    def place(seconds: float) -> float:
        return 100 * min(max((log10(max(seconds, 0.001)) - begin) / (end - begin), 0), 1)

    bottom = _ROW * len(rows)
    for number, (seconds, text) in enumerate(scale):
        x = charts.percent(place(seconds))
        look = "start" if not number else "end" if number + 1 == len(scale) else "middle"
        thin = " wide" if number % 2 and len(scale) > 4 else ""
        add(
            found,
            element("line", class_="line", x1=x, x2=x, y1=0, y2=bottom),
            element("text", text, class_=look + thin, x=x, y=bottom + 17),
        )
    for row, (name, times) in enumerate(rows):
        y = row * _ROW + 38
        values = (times.p50, times.mean, times.p95, times.longest)
        known = [value for value in values if value is not None]
        x1, x2 = (charts.percent(place(value)) for value in (min(known), max(known)))
        add(
            found,
            element("text", name, class_="row", x=4, y=y - 18),
            element("line", class_="range", x1=x1, x2=x2, y1=y, y2=y),
        )
        # The largest shape first: where marks meet, all can be seen.
        for (shape, _), value in reversed(list(zip(SHAPES, values, strict=True))):
            if value is not None:
                found.append(_mark(shape, charts.percent(place(value)), y))
    return found


def _mark(shape: str, x: str, y: float) -> Element:
    """A shape around a place in percent: an SVG of no size within the chart's, out of which it is drawn."""
    return element("svg", drawing(shape), x=x, y=y, width=1, height=1, class_="mark")


def drawing(shape: str) -> Element:
    """A shape around 0, 0."""
    if shape == "half":
        return element("circle", class_="half", r=5)
    if shape == "mean":
        return element("path", class_="average", d="M0-7L7 0L0 7L-7 0Z")
    if shape == "most":
        return element("rect", class_="most", x=-6, y=-6, width=12, height=12)
    return element("path", class_="longest", d="M-2-11H2V11H-2Z")
