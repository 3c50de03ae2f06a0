"""A room's entries as rows of a screen: who, when, what, with lines where a day or what is new begins.

No row that comes from a message can look like one of the window's own: lines across the window begin in the first column,
notes in that of the names without a time, and text stays in its own column.
"""

from __future__ import annotations

import time
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from kchat.display.escaping import cautious_cells, take_columns, width
from kchat.display.lines import local, wrap
from kchat.tui.outbox import State
from kchat.tui.words import links, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kchat.tui.names import Sender
    from kchat.tui.outbox import Written
    from kchat.tui.timeline import Day, Entry
    from kchat.tui.words import Highlights

MOST_ROWS = 200
"""Rows of one message; what is longer is cut, with a mark."""

_TIME = len(" 12:04  ")
_GAP = 2
_SHORT_TIME = len(" 12:04 ")
_JOINERS = "\u200c\u200d"
_NARROW, _NARROWEST = 56, 30
_LEAST_TEXT = 2


class Span(NamedTuple):
    """A piece of a row. ``style`` is a name that the window has a style for; ``link`` is the whole link that it is of."""

    text: str
    style: str
    link: str = ""


Row = list[Span]


class Measure(NamedTuple):
    """The columns of a window.

    Attributes:
        columns: of the window.
        names: of the names.
    """

    columns: int
    names: int

    @property
    def time(self) -> int:
        """Columns of the time, with what is around it."""
        if self.columns < _NARROWEST:
            return 1  # there is no room for it
        return _SHORT_TIME if self.columns < _NARROW else _TIME

    @property
    def gap(self) -> int:
        """Columns between names and text."""
        return 1 if self.columns < _NARROW else _GAP

    @property
    def text(self) -> int:
        """Columns of the text."""
        return max(_LEAST_TEXT, self.columns - self.indent - 1)

    @property
    def indent(self) -> int:
        """Columns before the text."""
        return self.time + self.names + self.gap


def most_name_columns(columns: int) -> int:
    """Maximum width of the names in a window of this width."""
    return max(6, min(20, columns // 5))


class Before(NamedTuple):
    """What stands before an entry.

    Attributes:
        day: what the line with its day says, as of :func:`day_name`; empty for no line.
        new: the line "new".
        named: whether its sender's name is shown: it has not the one of the entry before.
    """

    day: str
    new: bool
    named: bool


def rows_of(
    entry: Entry,
    before: Before,
    sender: Sender,
    highlights: Highlights,
    measure: Measure,
    *,
    search: str = "",
) -> list[Row]:
    """The rows of an entry that is in the room.

    Arguments:
        entry: it.
        before: what stands before it.
        sender: how its sender is called; of no use for a note.
        highlights: what stands out in its text.
        measure: the columns of the window.
        search: words that are searched for, which stand out; empty for none.
    """
    rows: list[Row] = []
    if before.day:
        rows.append(_rule(before.day, measure.columns, "day"))
    if before.new:
        rows.append(_rule("new", measure.columns, "new"))
    if entry.is_note:
        indent = " " * measure.time
        texts = wrap(f"· {entry.text}", max(1, measure.columns - measure.time - 3)).split("\n")
        rows += [
            [Span(f"{indent}{'  ' if number else ''}{text}", "note")] for number, text in enumerate(texts)
        ]
        return rows
    style = ("own" if entry.mine else "text") + ("-action" if entry.kind else "")
    body = list(_text_rows(entry, style, highlights, measure, search))
    if entry.alone:
        body += _alone(measure)
    return [*rows, *_beside(entry, sender, body, measure, named=before.named)]


def rows_of_written(written: Written, before: Before, sender: Sender, measure: Measure) -> list[Row]:
    """The rows of a message that is not in the room yet.

    Arguments:
        written: it.
        before: as of :func:`rows_of`.
        sender: likewise.
        measure: likewise.
    """
    style = {State.SENDING: "sending", State.CONFIRMED: "own", State.FAILED: "failed"}[written.state]
    entry = written.entry
    body = list(_text_rows(entry, style, None, measure, ""))
    if written.state is State.FAILED:
        reason = f"not sent: {written.reason} · Ctrl+R sends it again, Ctrl+X discards it"
        body += [[Span(row, "reason")] for row in wrap(reason, measure.text).split("\n")]
    elif entry.alone:
        body += _alone(measure)
    rows = [_rule(before.day, measure.columns, "day")] if before.day else []
    return [*rows, *_beside(entry, sender, body, measure, named=before.named, style=style)]


def _alone(measure: Measure) -> list[Row]:
    return [[Span(row, "own-note")] for row in wrap("nobody is here to read it", measure.text).split("\n")]


def day_name(entry: Entry, today: Day) -> str:
    """``today``, ``yesterday``, ``Fri 20 Nov``, or with the year where it is not this one."""
    day, now = date(*entry.day), date(*today)
    if day == now:
        return "today"
    if (now - day).days == 1:
        return "yesterday"
    return day.strftime("%a %-d %b" if day.year == now.year else "%a %-d %b %Y")


def _rule(text: str, columns: int, style: str) -> Row:
    """``───── today ─────``, across the window."""
    rest = max(0, columns - len(text) - 2)
    return [
        Span("─" * (rest // 2), style),
        Span(f" {text} ", f"{style}-text"),
        Span("─" * (rest - rest // 2), style),
    ]


def _beside(
    entry: Entry, sender: Sender, body: list[Row], measure: Measure, *, named: bool, style: str = ""
) -> list[Row]:
    """Time and name before the first row of the text, and nothing before the others."""
    clock = time.strftime("%H:%M", local(entry.seconds))
    lead: Row = [Span(f" {clock}".ljust(measure.time)[: measure.time], "time")]
    if named:
        name, mark = sender.fitted(measure.names)
        if entry.mine:
            lead.append(Span(name, f"{style}-name" if style in ("sending", "failed") else "own-name"))
        else:
            lead.append(Span(name, f"name-{sender.color}" if sender.color >= 0 else "name"))
        if mark:
            lead.append(Span(mark, "mark"))
        left = measure.names - width(name, cautious_cells) - width(mark, cautious_cells)
        lead.append(Span(" " * (max(0, left) + measure.gap), "text"))
    else:
        lead.append(Span(" " * (measure.names + measure.gap), "text"))
    indent = Span(" " * measure.indent, "text")
    return [[*(lead if number == 0 else [indent]), *row] for number, row in enumerate(body or [[]])]


def _text_rows(
    entry: Entry, style: str, highlights: Highlights | None, measure: Measure, search: str
) -> Iterator[Row]:
    """The text in its column, wrapped, with its links and words."""
    text = safe(entry.text, total=entry.total or None)
    marks = _marks(text, style, highlights, search)
    for number, (row, start) in enumerate(wrapped(text, measure.text)):
        if number == MOST_ROWS:
            mark = f"… [cut: {len(text):,} characters in all]"
            yield [Span(take_columns(mark, measure.text, cautious_cells), "note")]
            return
        yield list(_styled(row, start, marks, style))


class _Mark(NamedTuple):
    start: int
    end: int
    style: str
    link: str


def _marks(text: str, style: str, highlights: Highlights | None, search: str) -> list[_Mark]:
    marks = []
    mention = "link" if style.startswith("own") else "mention"
    for part in links(text) if highlights is None else highlights.parts(text):
        if part.link:
            marks.append(_Mark(part.start, part.end, "link", part.link))
        elif mention == "mention":
            marks.append(_Mark(part.start, part.end, "mention", ""))
    if not search:
        return marks
    found = []
    low, wanted = text.lower(), search.lower()
    at = low.find(wanted) if len(low) == len(text) else -1
    while at >= 0:
        found.append(_Mark(at, at + len(wanted), "found", ""))
        at = low.find(wanted, at + len(wanted))
    kept = [mark for mark in marks if not any(f.start < mark.end and mark.start < f.end for f in found)]
    return sorted([*kept, *found])


def _styled(row: str, start: int, marks: list[_Mark], style: str) -> Iterator[Span]:
    """The spans of a row that begins at a place of the text."""
    end, at = start + len(row), start
    for mark in marks:
        if mark.end <= at or mark.start >= end:
            continue
        left, right = max(mark.start, at), min(mark.end, end)
        if left > at:
            yield Span(row[at - start : left - start], style)
        yield Span(row[left - start : right - start], mark.style, mark.link)
        at = right
    if at < end:
        yield Span(row[at - start :], style)


def wrapped(text: str, columns: int) -> Iterator[tuple[str, int]]:
    """The rows of a safe text, each with the place in the text where it begins."""
    start = 0
    for line in text.split("\n"):
        at = 0
        for number, row in enumerate(wrap(line, columns).split("\n")):
            while number and line[at : at + 1] == " ":
                at += 1  # spaces where it was broken are left out
            yield row.rstrip(_JOINERS), start + at  # those that join nothing any more
            at += len(row)
        start += len(line) + 1
