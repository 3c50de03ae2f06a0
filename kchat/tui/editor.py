"""The prompt: a text area of a few rows, in which Enter sends."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import category

from textual.binding import Binding
from textual.widgets import TextArea

from kchat.tui.typed import Completion, Typed, complete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from textual.events import Key, Paste

MOST_ROWS = 6
"""Rows that the prompt grows to."""

MOST_PASTED = 256 * 1024
"""Characters that can be pasted: more than anybody is shown of one message."""

_ACTIONS = {
    key: binding.action
    for binding in TextArea.BINDINGS
    if isinstance(binding, Binding)
    for key in binding.key.split(",")
}
"""What keys do in any text area. They are done here, since Textual does them after keys that were typed later."""

SEARCH_KEYS = ("search:up", "search:down", "search:shift+enter", "search:escape")
"""Keys that do something else while it is used to search."""

_NEWLINE = {"shift+enter", "alt+enter", "ctrl+j"}
_BIDI = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Editor(TextArea):
    """Where messages are written.

    Arguments:
        names: gives the names that Tab completes, the likeliest first.
        entered: called with the text when Enter is pressed; the editor is empty then, unless it is used to search.
        too_long: called with the number of characters that were pasted and left out, for they are too many.
        keys: what other keys do. They are called at once: one of Textual's messages would come after keys that follow.
    """

    def __init__(
        self,
        names: Callable[[], Iterable[str]],
        entered: Callable[[str], object],
        too_long: Callable[[int], object],
        keys: Mapping[str, Callable[[], object]],
    ) -> None:
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
        self._entered = entered
        self._too_long = too_long
        self._keys = keys
        self.typed = Typed()
        self.searches = False
        """Whether it is used to search."""
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
        handler, action = self._handler(key), _ACTIONS.get(key)
        if handler is None and action is None:
            return
        event.stop()
        event.prevent_default()
        if handler is not None:
            handler()
        elif action is not None:
            await self.run_action(action)

    def _handler(self, key: str) -> Callable[[], object] | None:
        if self.searches and (found := self._keys.get(f"search:{key}")):
            return found
        if key in _NEWLINE and not self.searches:
            return lambda: self.insert("\n")
        if key == "enter":
            return self._enter
        if key == "tab":
            return self._complete
        if key in ("home", "end", "escape") and (key == "escape" or not self.text):
            return self._keys["ctrl+home" if key == "home" else "ctrl+end"]
        if key == "up" and self.cursor_at_first_line and not self.selected_text:
            return self._older
        if key == "down" and self.cursor_at_last_line and not self.selected_text:
            return self._newer
        return self._keys.get(key)

    async def _on_paste(self, event: Paste) -> None:
        """Pasted text is one message, however many lines it has; what would do something to a terminal is left out."""
        event.stop()
        event.prevent_default()
        self._completion = None
        if len(event.text) > MOST_PASTED:
            self._too_long(len(event.text))
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
            self._entered(text)
        elif text.strip():
            self.typed.add(text)
            self.load_text("")
            self._entered(text)

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
