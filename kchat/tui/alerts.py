"""What reaches a user who looks elsewhere: the terminal's title, its bell, and a desktop notice.

The sequences are xterm's: OSC 2 sets the title, and CSI 22 and 23 keep and restore it (XTWINOPS); OSC 9 is iTerm2's notice,
which Windows Terminal, kitty and others know, and OSC 777 that of urxvt and VTE.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kchat.display.escaping import display_name
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.tui.room import Room
    from kchat.tui.timeline import Entry

NOTICES = ("osc9", "osc777")
"""The kinds of desktop notices."""

_LONGEST = 200
"""Characters of a notice."""


class Alerts:
    """Writes sequences to a terminal, and nothing that came from a stranger without having it escaped.

    Arguments:
        write: writes to the terminal.
        bell: whether to ring.
        notify: one of :data:`NOTICES`; None for no notice.
    """

    def __init__(self, write: Callable[[str], object], *, bell: bool, notify: str | None) -> None:
        self._write = write
        self._bell = bell
        self._notify = notify
        self._title = ""

    def open(self) -> None:
        """Keep the title that the terminal has."""
        self._write("\x1b[22;2t")

    def close(self) -> None:
        """Restore that title."""
        self._write("\x1b[23;2t")

    def title(self, rooms: list[Room], current: Room) -> None:
        """The current room's name, with the number of unread messages of all rooms before it: ``(3) lunch - kchat``."""
        unread = sum(room.unread for room in rooms)
        count = f"({unread}) " if unread else ""
        title = f"{count}{_plain(display_name(current.name))} - kchat"
        if title != self._title:
            self._title = title
            self._write(f"\x1b]2;{title}\x07")

    def mention(self, room: Room, entry: Entry) -> None:
        """Somebody mentioned this user."""
        if self._bell:
            self._write("\a")
        if self._notify is None:
            return
        text = _plain(escape_unprintable(entry.text[:_LONGEST], keep_newlines=False))
        who = _plain(f"{display_name(entry.username)} in {display_name(room.name)}")
        sequence = (
            f"\x1b]9;{who}: {text}\x07" if self._notify == "osc9" else f"\x1b]777;notify;{who};{text}\x07"
        )
        if "TMUX" in os.environ:  # which passes on what it does not know only in this envelope
            escaped = sequence.replace("\x1b", "\x1b\x1b")
            sequence = f"\x1bPtmux;{escaped}\x1b\\"
        self._write(sequence)


def _plain(text: str) -> str:
    """A safe text without what separates the parts of a sequence."""
    return text.replace(";", ",")
