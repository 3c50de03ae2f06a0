r"""How the senders of a room are called in the window: safe, marked where they look like somebody else, in a colour.

The marks are those of :mod:`kchat.display.names`, and two more, since people take a name at a glance:

=====================================================  ==========================
the name                                               is shown
=====================================================  ==========================
mixes scripts, or has what nobody sees                 escaped: ``\u0430da``
looks like another that was in the room before         ``Ada (looks like ada)``
is one's own, and the account is not                   ``ada ?``
=====================================================  ==========================

Where the broker checks nobody, the last one gets no mark either: messages that were sent from the window have a ground that
no others have.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

from kchat.display.escaping import NAME_WIDTH, cautious_cells, display_name, take_columns, width
from kchat.display.names import UNVERIFIED
from kchat.display.names import Names as Marks
from kchat.message.lookalikes import is_own_name, likenesses, looks_like, spelled

COLORS = 12
"""Number of colours, and of people who can be told apart by them."""

_MOST = 1000
"""Maximum number of names that are remembered; they are forgotten together."""

_ONE_WORD = re.compile(r"[\w.@+\\-]+")
_NO_QUOTES = str.maketrans({"\u201c": r"\u201c", "\u201d": r"\u201d"})

_LONGEST = 256
"""Characters of a name that count; nobody can tell longer ones apart."""


class Sender(NamedTuple):
    """A sender as the window shows it.

    Attributes:
        name: the name, safe to show.
        mark: what is behind it, safe to show; empty for nothing.
        color: a number below :data:`COLORS`; -1 for no name.
    """

    name: str
    mark: str
    color: int

    def fitted(self, columns: int) -> tuple[str, str]:
        """Name and mark in this number of columns. The mark stays whole where it can, and the name is cut before it."""
        name, mark = self.name, self.mark
        if width(name, cautious_cells) + width(mark, cautious_cells) <= columns:
            return name, mark
        least = min(4, width(name, cautious_cells))
        if mark and columns - width(mark, cautious_cells) < least:
            mark = UNVERIFIED if columns >= least + len(UNVERIFIED) else ""
        room = columns - width(mark, cautious_cells)
        if width(name, cautious_cells) > room:
            name = take_columns(name, max(0, room - 1), cautious_cells) + "…"
        return name, mark


class Names:
    """The senders of a room, each with a colour of its own as long as there are no more than :data:`COLORS`.

    Arguments:
        own: the username in this window.
        account: one's own account on the broker, which people may share.
        verifies: whether the broker checks accounts.
    """

    def __init__(self, own: str, account: str | None, *, verifies: bool) -> None:
        self._own = own
        self._account = account
        self._verifies = verifies
        self._marks = Marks(account, mark_unverified=verifies)
        self._senders: dict[tuple[str | None, str | None], Sender] = {}
        self._alike: dict[str, str] = {}  # by what they have in common: the name that was first
        self._interned: dict[str, str] = {}
        self._colors: dict[str, int] = {}

    @property
    def checked(self) -> bool:
        """Whether a name without a mark is a verified one: the broker checks accounts, and not all share one."""
        return self._verifies and not self._marks.left_out

    def rename(self, own: str) -> None:
        """One's own name is another from now on."""
        self._own = own
        self._senders.clear()
        self._alike.clear()

    def is_me(self, username: str | None, account: str | None) -> bool:
        """Whether the broker vouches that a message is one's own: an account of that very name."""
        return (
            username == self._own
            and account is not None
            and account == self._account
            and is_own_name(self._own, account)
        )

    def intern(self, name: str | None) -> str | None:
        """The same name as one object, and cut where nobody looks any more."""
        name = _cut(name)
        if name is None:
            return None
        if len(self._interned) >= _MOST:
            self._interned.clear()
        return self._interned.setdefault(name, name)

    def sender(self, username: str | None, account: str | None, *, mine: bool = False) -> Sender:
        """How a sender is shown.

        Arguments:
            username: as the message says.
            account: that the broker has checked; ``None`` for none.
            mine: whether it was sent from this window.
        """
        if mine:
            return Sender(display_name(username), "", self._color(username or ""))
        username, account = _cut(username), _cut(account)
        if self._marks.meet(account):
            self._senders.clear()
        known = self._senders.get((username, account))
        if known is None:
            if len(self._senders) >= _MOST:
                self._senders.clear()
                self._alike.clear()
            known = self._senders[username, account] = self._meet(username, account)
        return known

    def shown(self, username: str) -> str:
        """A name of somebody who may have said nothing, as it would be shown; safe."""
        return display_name(spelled(_cut(username) or ""))

    def listed(self, username: str, account: str | None = None, *, mine: bool = False) -> str:
        """A name with its mark, in a list of names or in a sentence; safe. What may not be one name is in quotes.

        Arguments:
            username: as of :meth:`sender`.
            account: likewise.
            mine: whether it is oneself.
        """
        name = display_name(username) if mine else self.shown(username)
        if not _ONE_WORD.fullmatch(name):
            name = f"\u201c{name.translate(_NO_QUOTES)}\u201d"
        return name if mine else name + self._mark(_cut(username) or "", _cut(account))

    def _meet(self, username: str | None, account: str | None) -> Sender:
        if username is None:
            return Sender("?", "", -1)
        return Sender(self.shown(username), self._mark(username, account), self._color(username))

    def _mark(self, username: str, account: str | None) -> str:
        mark = self._marks.mark(username, account)
        if not mark and self.checked and username == self._own and not self.is_me(username, account):
            mark = UNVERIFIED
        if not mark:
            mark = self._likeness(username)
        return mark

    def _likeness(self, username: str) -> str:
        own = self._own
        if looks_like(username, own):
            return _looks_like(own)
        for likeness in likenesses(username):
            other = self._alike.setdefault(likeness, username)
            if other != username:
                return _looks_like(other)
        return ""

    def _color(self, username: str) -> int:
        """The colour that the name's own sum chooses, or the next one that nobody has."""
        color = self._colors.get(username)
        if color is not None:
            return color
        if len(self._colors) >= _MOST:
            self._colors.clear()
        color = crc32(username.encode("utf-8", "surrogatepass")) % COLORS
        taken = set(self._colors.values())
        if len(taken) < COLORS:
            while color in taken:
                color = (color + 1) % COLORS
        self._colors[username] = color
        return color


def _cut(name: str | None) -> str | None:
    return name if name is None or len(name) <= _LONGEST else name[:_LONGEST]


def _looks_like(other: str) -> str:
    return f" (looks like {display_name(spelled(other), NAME_WIDTH // 2)})"
