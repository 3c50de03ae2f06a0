"""Messages that a subscriber was too slow for: how many are missing, by their numbers, and when that is told."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from kchat import events

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED = 10_000
"""Minimum number of senders to remember; the maximum is twice that."""

_FORGED = 100_000_000
"""Messages that nobody has missed between two that arrived: a number like that is made up."""

_COLLECT = 1.0
"""Seconds from the first gap until it is told: those of other senders follow it."""

_BEHIND = 0.11
"""Seconds in which there was always more to read, so that messages may be waiting at the broker, and it is asked. In less,
no broker fills a queue; and a quiet subscriber has nothing to read at least once a second."""

_LOOK = 0.02
"""Seconds between two such questions, where the answer was that the queue is not half full."""

_FULL = 0.9
"""Share of a queue's limit in bytes, estimated from the messages that came from it, from which on it counts as full."""

_PROBABLY = 0.25
"""Share of a limit, likewise, that a queue has to have reached for a gap between numbers to be what it dropped."""

_PAUSE = 5.0
"""Seconds between two tellings, where more and more is dropped."""


class QueueLength:
    """Knows when to ask how full a queue is, and whether it was full.

    A queue fills up only when the broker has handed over as much as may be unacknowledged, and stays full until some of that
    is acknowledged. So a look before each acknowledgement misses no queue that has been full.

    Arguments:
        messages, size: the queue's limits in messages and in bytes, 0 for none.
        known: whether these are known; if not, the numbers of the senders alone tell what it has dropped.
        caught_up: whether nothing was in it at first.
        waiting: the number of messages that were in it at first.
        average: their size in bytes, as far as is known from before.
    """

    def __init__(
        self,
        messages: int = 0,
        size: int = 0,
        *,
        known: bool = True,
        caught_up: bool = True,
        waiting: int = 0,
        average: float = 0.0,
    ) -> None:
        self.was_full = False
        """Whether it was seen full."""
        self.came_before = 0
        """The number of messages that had arrived by then and that nobody has taken: nothing is missing between these."""
        self.caught_up_at = monotonic() if caught_up else 0.0
        """When there was nothing more to read."""
        self._limit, self._limit_bytes, self._known = messages, size, known
        self._asked_at = self.caught_up_at
        self._filled = 0.0
        self._seen = self._seen_bytes = 0
        self._waiting = waiting
        self._fullest = self._share(waiting, average)
        self.began_full = self._is_full(waiting, average)
        """Whether it was full at first, as far as is known before any of it was seen."""

    @property
    def average(self) -> float:
        """The size of a message, in bytes."""
        return self._seen_bytes / (self._seen or 1)

    def take_began_full(self) -> bool:
        """Whether it was full at first; when the first messages have come that is known, and then told once."""
        if not (self._waiting and self._seen):
            return False
        waiting, self._waiting = self._waiting, 0
        self._fullest = max(self._fullest, self._share(waiting, self.average))
        return self._is_full(waiting, self.average)

    @property
    def can_have_dropped(self) -> bool:
        """Whether it was seen so full that what is missing was probably dropped by it; or nobody can see it."""
        return self._fullest >= _PROBABLY or not self._known

    def _by_number(self, messages: int) -> float:
        return messages / self._limit if self._limit else 0.0

    def _by_size(self, messages: int, average: float) -> float:
        return messages * average / self._limit_bytes if self._limit_bytes else 0.0

    def _share(self, messages: int, average: float) -> float:
        """How full it is with this number of messages of that size: 1 for full."""
        return max(self._by_number(messages), self._by_size(messages, average))

    def _is_full(self, messages: int, average: float) -> bool:
        if self._by_number(messages) >= 1:
            return True
        filled = self._by_size(messages, average)
        # A queue is full where the next message would not fit in, which of large ones is long before the limit.
        return filled > 0 and (filled >= _FULL or self._by_size(messages + 1, average) > 1)

    def take_full(self) -> bool:
        """Whether it was seen full since this was last asked."""
        full, self.was_full = self.was_full, False
        return full

    def is_to_be_asked(self) -> bool:
        """Whether the reader is so far behind that the queue may be full; the question is then asked."""
        now = monotonic()
        if now - self.caught_up_at < _BEHIND or (now - self._asked_at < _LOOK and self._filled < 0.5):
            return False
        self._asked_at = now
        return bool(self._limit or self._limit_bytes)

    def note(self, messages: int, arrived: int) -> None:
        """The answer: the number of messages that wait in it, and of those that have arrived before it."""
        self._filled = self._share(messages, self.average)
        self._fullest = max(self._fullest, self._filled)
        if self._is_full(messages, self.average):
            self.was_full, self.came_before = True, arrived

    def note_sizes(self, messages: int, size: int) -> None:
        """Messages came from it: their number, and their bytes together."""
        self._seen += messages
        self._seen_bytes += size


class Gaps:
    """Counts the messages that did not arrive between two that did.

    Each sender's messages arrive in the order sent, and what is sent again bears the number that it had. So whatever
    is skipped was dropped on the way.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: with another queue."""
        self.missing = 0
        """Messages that are missing, and that nobody was told of yet."""
        self.uncounted = False
        """Whether others came that bear no number: of those nobody knows how many are missing."""
        self.joined = False
        """Whether a new sender's first message here was not its first one. Reading it resets it."""
        self._recent: dict[tuple[str, str | None], int] = {}
        self._before: dict[tuple[str, str | None], int] = {}

    def are_shown_by(self, number: tuple[str, int] | None, account: str | None) -> bool:
        """Whether a message that is next shows that some before it are missing; arguments as of :meth:`note`."""
        if number is None:
            return False
        key = number[0], account
        last = self._recent.get(key) or self._before.get(key)
        return last is not None and 0 < number[1] - last - 1 < _FORGED

    def note(self, number: tuple[str, int] | None, account: str | None) -> None:
        """A message has arrived.

        Arguments:
            number: names what its sender has sent since it began, or gave a message up, and the place in that: 1, 2, 3, ...
            account: the verified account that sent it, so that nobody can count in another's name.
        """
        if number is None:
            self.uncounted = True
            return
        stream, place = number
        key = stream, account
        last = self._recent.get(key) or self._before.get(key)
        if last is None:
            self.joined = self.joined or place > 1
        elif place <= last:
            return  # it is sent again
        elif (skipped := place - last - 1) < _FORGED:
            self.missing += skipped
        self._recent[key] = place
        if len(self._recent) >= REMEMBERED:
            self._recent, self._before = {}, self._recent


class Drops:
    """Knows of what was dropped, by gaps between numbers and by a queue that was seen full.

    A queue drops its oldest messages, so the gap comes behind those that were on their way then. A queue that was full
    is told of by itself only where no gap has come by that time, and messages without numbers, or of senders that are
    new here, could be what was dropped.

    Arguments:
        on_way: maximum number of messages that were on their way when the queue was seen full.
        on_event: told of :class:`kchat.events.Dropped`.
    """

    def __init__(self, on_way: int, on_event: Callable[[events.Dropped], None]) -> None:
        self.gaps = Gaps()
        self._on_way = on_way
        self._on_event = on_event
        self._due: float | None = None
        self._told_at = float("-inf")
        self._overtaken = 0
        self._suspected = -1
        """Messages until a queue that was seen full is told of; -1 for none."""

    def suspect(self) -> None:
        """The queue was seen full."""
        if self._suspected < 0:
            self._suspected = self._on_way
            self.gaps.joined = False
            self._schedule()

    def take_missing(self, about: int, certain: int = 0) -> tuple[int, bool]:
        """The number of messages that are missing, as far as is known, and whether it is exact; then that is done with.

        Their senders' numbers tell it exactly, but for senders of whom nothing has come.

        Arguments:
            about: how many there are by another reckoning.
            certain: and by that at least.
        """
        gaps = self.gaps
        count, gaps.missing = gaps.missing, 0
        if not about:
            return 0, True
        exact = not (gaps.uncounted or gaps.joined) and count >= certain
        return (count if exact else max(count, about)), exact

    def note_overtaken(self, count: int) -> None:
        """The room removed this number of messages before they were read."""
        if count:
            self._overtaken += count
            self._schedule()

    def look(self, came: int) -> None:
        """Tell, if that is due; ``came``: number of messages that arrived since the last look."""
        if self._suspected > 0:
            self._suspected = max(0, self._suspected - came)
        if self.gaps.missing:
            self._schedule()
        if self._due is None or monotonic() < self._due:
            return
        if self.gaps.missing or self._overtaken or not came or self._suspected == 0:
            self.tell()

    def tell(self) -> None:
        """Tell now of all that is known."""
        if self._overtaken:
            count, self._overtaken = self._overtaken, 0
            self._say(events.Dropped(count, pruned=True))
        if self.gaps.missing:
            count, self.gaps.missing = self.gaps.missing, 0
            self._say(events.Dropped(count, self.gaps.uncounted or self.gaps.joined))
        elif self._suspected >= 0 and (self.gaps.uncounted or self.gaps.joined):
            self._say(events.Dropped(None))
        self._suspected, self._due = -1, None

    def tell_began_full(self) -> None:
        """The queue was full when it was joined, so it may have dropped what came before its first message."""
        if self.gaps.uncounted or self.gaps.joined:
            self._say(events.Dropped(None))

    def forget(self, *, tell: bool) -> None:
        """Begin anew with another queue, from which nothing was dropped; ``tell`` of this one before."""
        if tell:
            self.tell()
        self._suspected, self._due = -1, None
        self.gaps.forget()

    def _say(self, event: events.Dropped) -> None:
        self._told_at = monotonic()
        self._on_event(event)

    def _schedule(self) -> None:
        if self._due is None:
            self._due = max(monotonic() + _COLLECT, self._told_at + _PAUSE)
