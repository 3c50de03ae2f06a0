"""Searching in a room: meanwhile, the prompt takes the words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.tui.editor import Editor
    from kchat.tui.message_list import MessageList


class Searching:
    """Whether the prompt is used to search, and for what.

    Arguments:
        editor: the prompt.
        messages: where the messages are.
        tell: says something at the bottom.
        tell_no_more: takes that back.
        look_further: has older messages fetched from the history; returns whether there may be some.
    """

    def __init__(
        self,
        editor: Editor,
        messages: MessageList,
        tell: Callable[[str], object],
        tell_no_more: Callable[[], object],
        look_further: Callable[[], bool],
    ) -> None:
        self._editor = editor
        self._messages = messages
        self._tell, self._tell_no_more = tell, tell_no_more
        self._look_further = look_further
        self._draft = ""
        self._waits = False

    @property
    def active(self) -> bool:
        """Whether the prompt is used to search now."""
        return self._editor.searches

    def begin(self, words: str = "") -> None:
        """Search for these words, or for those that will be typed. What is half written is kept."""
        if not self.active:
            self._draft = self._editor.text
            self._editor.searches = True
            self._editor.put("")
        if words:
            self._editor.put(words)
            self.press("enter")
        else:
            self._tell("Enter: search · Esc: back")

    def end(self) -> None:
        """Go back to writing."""
        self._waits = False
        if self.active:
            self._tell_no_more()
            self._editor.searches = False
            self._messages.view.look_for("")
            self._messages.update_rows()
            self._editor.put(self._draft)

    def press(self, key: str) -> None:
        """A key: ``enter`` or ``up`` for the one before, ``escape`` for the end, others for the one after."""
        if key == "escape":
            self.end()
            return
        words, view = self._editor.text.strip(), self._messages.view
        if not words:
            return
        older = key in ("enter", "up")
        found = view.look_for(words) if words != view.search else view.find(older=older)
        self._messages.update_rows()
        self._waits = not found and older and self._look_further()
        if found:
            self._tell("Enter: older · Down: newer · Esc: back")
        elif self._waits:
            self._tell("searching older messages · Esc: back")
        elif view.has_found:
            self._tell("not found in older messages" if older else "not found in newer messages")
        else:
            self._tell("not found")

    def give_up(self) -> bool:
        """Wait for no older messages; returns whether any were waited for."""
        waited, self._waits = self._waits, False
        return waited

    def go_on(self) -> None:
        """Older messages have come: search them, where they are waited for."""
        if self._waits:
            self.press("enter")
