"""What a room's history holds, read beside its subscriber by one of its own, and all of it that pages have asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from kchat.client.subscriber import Subscriber
from kchat.web.frames import as_object, tail
from kchat.web.positions import Digests

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.message import Message

MOST = 10_000
"""Messages of a history that pages can reach, by coming back or by scrolling up."""

_MOST_BYTES = 16 * 1024 * 1024

_SECONDS = 20.0
"""For one look at a history, which is answered by what was read until then."""

_DAYS = 7 * 86400.0
"""How far back a history is read that is kept by time alone: as long as one is kept unless the host says otherwise."""


class Entry(NamedTuple):
    """A message as it is served, or that some may be missing here.

    Attributes:
        number: its place in the room, in this run of the server.
        order: over all rooms; 0 where it was read from a history later.
        digest: of the message, or of the last one before (:class:`~kchat.web.positions.Digests`).
        message: itself; None where some may be missing.
        end: its frame, without the position.
        arrived: when, UNIX seconds.
    """

    number: int
    order: int
    digest: str
    message: Message | None
    end: bytes
    arrived: float

    @property
    def event(self) -> str:
        """The event's name."""
        return "missed" if self.message is None else "message"

    @property
    def sent_at(self) -> float | None:
        """When it was sent, as it says."""
        if self.message is None or self.message.sent_at is None:
            return None
        return self.message.sent_at.timestamp()


class Encoder:
    """Makes messages fit to serve. One thread uses it.

    Arguments:
        room: their room.
        mark_unverified: as of :func:`~kchat.web.frames.as_object`.
    """

    def __init__(self, room: str, *, mark_unverified: bool) -> None:
        self._room, self._mark = room, mark_unverified
        self._digests = Digests()

    def entry(self, message: Message) -> Entry:
        """The next message, without its numbers."""
        end = tail(as_object(message, self._room, mark_unverified=self._mark))
        return Entry(0, 0, self._digests.of(message), message, end, time.time())


def days_ago() -> float:
    """Since when a history is read that is kept by time alone, UNIX seconds."""
    return time.time() - _DAYS


class Read(NamedTuple):
    """What was read: the newest of a history, oldest first, and whether there may be older ones."""

    entries: list[Entry]
    more: bool


def read_history(
    settings: Settings,
    username: str,
    number: int,
    encoder: Encoder,
    stopped: Callable[[], bool],
) -> Read:
    """Read the newest messages of a room's history. Blocks, for 20 s at most.

    Arguments:
        settings: the room and its brokers.
        username: stands in the name of the queue.
        number: maximum number of messages.
        encoder: a new one.
        stopped: whether to leave off; called in this thread.

    Raises:
        kchat.errors.KchatError: it cannot be read.
    """
    history = settings.transport.history(settings.room)
    last, since = (number, None) if history.by_number else (None, days_ago())
    found: deque[Entry] = deque()
    size, more = 0, False
    until = monotonic() + _SECONDS
    with Subscriber(settings, username, last=last, since=since, follow=False) as subscriber:
        while not (subscriber.stopped or stopped()) and monotonic() < until:
            subscriber.finish()  # or no more than the prefetch would come
            for message in subscriber.receive(0.5):
                found.append(entry := encoder.entry(message))
                size += len(entry.end)
            while len(found) > number or size > _MOST_BYTES:
                size -= len(found.popleft().end)
                more = True
        more = more or not subscriber.stopped  # the time was over
    return Read(list(found), more or len(found) >= number)
