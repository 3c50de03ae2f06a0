"""A connection: its channels, and the wait for what others write."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError, NotAllowed

from kchat.chance import between

from . import definitions, errors
from .connection_queues import ConnectionQueues
from .polling import ASLEEP, LONGEST, PollingInterval, Watch
from .publishing import Publisher
from .store import Store

if TYPE_CHECKING:
    from kchat.events import OnEvent
    from kchat.transports.waker import Waker

    from .channel import Channel
    from .options import Options

#: Seconds between two looks, while waiting, whether the file is still there, and which owners are alive.
_HOUSEKEEPING = 1.0

#: Seconds to wait for other processes' locks when closing.
_CLOSE_TIMEOUT = 1.0

#: Seconds between two looks, while waiting, whether the file and its log are still those that are open.
_FILE_CHECK = 0.1

#: Messages that are delivered at most before the loop does something else.
_MOST = 100

#: Seconds after a write at which it is looked again: what the kernel tells of is visible a moment later.
_AGAIN = (0.001, 0.01)

_CHANNELS = 65535

_logger = logging.getLogger(__name__)


class Connection:
    """An open room: what Kombu calls a transport's connection. Threads may share it, see :func:`.declarations.takes_turns`.

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
        self.connection_queues = ConnectionQueues(self.store)
        self.channels: dict[int, Channel] = {}
        self._on_notice: OnEvent = partial(_logger.warning, "%s")
        self._interval = PollingInterval()
        self._watch: Watch | None = None
        self._watched = 0
        #: Since when the kernel reports writes; None if it does not.
        self._watching_since: float | None = None
        self._housekeeping_at = self._check_at = 0.0
        self._registration: Registration | None = None
        self.waker: Waker | None = None
        """Ends the waits of :meth:`drain_events`, which is a :exc:`TimeoutError` then."""

    @property
    def connected(self) -> bool:
        """Whether the room is open, as far as is known."""
        return self.store.is_open

    def channel(self) -> Channel:
        """Open a channel. Raises NotAllowed: all 65,535 are taken."""
        from .channel import Channel  # the two need each other

        with self.store.lock:
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
        self.store.busy_timeout = min(self.store.busy_timeout, _CLOSE_TIMEOUT)
        with self.store.lock:
            self._close()

    def _close(self) -> None:
        registration, self._registration = self._registration, None
        if registration is not None:
            registration.end()
        try:
            for channel in list(self.channels.values()):
                channel.close()
            if self.connected:
                self.publisher.close()
        finally:
            self.channels.clear()
            watch, self._watch = self._watch, None
            if watch is not None:
                watch.close()
            try:
                self.connection_queues.close()
            finally:
                self.store.close()

    def register(self, loop: Any) -> None:
        """Have an event loop of Kombu's deliver messages instead of ``drain_events``."""
        if self._registration is not None:
            self._registration.end()
        self._registration = Registration(self, loop)

    def tell(self, on_notice: OnEvent) -> None:
        """Pass notices to ``on_notice``: now, and from ``drain_events``."""
        self._on_notice = on_notice
        self._report_notices()

    def _report_notices(self) -> None:
        notices = self.store.notices
        while notices:
            self._on_notice(notices.pop(0))

    def drain_events(self, timeout: float | None = None) -> None:
        """Deliver at least one message to its consumer's callback; up to ``drain_batch`` if they are there.

        Arguments:
            timeout: seconds to wait for one; 0 only looks; None waits for as long as it takes.

        Raises:
            socket.timeout: nothing came in that time.
            amqp.exceptions.ConsumerCancelled: a consumer's queue was deleted, and it has no ``on_cancel``.
            amqp.exceptions.AMQPError: see :mod:`.errors`.
        """
        if any([channel.confirm() for channel in list(self.channels.values())]):  # noqa: C419 - all of them
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._deliver():
            now = time.monotonic()
            watch = self._active_watch()
            if timeout == 0 or self._interval.wait(now, told=watch is not None) <= 0 or self._wants_more():
                if self._look(now):
                    continue
                if self.connection_queues.notice_deleted(now):
                    return
                watch = self._active_watch()
            wait = ASLEEP if watch is not None else self._interval.wait(now)
            if deadline is not None:
                now = time.monotonic()
                if now >= deadline:
                    raise TimeoutError("timed out")  # which is socket.timeout
                wait = min(wait, deadline - now)
            if self._was_woken(watch, wait):
                raise TimeoutError("woken")

    def _wants_more(self) -> bool:
        with self.store.lock:
            return any(consumer.wants_more() for consumer in self.connection_queues.consumers)

    def take_overtaken(self) -> int:
        """How many messages were pruned since the last call before this connection's own queues had read them."""
        with self.store.lock:
            count, self.store.overtaken = self.store.overtaken, 0
        return count

    def _active_watch(self) -> Watch | None:
        """The watch, if the kernel has reported all writes since the last look."""
        with self.store.lock:
            if (
                self._watching_since is None
                or self._watching_since >= self._interval.looked_at
                or not self.connected
            ):
                return None
            same_log = self._watched == self.store.openings
            return self._watch if same_log and self._watch is not None and self._watch.fd >= 0 else None

    def _start_watch(self) -> None:
        """Let the kernel report writes from now on, if the room is quiet."""
        if self._watching_since is not None or not self._interval.is_quiet() or not self.connected:
            return
        if self._watch is not None and self._watched != self.store.openings:  # another log
            self._watch.close()
            self._watch = None
        if self._watch is None:
            self._watched = self.store.openings
            self._watch = Watch(*self.store.paths)
        else:
            self._watch.forget()
        self._watching_since = time.monotonic()
        self._check_at = 0.0  # a file may have been removed before

    def _was_woken(self, watch: Watch | None, seconds: float) -> bool:
        """Wait, with a watch until the next write; returns whether the waker ended the wait."""
        if watch is None:
            if self.waker is not None and self.waker.take():
                return True
            with self.store.lock:
                self._start_watch()
            time.sleep(max(0.0, seconds))
            return False
        written, woken = watch.wait(seconds, self.waker)
        if written:
            with self.store.lock:
                watch.forget()
                self._watching_since = None
                self._check_at = 0.0  # a file may have been removed
                self._interval.woken(time.monotonic())
        return woken

    def _deliver(self) -> bool:
        """Deliver what is fetched, the consumers taking turns; returns whether there was any."""
        most = self.options.drain_batch
        delivered = 0
        consumers = self.connection_queues.consumers
        for consumer in list(consumers):
            with self.store.lock:
                if not (consumer.queue.ready and consumer.active):
                    continue
                # To the end of the line before the callback, which may do anything.
                consumers.remove(consumer)
                consumers.append(consumer)
            delivered += consumer.deliver(most - delivered)
            if delivered >= most:
                break
        return delivered > 0

    def _look(self, now: float) -> bool:
        """Fetch messages for our consumers; returns whether there were any."""
        with self.store.lock:
            if now >= self._housekeeping_at:
                # Uneven, so that many subscribers do not all look at the same moment.
                self._housekeeping_at = now + _HOUSEKEEPING * between(0.8, 1.2)
                self.store.check_file()
                if self.connection_queues.has_shared():
                    definitions.sweep(self.store)
            elif now >= self._check_at:
                self._check_at = now + _FILE_CHECK
                self.store.check_file()
            consumers = self.connection_queues.consumers
            written, found = self.store.changed(), 0
            if written:
                self._watching_since = None
                self.connection_queues.version_due = True
                for consumer in consumers:
                    consumer.queue.more = True
            for consumer in consumers:
                if consumer.wants_more():
                    self.store.check_file()
                    consumer.queue.fetch(consumer.prefetch_left())
                    found += len(consumer.queue.ready)
            self._interval.looked(now, found, written=written)
        self._report_notices()
        return found > 0


class Registration:
    """Has a loop, a :class:`kombu.asynchronous.Hub`, deliver a connection's messages after each write, until :meth:`end`."""

    def __init__(self, connection: Connection, loop: Any) -> None:
        self._connection = connection
        self._loop = loop
        self._process = os.getpid()
        self._ended = False
        self._watch_log()
        # Also where the kernel reports writes: an acknowledgement may let a consumer have more.
        self._timer = loop.call_repeatedly(ASLEEP if self._watch.fd >= 0 else LONGEST, self._look)
        loop.call_soon(self._look)

    def _watch_log(self) -> None:
        self._watched = self._connection.store.openings
        self._watch = Watch(*self._connection.store.paths)
        if self._watch.fd >= 0:
            self._loop.add_reader(self._watch.fd, self._woken)

    def _watch_other_log(self) -> None:
        """Watch the log that is in use now, unless it is the same or a callback has ended this."""
        if not self._ended and self._watched != self._connection.store.openings:
            self._end_watch()
            self._watch_log()

    def _end_watch(self) -> None:
        fd = self._watch.fd
        # A forked child shares the kernel's list of what its parent waits for.
        if fd >= 0 and self._process == os.getpid():
            self._loop.remove_reader(fd)
        self._watch.close()

    def _woken(self, *_: Any) -> None:
        self._watch.forget()
        for seconds in _AGAIN:
            self._loop.call_later(seconds, self._look)
        self._look()

    def _look(self) -> None:
        """Deliver what there is. Raises what ``drain_events`` does, which ends the registration."""
        if self._ended:
            return
        try:
            for _ in range(_MOST):
                self._connection.drain_events(timeout=0)
        except TimeoutError:
            self._watch_other_log()
            return
        except AMQPError:
            self.end()
            raise
        self._loop.call_soon(self._look)

    def end(self) -> None:
        """Deliver nothing any more; harmless to repeat."""
        self._ended = True
        self._end_watch()
        self._timer.cancel()
