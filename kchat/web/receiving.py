"""The thread that reads a room for a server: it hands over what comes, and begins again after a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import BoundedSemaphore, Event, Thread
from typing import TYPE_CHECKING, Protocol

from kchat import errors, events
from kchat.client.background import call_in, settle
from kchat.client.backoff import Backoff
from kchat.client.subscriber import Subscriber
from kchat.web.past import days_ago

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.web.past import Encoder, Entry

_BATCHES = 4
"""Batches of messages on their way to the event loop: a server that is busy stops reading from the broker."""

_LEAVE_SECONDS = 3.0
"""For the end of a subscriber that waits for its broker; its thread is a daemon."""

_AGAIN = 60.0
"""Upper bound, in seconds, of the pause before a room is tried again that cannot be read."""

_QUIET = 1.0
"""Seconds without a message after which no more of the history comes, where the broker does not tell the number."""


class Reader(Protocol):
    """Who is told, in the thread of the event loop."""

    def joined(self, *, has_history: bool) -> None:
        """It has joined."""

    def loaded(self, messages: int) -> None:
        """What it began with was handed over: this number of messages of the history."""

    def arrive(self, entries: list[Entry]) -> None:
        """Messages have come."""

    def failed(self, error: errors.KchatError) -> None:
        """It cannot be read; it is tried again."""

    def happened(self, event: events.Event) -> None:
        """Something has happened to the connection."""


class Receiver:
    """See above. Used in the thread of the event loop.

    Arguments:
        settings: the room and its brokers.
        username: stands in the name of its queue.
        last: number of messages of the room's history to begin with.
        encoder: makes an encoder for each time that it begins.
        reader: who is told.
        wait: keep trying for ever when no broker can be reached at the start.
    """

    def __init__(
        self,
        settings: Settings,
        username: str,
        last: int,
        encoder: Callable[[], Encoder],
        reader: Reader,
        *,
        wait: bool,
    ) -> None:
        self._settings, self._username, self._last = settings, username, last
        self._encoder = encoder
        self._reader = reader
        self._wait = wait
        self._room_for = BoundedSemaphore(_BATCHES)
        self._stopped = Event()
        self._subscriber: Subscriber | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    async def open(self) -> None:
        """Join.

        Raises:
            kchat.errors.BrokerError: it cannot be reached.
        """
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = Thread(target=self._run, args=(opened,), name="kchat room", daemon=True)
        self._thread.start()
        await opened

    async def close(self) -> None:
        """Leave, within 3 s."""
        self._stopped.set()
        if self._subscriber is not None:
            self._subscriber.stop()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _LEAVE_SECONDS)

    # ---- in its thread

    def _run(self, opened: asyncio.Future[None]) -> None:
        backoff = Backoff(first=2.0, most=_AGAIN)
        is_open = False
        while not self._stopped.is_set():
            try:
                with self._make(wait=self._wait or is_open) as subscriber:
                    if not is_open:
                        settle(opened, None)
                        is_open = True
                    backoff.reset()
                    self._receive(subscriber)
            except Exception as error:  # noqa: BLE001 - a thread that has ended reads no more, and nobody would know
                fault = error if isinstance(error, errors.KchatError) else _fault(error)
                if not is_open:
                    settle(opened, None, fault)
                    return
                if not self._stopped.is_set():
                    self._call(self._reader.failed, fault)
                    self._stopped.wait(backoff.fail())

    def _make(self, *, wait: bool) -> Subscriber:
        history = self._settings.transport.capabilities.history
        by_number = not history or self._settings.transport.history(self._settings.room).by_number
        subscriber = Subscriber(
            self._settings,
            self._username,
            last=self._last if by_number else None,
            since=None if by_number else days_ago(),
            if_kept=True,
            wait=wait,
            on_event=lambda event: self._call(self._reader.happened, event),
        )
        self._subscriber = subscriber
        if self._stopped.is_set():
            subscriber.stop()
        return subscriber

    def _receive(self, subscriber: Subscriber) -> None:
        encoder = self._encoder()
        has_history = subscriber.has_history
        self._call(lambda: self._reader.joined(has_history=has_history))
        beside = subscriber.begins
        held = subscriber.count_waiting() if has_history and not beside else 0
        loading, count = True, 0
        while not subscriber.stopped:
            if loading and not subscriber.begins and held is not None and count >= held:
                loading = False
                self._call(self._reader.loaded, count if has_history else 0)
            messages = subscriber.receive(_QUIET if loading else None)
            if messages:
                count += len(messages)
                entries = [encoder.entry(each) for each in messages]
                self._room_for.acquire()
                self._call(self._arrive, entries)
                subscriber.acknowledge()
            elif loading and not subscriber.begins:
                held = count

    def _arrive(self, entries: list[Entry]) -> None:
        self._room_for.release()
        self._reader.arrive(entries)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        assert self._loop is not None
        call_in(self._loop, function, *arguments)


def _fault(error: Exception) -> errors.KchatError:
    return errors.KchatError(f"a fault in kchat: {error!r}")
