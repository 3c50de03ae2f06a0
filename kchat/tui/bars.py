"""The bars of one row: the room above, the rooms beside or below, the status at the bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from kchat.display.escaping import display_name, take_columns, width
from kchat.tui.people import CROWD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.tui.palette import Palette
    from kchat.tui.room import Room

Piece = tuple[str, str]
"""A text, and the name of its style."""

_UNREAD_ELSEWHERE = len(" … @999+")

_PROMPT = 16
"""Maximum width of the name at the prompt."""


class Bar(Widget, can_focus=False):
    """Rows of pieces.

    Arguments:
        id: the widget's.
        palette: the colours.
    """

    def __init__(self, id: str, palette: Palette) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.palette = palette
        self._rows: list[list[Piece]] = []

    def set_rows(self, rows: list[list[Piece]]) -> None:
        """Show these rows; draws only where they are others."""
        if rows != self._rows:
            self._rows = rows
            self.refresh()

    def recolor(self, palette: Palette) -> None:
        """Draw in other colours."""
        self.palette = palette
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw a row."""
        styles = self.palette.styles
        pieces = self._rows[y] if y < len(self._rows) else []
        segments = [Segment(text, styles[style]) for text, style in pieces]
        return Strip(segments).adjust_cell_length(self.size.width, styles["bar"])


def cut(text: str, columns: int) -> str:
    """A safe text in this number of columns, with ``…`` where it was longer."""
    if width(text) <= columns:
        return text
    return take_columns(text, max(0, columns - 1)) + "…" if columns > 0 else ""


def header(room: Room, where: str, columns: int) -> list[Piece]:
    """``lunch · localhost · names not checked      ada · bob · cy   3 here``: what does not fit goes, the names first."""
    name = cut(display_name(room.name), max(4, columns - 2))
    left: list[Piece] = [(f" {name}", "bar-strong")]
    used = width(name) + 1
    unchecked = "" if room.names.checked else "names not checked"
    kept = sum(width(text) + len(" · ") for text in (where, unchecked) if text)
    here = _people(room, max(0, columns - used - 3), max(0, columns - used - 3 - kept))
    rest = columns - used - (width(here) + 2 if here else 0)
    if unchecked and kept > rest >= width(unchecked) + len(" · "):
        where = ""
    for text in (where, unchecked):
        if text and width(text) + len(" · ") <= rest:
            left.append((f" · {text}", "bar-muted"))
            rest -= width(text) + len(" · ")
    if here:
        used = sum(width(text) for text, _ in left) + width(here) + 1
        left += [(" " * max(1, columns - used), "bar"), (here, "bar-muted")]
    return left


def _people(room: Room, columns: int, names_in: int) -> str:
    """``ada · bob   2 here`` in ``names_in`` columns; the number alone where there is little room, or a crowd."""
    people = room.here
    if people is None:
        return ""
    names = room.who() if people.count <= CROWD else []
    for number in range(len(names), 0, -1):
        more = " …" if number < people.count else ""
        text = f"{' · '.join(names[:number])}{more}   {people}"
        if width(text) <= names_in:
            return text
    return str(people) if len(str(people)) <= columns else ""


def room_rows(rooms: Sequence[Room], current: Room, columns: int, lines: int) -> list[list[Piece]]:
    """The list of rooms, one on each row: its number, its name, what is unread.

    Of more than fit in these lines, the current one is on the list, and arrows count those above and below it.
    """
    fits = max(1, lines - 1)
    first, end = 0, len(rooms)
    if end > fits:
        fits = max(1, fits - 1)  # the last row counts those below
        first = max(0, min(rooms.index(current) - fits + 1, end - fits))
        end = first + fits
    rows: list[list[Piece]] = [[(" rooms", "bar-muted"), *_hidden("↑", rooms[:first])]]
    for number, room in enumerate(rooms[first:end], first + 1):
        count = _count((room,))
        key = f"{number}" if number < 10 else " "
        name = cut(display_name(room.name), max(1, columns - 4 - len(count) - 1))
        gap = " " * max(1, columns - 3 - width(name) - len(count) - 1)
        if room is current:
            rows.append([(f" {key} {name}{gap}{count} ", "bar-here")])
        else:
            style = "bar-new" if room.mentions else "bar-strong" if room.unread else "bar-muted"
            rows.append(
                [(f" {key} ", "bar-muted"), (name, style), (gap, "bar"), (count, style), (" ", "bar")]
            )
    if below := _hidden("↓", rooms[end:]):
        rows.append(below)
    return rows


def _hidden(arrow: str, rooms: Sequence[Room]) -> list[Piece]:
    """``↓ 7 more  @3``: rooms that are not on the list, and what is unread in them."""
    if not rooms:
        return []
    count = _count(rooms)
    pieces = [(f" {arrow} {len(rooms)} more", "bar-muted")]
    return (
        [*pieces, (f"  {count}", "bar-new" if count.startswith("@") else "bar-strong")] if count else pieces
    )


def room_row(rooms: Sequence[Room], current: Room, columns: int) -> list[Piece]:
    """The same on one row, for narrow windows, with the current room, and what is unread in those that are not on it."""
    pieces: list[Piece] = []
    for number, room in enumerate(rooms, 1):
        count = _count((room,))
        name = cut(display_name(room.name), 12)
        text = f" {number} {name}{f' {count}' if count else ''} "
        style = (
            "bar-here"
            if room is current
            else "bar-new"
            if room.mentions
            else "bar-strong"
            if room.unread
            else "bar-muted"
        )
        pieces.append((text, style))
    first, end = _around(pieces, rooms.index(current), columns)
    if end - first == len(rooms):
        return pieces
    first, end = _around(pieces, rooms.index(current), columns - _UNREAD_ELSEWHERE)
    count = _count([*rooms[:first], *rooms[end:]])
    style = "bar-new" if count.startswith("@") else "bar-strong"
    return [*pieces[first:end], (f" … {count}", style if count else "bar-muted")]


def _around(pieces: Sequence[Piece], at: int, columns: int) -> tuple[int, int]:
    """The first, and the end, of those that fit with the one at this index; those before it first."""
    first, end = at, at + 1
    left = columns - width(pieces[at][0])
    while first > 0 and (needed := width(pieces[first - 1][0])) <= left:
        first, left = first - 1, left - needed
    while end < len(pieces) and (needed := width(pieces[end][0])) <= left:
        end, left = end + 1, left - needed
    return first, end


def _count(rooms: Sequence[Room]) -> str:
    """What is unread: ``3``, or ``@3`` where some of it mentions this user."""
    unread = sum(room.unread for room in rooms)
    if not unread:
        return ""
    number = "999+" if unread > 999 else str(unread)
    return f"@{number}" if any(room.mentions for room in rooms) else number


def prompt(username: str, columns: int, *, searches: bool) -> str:
    """``ada> ``, or ``search> `` where it is used to search; at most a third of the window."""
    if searches:
        return " search> "
    return f" {cut(display_name(username), min(_PROMPT, columns // 3))}> "


def where(room: Room) -> str:
    """The broker, in one or two words."""
    broker = room.settings.broker
    if broker.transport.embedded or not broker.host:
        return "this machine" if broker.transport.embedded else broker.transport.name
    return display_name(broker.host)
