"""A room as it is served: one subscriber for all who have it open, and its last messages for those who come back."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Iterator
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, NamedTuple

from kchat import errors, events
from kchat.client.background import call_in
from kchat.client.subscriber import Subscriber
from kchat.message.unprintable import escape_unprintable
from kchat.web.frames import Position, as_object, digest, frame

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.message import Message
    from kchat.web.options import Limits
    from kchat.web.stream import Stream

_BATCHES = 4
"""Batches of messages on their way to the event loop: a server that is busy stops reading from the broker."""

_OVERLAP = 60.0
"""Seconds by which messages are sent again after a restart of the server, where the last one that a page has is not known:
clocks differ, and a page leaves out what it has."""


class Numbers:
    """The numbers of events over all rooms, in one run of the server."""

    def __init__(self) -> None:
        self.epoch = os.urandom(6).hex()
        self._last = 0

    def next(self) -> int:
        """One more than the last."""
        self._last += 1
        return self._last


class Entry(NamedTuple):
    """A message that arrived.

    Attributes:
        position: its place among the events.
        message: itself.
        data: as a frame.
        arrived: when, UNIX seconds; of a message from the history, when it was sent.
    """

    position: Position
    message: Message
    data: bytes
    arrived: float


class Backlog(NamedTuple):
    """What a page begins with.

    Attributes:
        entries: the messages, oldest first.
        complete: whether none is missing since the position that was asked for.
    """

    entries: list[Entry]
    complete: bool


class LiveRoom:
    """One room. For the thread of the event loop, but for its own.

    Arguments:
        settings: the room and its brokers, by the host's account.
        username: the host's.
        numbers: of all rooms of the server.
        limits: how much is kept.
        wait: as of :class:`~kchat.client.subscriber.Subscriber`.
    """

    def __init__(
        self, settings: Settings, username: str, numbers: Numbers, limits: Limits, *, wait: bool = False
    ) -> None:
        self.settings = settings
        self.name = settings.room
        self.connected = False
        self.problem: errors.KchatError | None = None
        """Why it cannot be read any more."""
        self._mark_unverified = settings.transport.verifies_accounts
        self._numbers = numbers
        self._limits = limits
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._streams: set[Stream] = set()
        self._subscriber = Subscriber(
            settings, username, last=limits.kept, if_kept=True, wait=wait, on_event=self._tell
        )
        self._room_for = BoundedSemaphore(_BATCHES)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    @property
    def has_history(self) -> bool:
        """Whether the room itself keeps messages."""
        return self._subscriber.has_history

    async def open(self) -> None:
        """Join.

        Raises:
            kchat.errors.BrokerError: it cannot be reached.
        """
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = Thread(target=self._receive, args=(opened,), name="kchat room", daemon=True)
        self._thread.start()
        await opened
        self.connected = True

    async def close(self) -> None:
        """Leave."""
        self._subscriber.stop()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    # ---- those who have it open

    def attach(self, stream: Stream) -> None:
        """Send a stream what arrives from now on."""
        self._streams.add(stream)

    def detach(self, stream: Stream) -> None:
        """Not any more."""
        self._streams.discard(stream)

    def tell(self, event: str, value: dict[str, object]) -> None:
        """Tell all who have it open something about the room."""
        data = frame(event, {"room": self.name, **value})
        for stream in tuple(self._streams):
            stream.push(data)

    def newest(self, count: int, since: float) -> list[Entry]:
        """The last messages.

        Arguments:
            count: maximum number of them.
            since: where the room keeps none itself, only what arrived since then (UNIX seconds).
        """
        found = (
            self._entries if self.has_history else [each for each in self._entries if each.arrived >= since]
        )
        return list(found)[-count:] if count else []

    def after(self, position: Position) -> Backlog:
        """What came after a position that a page was at."""
        if position.epoch == self._numbers.epoch:
            complete = not self._entries or self._entries[0].position.number <= position.number + 1
            found = [each for each in self._entries if each.position.number > position.number]
            return Backlog(found, complete or not self._pruned)
        entries = list(self._entries)
        for index, each in enumerate(entries):
            if each.position.digest == position.digest:
                return Backlog(entries[index + 1 :], complete=True)
        since = position.milliseconds / 1000 - _OVERLAP
        return Backlog([each for each in entries if each.arrived >= since], complete=False)

    # ---- what arrives

    _pruned = False

    def _arrive(self, messages: list[Message]) -> None:
        self._room_for.release()
        for message in messages:
            entry = self._entry(message)
            self._entries.append(entry)
            self._size += len(entry.data)
            for stream in tuple(self._streams):
                stream.push(entry.data)
        while len(self._entries) > self._limits.kept or self._size > self._limits.kept_bytes:
            self._size -= len(self._entries.popleft().data)
            self._pruned = True

    def _entry(self, message: Message) -> Entry:
        now = time.time()
        sent = now if message.sent_at is None else min(now, message.sent_at.timestamp())
        position = Position(self._numbers.epoch, self._numbers.next(), int(now * 1000), digest(message))
        value = as_object(message, self.name, mark_unverified=self._mark_unverified)
        return Entry(position, message, frame("message", value, position), sent)

    def _happened(self, event: events.Event) -> None:
        text = escape_unprintable(str(event), keep_newlines=False)
        match event:
            case events.Disconnected():
                self.connected = False
                self.tell(
                    "connection",
                    {"connected": False, "text": "the server's connection to the broker is lost"},
                )
            case events.Reconnected():
                self.connected = True
                self.tell("connection", {"connected": True, "text": event.missed})
            case events.Dropped() | events.CaughtUp():
                self.tell("missed", {"text": text})
            case _:
                pass

    def _failed(self, error: errors.KchatError) -> None:
        self.connected = False
        self.problem = error
        self.tell("connection", {"connected": False, "text": "the room cannot be read any more"})

    # ---- in its thread

    def _receive(self, opened: asyncio.Future[None]) -> None:
        from kchat.client.background import settle

        loop = opened.get_loop()
        try:
            with self._subscriber as subscriber:
                settle(opened, None)
                for messages in self._batches(subscriber):
                    self._room_for.acquire()
                    call_in(loop, self._arrive, messages)
                    subscriber.acknowledge()
        except errors.KchatError as error:
            settle(opened, None, error)
            call_in(loop, self._failed, error)

    def _batches(self, subscriber: Subscriber) -> Iterator[list[Message]]:
        while not subscriber.stopped:
            if messages := subscriber.receive():
                yield messages

    def _tell(self, event: events.Event) -> None:
        if self._loop is not None:
            call_in(self._loop, self._happened, event)
