"""What the live table remembers: the last messages, within bounds, numbered in the order of arrival."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kchat.display.lines import in_room
from kchat.message.truncation import utf8_size

if TYPE_CHECKING:
    from kchat.message import Message

KEPT = 5_000
"""Maximum number of rows to look back at."""

KEPT_TEXT = 2_000_000
"""Maximum number of characters of all of them together."""

_LONGEST_TEXT = 8192  # characters of one message: more than half of any screen
_LONGEST_NAME = 512


class Entry(NamedTuple):
    """A row of the table.

    Attributes:
        username: as sent, or its beginning; None for no name.
        account: the account that the broker has checked.
        seconds: when it was sent, or else arrived: a UNIX time.
        text: as sent, or its beginning. Not safe for a terminal.
        total: the text's size in bytes, if not all of it is here; else 0.
        number: how many messages had come when it came, itself included.
        is_notice: it is not a message, but what happened to the connection at that place.
    """

    username: str | None
    account: str | None
    seconds: float
    text: str
    total: int
    number: int
    is_notice: bool = False


class Backlog:
    """The last rows. Each has a place: 0 for the first that ever came, and so on; :attr:`first` is the oldest kept one.

    Arguments:
        clock: returns the UNIX time now, in seconds. Default: the system's clock.

    Attributes:
        first: the place of the oldest row that is kept.
        end: the place that the next row gets.
        messages: how many messages have come.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._size = 0
        self.first = self.end = self.messages = 0

    def __getitem__(self, place: int) -> Entry:
        return self._entries[place - self.first]

    def between(self, start: int, end: int) -> Iterator[Entry]:
        """The kept rows of these places, the last one excluded."""
        return islice(self._entries, max(0, start - self.first), max(0, end - self.first))

    def add(self, message: Message) -> None:
        """Remember a message, or as much of it as a screen can show."""
        text, sent_at, username = message.text, message.sent_at, message.username
        total = 0
        if len(text) > _LONGEST_TEXT:
            total = len(message.body) if message.problem else utf8_size(text)
            text = text[:_LONGEST_TEXT]
        if username is not None and len(username) > _LONGEST_NAME:
            username = username[:_LONGEST_NAME]
        self.messages += 1
        seconds = self._clock() if sent_at is None else sent_at.timestamp()
        text = f"{in_room(message)}{text}"
        self._add(Entry(username, message.account, seconds, text, total, self.messages))

    def add_notice(self, text: str) -> None:
        """Remember that something happened here, to the connection."""
        self._add(Entry(None, None, self._clock(), text[:_LONGEST_NAME], 0, self.messages, is_notice=True))

    def _add(self, entry: Entry) -> None:
        entries = self._entries
        entries.append(entry)
        self.end += 1
        size = self._size + len(entry.text) + len(entry.username or "")
        while len(entries) > KEPT or size > KEPT_TEXT:
            gone = entries.popleft()
            size -= len(gone.text) + len(gone.username or "")
            self.first += 1
        self._size = size
