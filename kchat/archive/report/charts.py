"""The charts, as inline SVG that is as wide as its place: what lies across is in percent, what stands up is in pixels.

So a text has the same size on a telephone and on a desk. Where there is less room there are fewer labels: those of class
``wide`` are for a wide page, those of class ``narrow`` for a narrow one. A chart is one picture to a screen reader, with a
title and a description; a table with its numbers follows it on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from kchat.archive.report import series, wording
from kchat.archive.report.markup import Element, add, element
from kchat.archive.report.palette import HEAT

HEIGHT = 168
"""Of a chart with bars, in pixels, without its labels."""

_AXIS = 24  # pixels for the labels under it
_TOP = 18  # pixels above it, for the number on the highest bar
_CENTRED = 14  # so many bars, or fewer, have their labels in their middle
_WIDE, _NARROW = 8, 4  # labels under a chart
_BROAD = 12.0  # percent that a bar is wide at most
_CELL = 26  # height of a cell of the heat map in pixels


class Layer(NamedTuple):
    """One part of each bar.

    Attributes:
        look: its class, which gives it its colour.
        noun: what is counted, for the words that appear over a bar.
        values: one for each bar.
    """

    look: str
    noun: str
    values: Sequence[float]


def figure(key: str, title: str, description: str, height: float, look: str) -> Element:
    """An empty chart: height in pixels, and the class."""
    return element(
        "svg",
        element("title", title, id=f"{key}-title"),
        element("desc", description, id=f"{key}-description"),
        role="img",
        class_=look,
        width="100%",
        height=height,
        aria_labelledby=f"{key}-title",
        aria_describedby=f"{key}-description",
    )


def bars(
    key: str,
    title: str,
    description: str,
    labels: Sequence[str],
    layers: Sequence[Layer],
    wide: Sequence[series.Tick],
    narrow: Sequence[series.Tick],
) -> Element:
    """Bars over an axis, of one part or of several on each other.

    Arguments:
        key: of the page's elements, once in a page.
        title: of the chart.
        description: what one sees.
        labels: one for each bar.
        layers: from the lowest on.
        wide: labels under it where there is room.
        narrow: where there is less.
    """
    most = max((sum(values) for values in zip(*(each.values for each in layers), strict=True)), default=0)
    lines = series.steps(most)
    top = lines[-1]
    chart = figure(key, title, description, HEIGHT + _TOP + _AXIS, "plot")
    for line in lines:
        y = _TOP + HEIGHT * (1 - line / top)
        add(
            chart,
            element("line", class_="line" if line else "base", x1=0, x2="100%", y1=y, y2=y),
            element("text", wording.compact(line), class_="scale", x=-8, y=y + 4),
        )
    slot = 100 / max(1, len(labels))
    width = min(slot * 0.8, _BROAD)
    for place, label in enumerate(labels):
        bar = element("g", element("title", _told(label, layers, place)))
        y = float(_TOP + HEIGHT)
        for each in layers:
            high = HEIGHT * each.values[place] / top
            if not high:
                continue
            y -= high
            # A pixel of the ground between two parts, whatever their colours.
            gap = 1 if y + high < _TOP + HEIGHT and high > 2 else 0
            add(
                bar,
                element(
                    "rect",
                    class_=each.look,
                    x=percent((place + 0.5) * slot - width / 2),
                    y=y,
                    width=percent(width),
                    height=max(high - gap, 0.75),
                ),
            )
        if len(bar) > 1:
            chart.append(bar)
    if len(layers) == 1 and most:
        chart.append(_highest(layers[0].values, slot, top))
    for look, marks in (("wide", wide), ("narrow", narrow)):
        chart.append(_axis(marks, look, len(labels)))
    return chart


def _highest(values: Sequence[float], slot: float, top: float) -> Element:
    """The number on the first of the highest bars."""
    most = max(values)
    x = (values.index(most) + 0.5) * slot
    look = "start" if x < 4 else "end" if x > 96 else "middle"
    y = _TOP + HEIGHT * (1 - most / top) - 5
    return element("text", wording.number(most), class_=f"highest {look}", x=percent(x), y=y)


def _told(label: str, layers: Sequence[Layer], place: int) -> str:
    return f"{label}: " + ", ".join(f"{wording.number(each.values[place])} {each.noun}" for each in layers)


def _axis(marks: Sequence[series.Tick], look: str, many: int) -> Element:
    found = element("g", class_=look)
    for place, text in marks:
        x = 100 * place / many
        if many <= _CENTRED:
            x += 50 / many
            add(found, element("text", text, class_="middle", x=percent(x), y=_TOP + HEIGHT + 17))
        elif x <= (94 if look == "wide" else 86):
            add(
                found,
                element(
                    "line",
                    class_="tick",
                    x1=percent(x),
                    x2=percent(x),
                    y1=_TOP + HEIGHT,
                    y2=_TOP + HEIGHT + 5,
                ),
                element("text", text, x=percent(x), y=_TOP + HEIGHT + 17),
            )
    return found


def percent(value: float) -> str:
    """A place or a width across a chart."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"


def date_ticks(starts: Sequence[date]) -> tuple[list[series.Tick], list[series.Tick]]:
    """The labels under bars that begin on these dates: where there is room, and where there is less."""
    return series.ticks(starts, _WIDE), series.ticks(starts, _NARROW)


def hour_ticks() -> tuple[list[series.Tick], list[series.Tick]]:
    """The labels under the 24 hours of a day."""
    marks = [series.Tick(each, wording.hour(each)) for each in range(0, 24, 3)]
    return marks, marks[::2]


def heat_steps(most: int) -> list[int]:
    """The greatest number of each step of the heat map but the first, which is for none; fewer where few are enough."""
    many = min(HEAT, most)
    return [-(-most * each // many) for each in range(1, many + 1)]


def _heat(value: int, ends: Sequence[int]) -> str:
    if not value:
        return "heat-0"
    step = 1 + sum(value > end for end in ends)
    # Where there are fewer steps, they are taken from the dark end.
    return f"heat-{HEAT - len(ends) + step}"


def heat_map(key: str, title: str, description: str, heat: Sequence[Sequence[int]]) -> Element:
    """Weekdays down, hours across."""
    ends = heat_steps(max(map(max, heat), default=0))
    high = 7 * _CELL
    chart = figure(key, title, description, high + _AXIS, "plot")
    for row, (weekday, hours) in enumerate(zip(wording.WEEKDAYS, heat, strict=True)):
        y = row * _CELL
        chart.append(element("text", weekday[:3], class_="scale", x=-8, y=y + _CELL / 2 + 4))
        for hour, value in enumerate(hours):
            chart.append(
                element(
                    "rect",
                    element("title", f"{weekday} {wording.hour(hour)}: {wording.count(value, 'message')}"),
                    class_=f"cell {_heat(value, ends)}",
                    x=percent(hour * 100 / 24),
                    y=y,
                    width=percent(100 / 24),
                    height=_CELL,
                )
            )
    for look, marks in zip(("wide", "narrow"), hour_ticks(), strict=True):
        group = element("g", class_=look)
        for hour, text in marks:
            group.append(element("text", text, x=percent(hour * 100 / 24), y=high + 17))
        chart.append(group)
    return chart


def heat_ranges(ends: Sequence[int]) -> list[str]:
    """What each step stands for: ``0``, ``1-20``, ``21-40``.

    Arguments:
        ends: of :func:`heat_steps`.
    """
    return ["0"] + [
        wording.number(end)
        if end == before + 1
        else wording.DASH.join(map(wording.number, (before + 1, end)))
        for before, end in pairwise([0, *ends])
    ]


def heat_legend(heat: Sequence[Sequence[int]]) -> Element:
    """The steps of the heat map and their colours."""
    ends = heat_steps(max(map(max, heat), default=0))
    looks = [f"cell {_heat(end, ends)}" for end in (0, *ends)]
    return legend(list(zip(looks, heat_ranges(ends), strict=True)))


def legend(entries: Sequence[tuple[str, str]]) -> Element:
    """Colours, by class, and what they mean."""
    found = element("ul", class_="legend")
    for look, text in entries:
        found.append(element("li", swatch(look), text))
    return found


def swatch(look: str) -> Element:
    """A colour, by class, beside what it means."""
    return element(
        "svg",
        element("rect", class_=look, width="100%", height="100%"),
        class_="swatch",
        aria_hidden="true",
        focusable="false",
    )


def part(of: float) -> Element:
    """A bar in the row of a table; its number stands beside it.

    Arguments:
        of: how much of its place it takes, 0 to 1.
    """
    return element(
        "svg",
        element("rect", class_="rest", width="100%", height="100%"),
        element("rect", class_="bar", width=percent(100 * of), height="100%"),
        class_="part",
        aria_hidden="true",
        focusable="false",
    )


def shares(key: str, title: str, description: str, parts: Sequence[tuple[str, float]]) -> Element:
    """One bar that is all, divided.

    Arguments:
        key: of the page's elements, once in a page.
        title: of the chart.
        description: what one sees.
        parts: class and share, 0 to 1, from the left.
    """
    chart = figure(key, title, description, 20, "shares")
    x = 0.0
    for look, of in parts:
        if of:
            chart.append(
                element("rect", class_=f"cell {look}", x=percent(x), width=percent(100 * of), height=20)
            )
        x += 100 * of
    return chart
