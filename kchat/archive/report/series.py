"""Series of the charts: days put together to weeks, months or years where there are many, and the labels of the axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from kchat.archive.report import wording

if TYPE_CHECKING:
    from kchat.archive.stats import Day

MOST_DAYS = 92
"""Days that are shown one by one: three months."""

MOST_BINS = 120
"""Bars of a chart that one can still tell apart on a telephone."""


class Bin(NamedTuple):
    """One place on the axis of a chart.

    Attributes:
        start: its first date.
        label: for its row of the table.
        messages: how many.
    """

    start: date
    label: str
    messages: int


class Presence(NamedTuple):
    """How many people wrote in a day or week, or on average in the weeks of a month or year.

    Attributes:
        start: the first date.
        label: for its row of the table.
        new: those that had never written before.
        returning: the others.
    """

    start: date
    label: str
    new: float
    returning: float


class Tick(NamedTuple):
    """A label under a chart: the number of the bar that it begins at."""

    place: int
    text: str


def messages(days: Sequence[Day], weeks: Sequence[Day]) -> tuple[str, list[Bin]]:
    """Messages over time, and per what: ``day``, ``week``, ``month`` or ``year``, so that there are not too many bars."""
    if len(days) <= MOST_DAYS:
        return "day", [Bin(each.date, wording.short_weekday(each.date), each.messages) for each in days]
    if len(weeks) <= MOST_BINS:
        return "week", [Bin(each.date, f"from {wording.day(each.date)}", each.messages) for each in weeks]
    unit, groups = _together(days)
    return unit, [
        Bin(each[0].date, _label(unit, each[0].date), sum(day.messages for day in each)) for each in groups
    ]


def people_by_day(days: Sequence[Day]) -> list[Presence]:
    """Who wrote, day by day."""
    return [Presence(each.date, wording.short_weekday(each.date), each.new, each.returning) for each in days]


def people_by_week(weeks: Sequence[Day]) -> tuple[str, list[Presence]]:
    """Who wrote, per ``week``; of many weeks, the average week of each ``month`` or ``year``.

    The people of a month are not known from those of its weeks, who may be the same.
    """
    if len(weeks) <= MOST_BINS:
        return "week", [
            Presence(each.date, f"from {wording.day(each.date)}", each.new, each.returning) for each in weeks
        ]
    unit, groups = _together(weeks)
    return unit, [
        Presence(
            each[0].date,
            _label(unit, each[0].date),
            sum(week.new for week in each) / len(each),
            sum(week.returning for week in each) / len(each),
        )
        for each in groups
    ]


def _together(days: Sequence[Day]) -> tuple[str, list[list[Day]]]:
    months = [list(each) for _, each in groupby(days, lambda day: (day.date.year, day.date.month))]
    if len(months) <= MOST_BINS:
        return "month", months
    return "year", [list(each) for _, each in groupby(days, lambda day: day.date.year)]


def _label(unit: str, start: date) -> str:
    return f"{wording.MONTHS[start.month - 1]} {start.year}" if unit == "month" else str(start.year)


def steps(most: float, lines: int = 4) -> list[int]:
    """Whole numbers for the lines of a chart, from 0 to the first that is not below ``most``: 0, 200, 400."""
    size = 1
    while size * lines < most:
        for factor in (2, 5, 10):
            if size * factor * lines >= most:
                size *= factor
                break
        else:
            size *= 10
    return [size * each for each in range(max(1, -(-int(-(-most // 1)) // size)) + 1)]


def _day_and_month(day: date) -> str:
    return f"{day.day} {wording.MONTHS[day.month - 1]}"


def _month(day: date) -> str:
    name = wording.MONTHS[day.month - 1]
    return f"{name} {day.year}" if day.month == 1 else name


def _year(day: date) -> str:
    return str(day.year)


def _years(many: int) -> Callable[[date], object]:
    return lambda day: day.year // many


_LEVELS: tuple[tuple[Callable[[date], object], Callable[[date], str]], ...] = (
    (lambda day: day, _day_and_month),
    (lambda day: (day.toordinal() - 1) // 7, _day_and_month),
    (lambda day: (day.toordinal() - 1) // 14, _day_and_month),
    (lambda day: (day.year, day.month), _month),
    (lambda day: (day.year, (day.month - 1) // 3), _month),
    *((_years(many), _year) for many in (1, 2, 5, 10, 20, 50, 100, 500, 10_000)),
)
"""What begins at a label, from the finest on, and how it reads. Ordinal 1 is a Monday."""


def ticks(starts: Sequence[date], most: int) -> list[Tick]:
    """The labels under bars that begin on these dates: at the beginnings of weeks, months or years, at most so many."""
    found: list[Tick] = []
    for begins, text in _LEVELS:
        found = [
            Tick(place, text(start))
            for place, start in enumerate(starts)
            if not place or begins(start) != begins(starts[place - 1])
        ]
        if len(found) > 1 and found[1].place * most < len(starts) * 0.7:
            found.pop(0)  # the first is no beginning of its own, and its label would run into the next one
        if len(found) <= most:
            break
    return found
