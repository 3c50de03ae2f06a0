"""The prompt: a text area of a few rows, in which Enter sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from unicodedata import category

from textual.message import Message
from textual.widgets import TextArea

from kchat.tui.typed import Completion, Typed, complete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.binding import BindingType
    from textual.events import Key, Paste

MOST_ROWS = 6
"""Rows that the prompt grows to."""

MOST_PASTED = 256 * 1024
"""Characters that can be pasted: more than anybody is shown of one message."""

_NEWLINE = {"shift+enter", "alt+enter", "ctrl+j"}
_BIDI = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Editor(TextArea, inherit_bindings=True):
    """Where messages are written.

    Arguments:
        names: gives the names that Tab completes, the likeliest first.
    """

    BINDINGS: ClassVar[list[BindingType]] = []

    class Entered(Message):
        """Enter was pressed. ``text``: what was written; the editor is empty now."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Moved(Message):
        """A key that moves in the messages: ``home``, ``end``, ``up``, ``down`` or ``escape``."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class TooLong(Message):
        """A text was pasted that is too long; it was left out. ``size``: in characters."""

        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        super().__init__(
            id="editor",
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            compact=True,
            highlight_cursor_line=False,
        )
        self.cursor_blink = False
        self._names = names
        self.typed = Typed()
        self.searches = False
        """Whether it is used to search: Enter, Up and Down go from one message to the next."""
        self._completion: tuple[Completion, int] | None = None

    def put(self, text: str) -> None:
        """Put another text there, with the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    # ---- keys

    async def _on_key(self, event: Key) -> None:
        key = event.key
        if key != "tab":
            self._completion = None
        handler = self._handler(key)
        if handler is None:
            return
        event.stop()
        event.prevent_default()
        handler()

    def _handler(self, key: str) -> Callable[[], object] | None:
        if key in _NEWLINE and not self.searches:
            return lambda: self.insert("\n")
        if key == "enter":
            return self._enter
        if key == "tab":
            return self._complete
        if key == "escape" or (self.searches and key in ("up", "down", "shift+enter")):
            return lambda: self.post_message(self.Moved(key))
        if key in ("home", "end") and not self.text:
            return lambda: self.post_message(self.Moved(key))
        if key == "up" and self.cursor_at_first_line and not self.selected_text:
            return self._older
        if key == "down" and self.cursor_at_last_line and not self.selected_text:
            return self._newer
        return None

    async def _on_paste(self, event: Paste) -> None:
        """Pasted text is one message, however many lines it has; what would do something to a terminal is left out."""
        event.stop()
        event.prevent_default()
        self._completion = None
        if len(event.text) > MOST_PASTED:
            self.post_message(self.TooLong(len(event.text)))
            return
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        clean = "".join(
            character
            for character in text
            if character in "\n\t" or not (category(character) in ("Cc", "Cs") or character in _BIDI)
        )
        start, end = self.selection
        self.replace(
            clean.rstrip("\n") if self.searches else clean, start, end, maintain_selection_offset=False
        )

    def _enter(self) -> None:
        text = self.text
        if self.searches:
            self.post_message(self.Moved("enter"))
            return
        if text.strip():
            self.typed.add(text)
            self.load_text("")
            self.post_message(self.Entered(text))

    def _older(self) -> None:
        text = self.typed.older(self.text)
        if text is not None:
            self.put(text)

    def _newer(self) -> None:
        text = self.typed.newer()
        if text is not None:
            self.put(text)

    def _complete(self) -> None:
        """Complete the word before the cursor; another Tab takes the next one that fits."""
        if self._completion is None:
            before = self.get_text_range((0, 0), self.cursor_location)
            found = complete(before, self._names())
            if found is None:
                return
            self._completion = (found, -1)
            ends = len(before)
        else:
            found, index = self._completion
            ends = found.start + len(found.words[index])
        found, index = self._completion
        index = (index + 1) % len(found.words)
        self.replace(
            found.words[index],
            self._location(found.start),
            self._location(ends),
            maintain_selection_offset=False,
        )
        self._completion = (found, index)

    def _location(self, index: int) -> tuple[int, int]:
        before = self.text[:index]
        return before.count("\n"), index - (before.rfind("\n") + 1)
