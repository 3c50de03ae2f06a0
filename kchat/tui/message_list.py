"""The widget with the messages of a room: it draws what a :class:`~kchat.tui.view.View` sees, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.events import MouseScrollDown, MouseScrollUp, Resize
    from textual.geometry import Size
    from textual.selection import Selection

    from kchat.tui.layout import Row
    from kchat.tui.palette import Palette
    from kchat.tui.view import Seen, View

WHEEL = 3
"""Rows for each click of the wheel."""


class MessageList(Widget, can_focus=False):
    """Messages, the newest at the bottom.

    Arguments:
        palette: the colours.
        moved: called when the user has moved.
    """

    def __init__(self, palette: Palette, moved: Callable[[], object]) -> None:
        super().__init__(id="messages")
        self._palette = palette
        self._moved = moved
        self._rows: list[Seen] = []
        self._strips: dict[int, tuple[Row, Strip]] = {}
        self._view: View | None = None

    @property
    def view(self) -> View:
        """What is looked at."""
        assert self._view is not None
        return self._view

    def show(self, view: View) -> None:
        """Look at another room."""
        self._view = view
        self.update_rows()

    def recolor(self, palette: Palette) -> None:
        """Draw in other colours."""
        self._palette = palette
        self._strips.clear()
        self.refresh()

    def update_rows(self) -> None:
        """Look at the rows again, and draw them if they have changed."""
        if self._view is None or not self.size:
            return
        self._view.resize(self.size.width, self.size.height)
        rows = self._view.seen()
        if rows != self._rows or not rows:  # not while one looks back, and others write
            self._rows = rows
            self.refresh()

    def drawn(self) -> list[Strip]:
        """The rows as they are drawn, without those that are empty."""
        return [self._strip(seen.row) for seen in self._rows]

    def links(self) -> list[str]:
        """The targets of the links on the screen, the lowest first."""
        found = [span.link for seen in reversed(self._rows) for span in reversed(seen.row) if span.link]
        return list(dict.fromkeys(found))

    # ---- drawing

    def render_line(self, y: int) -> Strip:
        """Draw a row. Few messages stand at the bottom, by the prompt."""
        index = y - (self.size.height - len(self._rows))
        width = self.size.width
        ground = Style(color=self._palette.text, bgcolor=self._palette.ground)
        if not self._rows and y == self.size.height - 1 and self._view is not None:
            hint = Segment(f" {self._view.if_empty}", ground + self._palette.styles["note"])
            return Strip([hint]).adjust_cell_length(width, ground)
        if not 0 <= index < len(self._rows):
            return Strip.blank(width, ground)
        strip = self._strip(self._rows[index].row)
        return strip.apply_offsets(0, y)

    def _strip(self, row: Row) -> Strip:
        known = self._strips.get(id(row))
        if known is not None and known[0] is row and known[1].cell_length == self.size.width:
            return known[1]
        if len(self._strips) > 4 * max(1, self.size.height):
            self._strips.clear()
        ground = Style(color=self._palette.text, bgcolor=self._palette.ground)
        styles = self._palette.styles
        behind = next((styles[span.style].bgcolor for span in row if span.style in _GROUNDS), None)
        base = ground if behind is None else ground + Style(bgcolor=behind)
        segments = [
            Segment(span.text, base + styles[span.style] + (Style(link=span.link) if span.link else _PLAIN))
            for span in row
        ]
        strip = Strip(segments).adjust_cell_length(self.size.width, base)
        self._strips[id(row)] = row, strip
        return strip

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text that is selected by the mouse."""
        blank = [""] * (self.size.height - len(self._rows))
        text = "\n".join([*blank, *("".join(span.text for span in seen.row) for seen in self._rows)])
        return selection.extract(text), "\n"

    # ---- moving

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """As high as the room for it."""
        return container.height

    def on_resize(self, event: Resize) -> None:
        """Lay out for another size."""
        event.stop()
        self.update_rows()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel, up."""
        event.stop()
        self.scroll_rows(-WHEEL)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel, down."""
        event.stop()
        self.scroll_rows(WHEEL)

    def scroll_rows(self, rows: int) -> None:
        """Move by a number of rows; below 0 is up."""
        self.view.scroll(rows)
        self._after_move()

    def page(self, pages: int) -> None:
        """Move by screens; below 0 is up."""
        self.view.page(pages)
        self._after_move()

    def to_start(self) -> None:
        """Look at the oldest."""
        self.view.to_start()
        self._after_move()

    def to_last(self, number: int) -> None:
        """Look at the last messages of this number, or at the oldest where there are fewer."""
        self.view.to_last(number)
        self._after_move()

    def to_end(self) -> None:
        """Look at the newest, and follow what comes."""
        self.view.to_end()
        self._after_move()

    def _after_move(self) -> None:
        self.update_rows()
        self._moved()


_GROUNDS = {"own", "own-action", "own-name", "sending", "sending-name", "failed", "failed-name", "reason"}
"""Spans that have a ground of their own, which goes across their row."""

_PLAIN = Style()
