"""A connection: its channels, and the wait for what others write."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from amqp.exceptions import NotAllowed

from . import errors, sweep
from .inboxes import Inboxes
from .pace import ASLEEP, LONGEST, Pace
from .publisher import Publisher
from .store import Store

if TYPE_CHECKING:
    from .channel import Channel
    from .options import Options
    from .watch import Watch

#: Seconds between two looks, while waiting, whether the file is still there and who is alive.
_HOUSEKEEPING = 1.0

#: Seconds to wait for a turn to write when closing.
_LAST_PATIENCE = 1.0

#: Seconds between two looks, while waiting, whether the file and its log are still those that are open.
_FILE_CHECK = 0.1

_CHANNELS = 65535


class Connection:
    """An open room: what Kombu calls a transport's connection. For one thread at a time.

    Arguments:
        client: the :class:`kombu.Connection` that it belongs to.
        options: where the room is, and its limits.

    Raises:
        amqp.exceptions.AMQPError: the room cannot be opened, see :mod:`.errors`.
    """

    def __init__(self, client: Any, options: Options) -> None:
        self.client = client
        self.options = options
        self.store = Store(options)
        self.publisher = Publisher(self.store)
        self.inboxes = Inboxes(self.store)
        self.channels: dict[int, Channel] = {}
        self._pace = Pace()
        self._watch: Watch | None = None
        self._watching = False
        self._watched = 0
        self._housekeeping_at = self._check_at = 0.0

    @property
    def connected(self) -> bool:
        """Whether the room is open, as far as is known."""
        return self.store.is_open

    def channel(self) -> Channel:
        """Open a channel.

        Raises:
            amqp.exceptions.NotAllowed: all 65,535 are taken.
        """
        from .channel import Channel  # the two need each other

        number = next((n for n in range(1, _CHANNELS + 1) if n not in self.channels), None)
        if number is None:
            raise NotAllowed(f"{self.options.path}: all {_CHANNELS} channels of this connection are open")
        if not self.connected:
            raise errors.closed(self.options.path)
        channel = self.channels[number] = Channel(self, number)
        return channel

    def close(self) -> None:
        """Close all channels, give up what this connection owns, close the file; harmless to repeat.

        Waits no longer than a second for its turn: what cannot be given up is swept by others.
        """
        self.store.patience = min(self.store.patience, _LAST_PATIENCE)
        try:
            for channel in list(self.channels.values()):
                channel.close()
        finally:
            self.channels.clear()
            watch, self._watch = self._watch, None
            if watch is not None:
                watch.close()
            try:
                self.inboxes.close()
            finally:
                self.store.close()

    def drain_events(self, timeout: float | None = None) -> None:
        """Deliver at least one message to its consumer's callback; up to ``drain_batch`` if they are there.

        Arguments:
            timeout: seconds to wait for one; 0 only looks; None waits for as long as it takes.

        Raises:
            socket.timeout: nothing came in that time.
            amqp.exceptions.ConsumerCancelled: a consumer's queue was deleted, and it has no ``on_cancel``.
            amqp.exceptions.AMQPError: see :mod:`.errors`.
        """
        confirmed = [channel for channel in list(self.channels.values()) if channel.confirm()]
        if confirmed:
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._deliver():
            now = time.monotonic()
            wait = self._pace.wait(now)
            if wait <= 0 or timeout == 0 or any(consumer.wants_more() for consumer in self.inboxes.consumers):
                if self._look(now):
                    continue
                if self.inboxes.notice_deleted(now):
                    return
                wait = self._pace.pause
            if deadline is not None:
                now = time.monotonic()
                if now >= deadline:
                    raise TimeoutError("timed out")  # which is socket.timeout
                wait = min(wait, deadline - now)
            if self._pace.is_quiet() and self._is_watching():
                self._sleep(deadline)
            else:
                time.sleep(max(0.0, wait))

    def _is_watching(self) -> bool:
        """Whether the kernel was asked to tell of writes before the last look; from now on it is."""
        if self._watching:
            return True
        self._watching = True
        if self._watch is not None and self._watched != self.store.openings:  # another log
            self._watch.close()
            self._watch = None
        if self._watch is None:
            from .watch import Watch  # only who waits for long needs it, and it loads ctypes

            self._watched = self.store.openings
            self._watch = Watch(self.store.log)
        else:
            self._watch.forget()
        return False

    def _sleep(self, deadline: float | None) -> None:
        """Nobody writes: leave it to the kernel to tell when somebody does."""
        assert self._watch is not None
        longest = ASLEEP if deadline is None else min(ASLEEP, deadline - time.monotonic())
        if self._watch.wait(longest, otherwise=LONGEST):
            self._watching = False
            self._pace.woken(time.monotonic())

    def _deliver(self) -> bool:
        """Deliver what is fetched, the consumers taking turns; returns whether there was anything."""
        most = self.options.drain_batch
        delivered = 0
        consumers = self.inboxes.consumers
        for consumer in list(consumers):
            if consumer.inbox.ready and consumer.active:
                # To the end of the line before the callback, which may do anything.
                consumers.remove(consumer)
                consumers.append(consumer)
                delivered += consumer.deliver(most - delivered)
                if delivered >= most:
                    break
        return delivered > 0

    def _look(self, now: float) -> bool:
        """Fetch what there is for our consumers; returns whether there was anything."""
        if now >= self._housekeeping_at:
            self._keep_house(now)
        elif now >= self._check_at:
            self._check_at = now + _FILE_CHECK
            self.store.check_file()
        written = self.store.changed()
        if written:
            self._watching = False
            self.inboxes.unchecked = True
            for consumer in self.inboxes.consumers:
                consumer.inbox.more = True
        found = 0
        for consumer in self.inboxes.consumers:
            if consumer.wants_more():
                self.store.check_file()
                consumer.inbox.fetch(consumer.room())
                found += len(consumer.inbox.ready)
        self._pace.looked(now, found, written=written)
        return found > 0

    def _keep_house(self, now: float) -> None:
        # Uneven, so that many subscribers do not all look at the same moment.
        self._housekeeping_at = now + _HOUSEKEEPING * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
        self.store.check_file()
        if self.inboxes.has_shared():
            sweep.sweep(self.store)
