"""Which rows of the live table are on the screen: the newest, or where somebody looks back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kchat.display.backlog import Backlog

Height = Callable[[int], int]
"""How many lines the row at a place takes."""


class Page(NamedTuple):
    """What fits on the screen.

    Attributes:
        top: the place of the first row.
        end: the place behind the last row.
        hidden: how many of the first row's lines have scrolled off.
    """

    top: int
    end: int
    hidden: int


class Position:
    """Where one looks: at the newest rows, which follow as they come, or at a place that stays while others come.

    Attributes:
        end: the place behind the last row to show; None for the newest.
    """

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self.end: int | None = None

    def page(self, room: int, height: Height) -> Page:
        """What to show in this number of lines. Rows that are no longer kept are replaced by those that follow."""
        backlog = self._backlog
        if self.end is not None:
            self.end = max(self.end, self._down(backlog.first, room, height))
            if self.end >= backlog.end:
                self.end = None
        return self._up(backlog.end if self.end is None else self.end, room, height)

    def move(self, key: str, room: int, height: Height) -> bool:
        """Move by a key: ``pageup``, ``pagedown``, ``up``, ``down``, ``home``, ``end``; returns whether it is one of them.

        A page leaves one row of the last one on the screen.
        """
        backlog, page = self._backlog, self.page(room, height)
        if key == "pageup":
            # The first row that is whole becomes the last; a row that fills the screen must not hold it.
            end = min(page.top + 1 + (page.hidden > 0), page.end - 1)
        elif key == "pagedown":
            end = max(self._down(page.end - 1, room, height), page.end + 1)
        elif key in ("up", "down"):
            end = page.end + (1 if key == "down" else -1)
        elif key == "home":
            end = backlog.first
        elif key == "end":
            end = backlog.end
        else:
            return False
        # A page that is not full is of the oldest rows: there is nothing to look back at.
        end = max(end, self._down(backlog.first, room, height))
        self.end = end if end < backlog.end else None
        return True

    def _up(self, end: int, room: int, height: Height) -> Page:
        top = end
        while room > 0 and top > self._backlog.first:
            top -= 1
            room -= height(top)
        return Page(top, end, max(0, -room))

    def _down(self, top: int, room: int, height: Height) -> int:
        end = top
        while end < self._backlog.end:
            room -= height(end)
            if room < 0:
                break
            end += 1
        return end
