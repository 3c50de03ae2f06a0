"""What was typed before, and what a half-typed word may become."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kchat.tui.slash import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterable

REMEMBERED = 200
"""Maximum number of messages that Up brings back."""


class Typed:
    """What was sent from here, to be brought back by Up and Down; what is being written is kept meanwhile."""

    def __init__(self) -> None:
        self._sent: list[str] = []
        self._at = 0
        self._draft = ""

    def add(self, text: str) -> None:
        """Remember what was sent; a repeat of the last one once."""
        if not self._sent or self._sent[-1] != text:
            self._sent.append(text)
            del self._sent[:-REMEMBERED]
        self._at = len(self._sent)

    def older(self, current: str) -> str | None:
        """What was sent before; ``None`` at the beginning.

        Arguments:
            current: what is in the editor, to come back to.
        """
        if self._at == 0:
            return None
        if self._at == len(self._sent):
            self._draft = current
        self._at -= 1
        return self._sent[self._at]

    def newer(self) -> str | None:
        """What was sent after that, and last the draft; ``None`` at the end."""
        if self._at >= len(self._sent):
            return None
        self._at += 1
        return self._draft if self._at == len(self._sent) else self._sent[self._at]


class Completion(NamedTuple):
    """Words that the one before the cursor may become.

    Attributes:
        start: where that word begins.
        words: what to put there, one after the other.
    """

    start: int
    words: tuple[str, ...]


def complete(before: str, names: Iterable[str]) -> Completion | None:
    """Complete a command at the beginning, or a name anywhere.

    Arguments:
        before: the text up to the cursor.
        names: of people, the likeliest first.

    Returns:
        What it may become; ``None`` where nothing fits.
    """
    start = max(before.rfind(" "), before.rfind("\n")) + 1
    word = before[start:]
    if start == 0 and word.startswith("/") and not word.startswith("//"):
        words = tuple(f"/{name} " for name in COMMANDS if name.startswith(word[1:].lower()))
        return Completion(0, words) if words else None
    at = "@" if word.startswith("@") else ""
    stem = word.removeprefix("@").casefold()
    if not stem and not at:
        return None
    ending = " " if at or start else ": "
    found = dict.fromkeys(f"{at}{name}{ending}" for name in names if name.casefold().startswith(stem))
    return Completion(start, tuple(found)) if found else None
