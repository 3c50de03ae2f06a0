"""The messages and notes of a room, oldest first; the oldest go when there are too many."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from kchat.display.lines import local

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 100_000
"""Maximum number of entries."""

MOST_CHARACTERS = 16 * 1024 * 1024
"""... and of characters in all their texts."""

_PIECE = 1000
"""Entries that go at once: deleting from the front moves all that is behind."""


Day = tuple[int, int, int]
"""Year, month, day."""


class Kind(IntEnum):
    """What an entry is."""

    MESSAGE = 0
    ACTION = 1  # what a sender does: /me
    NOTE = 2  # what the window says by itself


class Entry:
    """One message or note. With slots, since there may be a hundred thousand.

    Attributes:
        kind: what it is.
        username: the sender's name; ``None`` for none.
        account: the account that the broker has checked; ``None`` for none.
        seconds: when it was sent, UNIX seconds.
        text: as received, not safe for a terminal; a note's is safe.
        mine: whether this window sent it.
        total: the size of the body in bytes where the text is a part of it; else 0.
        alone: whether it was sent when nobody was there to read it.
        typed: whether it was written in this run of the window.
    """

    __slots__ = ("account", "alone", "kind", "mine", "seconds", "text", "total", "typed", "username")

    def __init__(
        self,
        kind: Kind,
        username: str | None,
        account: str | None,
        seconds: float,
        text: str,
        *,
        mine: bool = False,
        total: int = 0,
    ) -> None:
        self.kind = kind
        self.username = username
        self.account = account
        self.seconds = seconds
        self.text = text
        self.mine = mine
        self.total = total
        self.alone = self.typed = False

    @classmethod
    def note(cls, text: str, seconds: float) -> Entry:
        """What the window says by itself, at that time: UNIX seconds. The text is safe."""
        return cls(Kind.NOTE, None, None, seconds, text)

    @property
    def is_note(self) -> bool:
        """Whether nobody sent it."""
        return self.kind is Kind.NOTE

    @property
    def day(self) -> Day:
        """The day of its time, here."""
        return local(self.seconds)[:3]

    def same_sender(self, other: Entry) -> bool:
        """Whether both are messages of the same sender."""
        return (
            not (self.is_note or other.is_note)
            and self.username == other.username
            and self.account == other.account
            and self.mine == other.mine
        )


class Timeline:
    """Entries with their places: numbers that stay the same when others come before, after, or go."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.first = 0
        """The place of the oldest."""
        self.pruned = False
        """Whether some went because there were too many."""
        self._characters = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, place: int) -> Entry:
        """The entry at a place. Raises IndexError where there is none."""
        index = place - self.first
        if index < 0:
            raise IndexError(place)
        return self._entries[index]

    @property
    def end(self) -> int:
        """The place that the next one gets."""
        return self.first + len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether nothing older fits in."""
        return len(self._entries) >= MOST or self._characters >= MOST_CHARACTERS

    def append(self, entry: Entry) -> int:
        """Add an entry at the end; returns its place."""
        self._entries.append(entry)
        self._characters += len(entry.text)
        if len(self._entries) >= MOST + _PIECE or self._characters > MOST_CHARACTERS:
            self._prune()
        return self.end - 1

    def prepend(self, entries: Iterable[Entry]) -> int:
        """Add older entries before all others, as far as they fit, the newest of them first; returns their number."""
        room = MOST - len(self._entries)
        fitting = list(entries)[-room:] if room > 0 else []
        self._entries[:0] = fitting
        self.first -= len(fitting)
        self._characters += sum(len(entry.text) for entry in fitting)
        return len(fitting)

    def _prune(self) -> None:
        number = max(0, len(self._entries) - MOST)
        characters = self._characters - sum(len(entry.text) for entry in self._entries[:number])
        while characters > MOST_CHARACTERS and number < len(self._entries) - 1:
            characters -= len(self._entries[number].text)
            number += 1
        del self._entries[:number]
        self.first += number
        self._characters = characters
        self.pruned = True

    def oldest_message(self) -> Entry | None:
        """The oldest that is not a note; ``None`` where there is none."""
        return next((entry for entry in self._entries if not entry.is_note), None)

    def search(self, words: str, before: int) -> int | None:
        """The place of the last message before a place that has these words in its text or name, whatever the case."""
        wanted = words.casefold()
        for index in range(min(before - self.first, len(self._entries)) - 1, -1, -1):
            entry = self._entries[index]
            if _has(entry, wanted):
                return self.first + index
        return None

    def search_after(self, words: str, after: int) -> int | None:
        """The place of the first such message after a place."""
        wanted = words.casefold()
        for index in range(max(0, after + 1 - self.first), len(self._entries)):
            if _has(self._entries[index], wanted):
                return self.first + index
        return None


def _has(entry: Entry, wanted: str) -> bool:
    if entry.is_note:
        return False
    return wanted in entry.text.casefold() or wanted in (entry.username or "").casefold()
