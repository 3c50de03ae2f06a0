"""The figures as a table for programs that have no JSON: spreadsheets, ``awk``, data frames.

One row is one number, moment or name: which ``table`` it is of, which ``item`` of that table, which ``other`` item where
there are two (who was mentioned; the hour beside the weekday), which ``figure`` of it, and the ``value``. Tables and figures
have the names of the keys of :meth:`kchat.archive.stats.Stats.to_json`; what has one value only is in the table ``totals``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

_KEYS = {"top": ("username",), "starters": ("username",), "words": ("word",), "mentions": ("by", "of")}
"""What tells the items of a list apart; the others have a date."""

_MAY_BE_NONE = ("busiest", "words")
"""Tables that may be missing."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection")."""


class Row(NamedTuple):
    """A figure."""

    table: str
    item: str | None
    other: str | None
    figure: str
    value: Any


def rows(stats: Stats) -> Iterator[Row]:
    """All figures, in the order of the JSON's keys."""
    for key, value in stats.to_json().items():
        if key == "heat":
            for weekday, hours in enumerate(value, 1):
                yield from (
                    Row(key, str(weekday), str(hour), "messages", many) for hour, many in enumerate(hours)
                )
        elif key == "per_hour":
            yield from (Row(key, str(hour), None, "messages", many) for hour, many in enumerate(value))
        elif key == "rooms":
            yield from (Row(key, str(number), None, "room", room) for number, room in enumerate(value, 1))
        elif isinstance(value, list):
            yield from _of_list(key, value)
        elif isinstance(value, dict):
            yield from (Row(key, None, None, figure, each) for figure, each in value.items())
        elif key not in _MAY_BE_NONE:
            yield Row("totals", None, None, key, value)


def _of_list(table: str, items: list[dict[str, Any]]) -> Iterator[Row]:
    keys = _KEYS.get(table, ("date",))
    for each in items:
        item, other = (*(each[key] for key in keys), None)[:2]
        yield from (
            Row(table, item, other, figure, value) for figure, value in each.items() if figure not in keys
        )


def to_csv(columns: Sequence[str], values: Iterable[Sequence[object]]) -> Iterator[str]:
    r"""CSV lines (RFC 4180), the header first, that are safe to look at and to open in a spreadsheet.

    Control characters are escaped as everywhere (``\x1b``, ``\n``), and text that a spreadsheet would take for a formula
    gets an apostrophe in front. JSON has the values as they are.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for row in ([columns], values):
        for cells in row:
            writer.writerow(map(_cell, cells))
            yield written.getvalue()
            written.seek(0)
            written.truncate()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.hex()
    if not isinstance(value, str):
        return value
    shown = escape_unprintable(value, keep_newlines=False)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def to_arrow(items: Iterable[Any], kind: type | None = None) -> Any:
    """Of dataclasses or named tuples of one kind: :func:`kchat.archive.to_arrow`."""
    from kchat.archive.arrow import pyarrow

    pa = pyarrow()
    held = list(items)
    if kind is None:
        if not held:
            return pa.table({})
        kind = type(held[0])
    types = {
        "str": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("ms", tz="UTC"),
    }
    columns = {}
    for name, annotation in kind.__annotations__.items():
        # As text in either, as every module postpones annotations. A type that is not here is Arrow's own guess.
        written = str(getattr(annotation, "__forward_arg__", annotation)).removesuffix(" | None")
        columns[name] = pa.array([getattr(each, name) for each in held], type=types.get(written))
    return pa.table(columns)
