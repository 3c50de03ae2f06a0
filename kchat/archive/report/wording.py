"""Numbers, times and names as people read them, in English whatever the machine's locale is."""

from __future__ import annotations

from datetime import date, datetime

from kchat.archive.report.markup import Element, element
from kchat.display.escaping import display_name

NOBODY = "(no name)"
"""For messages without a username."""

DASH = "\N{EN DASH}"

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

NAME_COLUMNS = 48
"""Maximum width of a name in columns of a terminal; a longer one ends in ``…``."""

_ISOLATE, _END = "\u2068", "\u2069"

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def number(value: float) -> str:
    """With thousands separators; one decimal where it is small and not whole: ``12,345``, ``3.4``."""
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}"


def average(value: float) -> str:
    """With one decimal: ``55.5``; what rounds to nothing without being it says so: ``<0.1``."""
    return "<0.1" if 0 < value < 0.05 else number(round(value, 1))


def compact(value: int) -> str:
    """For the axis of a chart: ``950``, ``12k``, ``1.5M``."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= 10 * size or (value >= size and size > 10**3):
            return f"{value / size:.1f}".removesuffix(".0") + unit
    return f"{value:,}"


def count(value: int, one: str, more: str = "") -> str:
    """With its noun: ``1 message``, ``2,000 messages``, ``2 people``."""
    return f"{number(value)} {one if value == 1 else more or one + 's'}"


def share(value: float) -> str:
    """A part of the whole, 0 to 1, in percent: ``12.3%``; what rounds to nothing or to all without being it says so."""
    if 0 < value < 0.0005:
        return "<0.1%"
    if 0.9995 <= value < 1:
        return ">99.9%"
    return f"{100 * value:.{int(0 < value < 1)}f}%"


def duration(seconds: float | None) -> str:
    """The two greatest units: ``850 ms``, ``4.2 s``, ``12 min 30 s``, ``5 h``, ``3 days 4 h``; a dash for None."""
    if seconds is None:
        return DASH
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms" if seconds else "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole // _MINUTE, "min", whole % _MINUTE, "s")
    whole = round(seconds / _MINUTE)
    if whole < _DAY // _MINUTE:
        return _two(whole // 60, "h", whole % 60, "min")
    whole = round(seconds / _HOUR)
    days = whole // 24
    return _two(days, "day" if days == 1 else "days", whole % 24, "h")


def _two(many: int, unit: str, rest: int, smaller: str) -> str:
    return f"{many:,} {unit} {rest} {smaller}" if rest else f"{many:,} {unit}"


def day(value: date) -> str:
    """``3 Mar 2026``."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def weekday(value: date) -> str:
    """``Tuesday, 3 Mar 2026``."""
    return f"{WEEKDAYS[value.weekday()]}, {day(value)}"


def short_weekday(value: date) -> str:
    """``Tue 3 Mar 2026``, for a row of a table."""
    return f"{WEEKDAYS[value.weekday()][:3]} {day(value)}"


def period(first: date, last: date) -> str:
    """The first and the last date, the year once where it is the same; one date where both are."""
    if first == last:
        return day(first)
    begin = f"{first.day} {MONTHS[first.month - 1]}" if first.year == last.year else day(first)
    return f"{begin} {DASH} {day(last)}"


def moment(value: datetime) -> str:
    """To the minute: ``3 Mar 2026, 14:05``."""
    return f"{day(value)}, {value:%H:%M}"


def hour(value: int) -> str:
    """``20:00``."""
    return f"{value % 24:02}:00"


def name(username: str | None) -> Element:
    """A name for the page, isolated: letters from right to left, or whatever it holds, order nothing but itself."""
    if username is None:
        return element("span", NOBODY, class_="nobody")
    return element("bdi", display_name(username, NAME_COLUMNS))


def safe(text: str) -> Element:
    """A word, the name of a room or of an archive for the page, isolated and shortened as names are."""
    return element("bdi", display_name(text, 2 * NAME_COLUMNS))


def plain(text: str | None, columns: int = NAME_COLUMNS) -> str:
    """A name where there is room for text alone, such as a page's title; isolated by characters (UAX 9) if need be."""
    if text is None:
        return NOBODY
    shown = display_name(text, columns)
    return shown if shown.isascii() else f"{_ISOLATE}{shown}{_END}"
