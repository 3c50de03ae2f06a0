"""The tables: the numbers of each chart, folded under it, and lists of people, each with a bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kchat.archive.report import charts
from kchat.archive.report.markup import Child, Element, add, element

_SHORT = 8  # rows that are not set in columns


def numbers(caption: str, head: Sequence[str], rows: Sequence[Sequence[Child]], *, look: str = "") -> Element:
    """The numbers of a chart, to unfold; on paper they are there.

    Arguments:
        caption: what they are.
        head: of the columns.
        rows: the first cell of each is its head.
        look: another class of the table. Default: none.
    """
    found = _table(caption, head, f"numbers {look}".rstrip())
    body = element("tbody")
    for first, *others in rows:
        body.append(
            element("tr", element("th", first, scope="row"), *(element("td", each) for each in others))
        )
    found.append(body)
    place = "table" if len(rows) <= _SHORT or look else "table columns"
    return element(
        "details",
        element("summary", "Numbers", element("span", f": {caption}", class_="unseen")),
        element("div", found, class_=place),
    )


class Line(NamedTuple):
    """One line of a list.

    Attributes:
        head: whom or what it is about.
        part: how long the bar is, 0 to 1: of the first line's.
        cells: its numbers.
    """

    head: Element
    part: float
    cells: Sequence[str]


def ranking(caption: str, head: Sequence[str], lines: Sequence[Line], *, always: int = 2) -> Element:
    """A list with a bar in each line.

    Arguments:
        caption: what it is.
        head: of the columns.
        lines: the longest bar first.
        always: the number of columns of numbers that stand side by side on a narrow page too; others stand under them there.
    """
    found = _table(caption, head, "ranking", always)
    body = element("tbody")
    for line in lines:
        row = element(
            "tr", element("th", element("div", line.head, charts.part(line.part), class_="who"), scope="row")
        )
        for number, (cell, title) in enumerate(zip(line.cells, head[1:], strict=True)):
            row.append(element("td", cell, **_more(number >= always, title)))
        body.append(row)
    found.append(body)
    return element("div", found, class_="table")


def _more(more: bool, title: str) -> dict[str, str]:  # noqa: FBT001 - of one caller
    return {"class_": "more", "data_title": title.lower()} if more else {}


def _table(caption: str, head: Sequence[str], look: str, always: int | None = None) -> Element:
    row = element("tr")
    for number, title in enumerate(head):
        more = always is not None and number > always
        row.append(element("th", title, scope="col", **({"class_": "more"} if more else {})))
    return add(element("table", class_=look), element("caption", caption), element("thead", row))
