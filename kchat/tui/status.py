"""What is said at the bottom of the window."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from kchat.display.escaping import width
from kchat.message.unprintable import escape_unprintable
from kchat.tui.bars import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.tui.bars import Piece
    from kchat.tui.session import Session
    from kchat.tui.view import View

HINT_SECONDS = 4.0
"""Seconds for which a hint is shown."""

_STYLES = {"good": "bar-muted", "new": "bar-new", "bad": "bar-error"}


class Status:
    """The state of the connection, and now and then a hint in its place."""

    def __init__(self) -> None:
        self._hint: tuple[float, str, str] | None = None

    def hint(self, text: str, style: str = "bar-strong") -> None:
        """Say something for a few seconds."""
        self._hint = monotonic(), escape_unprintable(text, keep_newlines=False), style

    def clear(self) -> None:
        """The last hint is of no use any more: something else is done."""
        self._hint = None

    def row(self, session: Session, view: View, columns: int, *, searches: bool) -> list[Piece]:
        """The row.

        Arguments:
            session: whose current room it is about.
            view: what is seen of that room.
            columns: of the window.
            searches: whether the prompt is used to search.
        """
        unsent = len(session.current.outbox.unsent)
        text, kind = session.status(session.current)
        waits = f"{unsent} not sent yet · " if unsent and kind != "good" else ""
        if width(waits) + width(text) + 2 > columns:
            text = text.partition(" (")[0]
        left: list[Piece] = [(text, _STYLES[kind])]
        if self._hint is not None and monotonic() - self._hint[0] < HINT_SECONDS:
            left = [self._hint[1:]]
        if waits:
            left.insert(0, (waits, "bar-strong"))
        right: list[Piece] = []
        if not view.follows:
            new = view.new_below
            right.append((f"↓ {new} new · End" if new else "↓ End", "bar-new" if new else "bar-muted"))
        elif not searches:
            right.append(("F1 help", "bar-muted"))
        return fitted(left, right, columns)


def fitted(left: Sequence[Piece], right: Sequence[Piece], columns: int) -> list[Piece]:
    """What is said at the bottom. The right side gives way to the left, piece by piece, and the left is cut last."""
    kept = list(right)
    taken = sum(width(text) for text, _ in left) + 2  # one before it, and one at least behind it
    while kept and taken + sum(width(text) for text, _ in kept) + 1 > columns:
        kept.pop()
    room = columns - 1 - sum(width(text) for text, _ in kept)
    shown: list[Piece] = [(" ", "bar")]
    for text, style in left:
        piece = cut(text, room - 1)
        room -= width(piece)
        if piece:
            shown.append((piece, style))
    return [*shown, (" " * max(0, room - 1), "bar"), *kept, (" ", "bar")]
