"""The list of rooms: beside the messages, or on one row in a narrow window. A window with one room has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kchat.tui.bars import Bar, room_row, room_rows

if TYPE_CHECKING:
    from textual.screen import Screen

    from kchat.tui.palette import Palette
    from kchat.tui.session import Session

COLUMNS = 20
"""Of the list beside the messages."""

_BESIDE_FROM = 76
"""Columns of a window that has room for it there."""


class RoomList:
    """Two bars, of which one is shown. They are made when there is a second room, for the first frame is sooner without.

    Arguments:
        palette: the colours.
    """

    def __init__(self, palette: Palette) -> None:
        self._beside = Bar("rooms", palette)
        self._below = Bar("room-row", palette)

    def recolor(self, palette: Palette) -> None:
        """Draw in other colours."""
        self._beside.recolor(palette)
        self._below.recolor(palette)

    def draw(self, screen: Screen[None], session: Session, columns: int, lines: int) -> int:
        """Draw the list that fits.

        Arguments:
            screen: where it is.
            session: has the rooms.
            columns: of the window.
            lines: likewise.

        Returns:
            The columns that are left beside it.
        """
        several, beside = len(session.rooms) > 1, columns >= _BESIDE_FROM
        if several and not self._beside.is_attached:
            screen.mount(self._beside)
            screen.mount(self._below, before="#prompt")
        self._beside.display, self._below.display = several and beside, several and not beside
        if not several:
            return columns
        if beside:
            self._beside.set_rows(room_rows(session.rooms, session.current, COLUMNS, lines))
            return columns - COLUMNS
        self._below.set_rows([room_row(session.rooms, session.current, columns)])
        return columns
