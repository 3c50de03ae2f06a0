"""A connection: one gRPC channel, its AMQP channels, and the one queue through which everything reaches them."""

from __future__ import annotations

import itertools
import logging
import os
import queue
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError, RecoverableConnectionError
from amqp.exceptions import ConnectionError as AMQPConnectionError

from .channel import Channel
from .clients import Clients
from .definitions import Definitions
from .ownership_labels import Owner
from .publishing import Publisher

if TYPE_CHECKING:
    from .options import Options

logger = logging.getLogger(__name__)

REMEMBERED = 1000
"""Maximum number of requeued messages that are recognised when they come again."""

Event = Callable[[], bool]
"""What Google's threads report, run by :meth:`Connection.drain_events`; returns whether it reached the application."""


class Waker:
    """Ends the wait in ``drain_events``, or the next one. As :class:`kchat.transports.waker.Waker`."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection

    def wake(self) -> None:
        """End it; from any thread or a signal handler."""
        if (connection := self._connection) is not None:
            connection.report(lambda: True)

    def close(self) -> None:
        """End no more waits."""
        self._connection = None


class Connection:
    """What :class:`kchat.transports.pubsub.transport.Transport` establishes.

    Arguments:
        project: the project's id; empty: the one of the environment or the credentials.
        options: the transport options.

    Attributes:
        requeued: the last messages that went back to their queue: when they come again, they are redelivered.

    Raises:
        amqp.exceptions.AMQPError: see :class:`~kchat.transports.pubsub.clients.Clients`.
    """

    def __init__(self, project: str, options: Options) -> None:
        self.client: Any = None
        self.options = options
        self.clients = Clients(project, options)
        self.publisher = Publisher(self.clients)
        self._owner = Owner()
        self.definitions = Definitions(self.clients, self._owner)
        self.channels: dict[int, Channel] = {}
        self._ids = itertools.count(1)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._failure: AMQPError | None = None
        self._closed = False
        self._closing_until: float | None = None
        self.requeued: deque[str] = deque(maxlen=REMEMBERED)
        self._pid = os.getpid()

    @property
    def connected(self) -> bool:
        """Whether it can be used: not closed, not lost, not taken over by a forked child."""
        return not self._closed and self._failure is None and self._pid == os.getpid()

    def check(self) -> None:
        """Make sure that it can be used.

        Raises:
            amqp.exceptions.RecoverableConnectionError: it cannot.
        """
        if self._pid != os.getpid():
            raise RecoverableConnectionError("opened before a fork, by another process; connect again")
        if self._closed:
            raise RecoverableConnectionError("the connection is closed")
        if self._failure is not None:
            raise self._failure

    def channel(self) -> Channel:
        """A new channel."""
        self.check()
        channel = Channel(self, next(self._ids))
        self.channels[channel.channel_id] = channel
        return channel

    def report(self, event: Event) -> None:
        """Have something done by the thread that drains events. From any thread."""
        self._events.put(event)

    def failed(self, error: AMQPError) -> AMQPError:
        """An error that is about to be raised: unless it is of a channel alone, the connection is lost."""
        if isinstance(error, AMQPConnectionError):
            self._failure = self._failure or error
            self._owner.release()
        return error

    def drain_events(self, timeout: float | None = None, **_: Any) -> None:
        """Wait for the next message, confirm or failure, and tell the application.

        Arguments:
            timeout: seconds; 0 does not wait, ``None`` waits for ever.

        Raises:
            TimeoutError: (it is ``socket.timeout``) there was nothing in that time.
            amqp.exceptions.AMQPError: what went wrong with a publish, a consumer or the connection.
        """
        self.check()
        self.definitions.create_unbound()
        for channel in list(self.channels.values()):
            if channel.deliver_held():
                return
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            left = None if deadline is None else deadline - monotonic()
            try:
                event = (
                    self._events.get_nowait()
                    if left is not None and left <= 0
                    else self._events.get(timeout=left)
                )
            except queue.Empty:
                raise TimeoutError("timed out") from None
            if event():
                return

    def time_to_close(self) -> float:
        """Seconds left for the requests to the service at the end."""
        if self._closing_until is None:
            return self.options.close_timeout
        return max(0.0, self._closing_until - monotonic())

    def skip_remaining(self) -> None:
        """A request at the end went unanswered: no more are sent, the link may be dead."""
        self._closing_until = monotonic()

    def delete_own(self, name: str) -> None:
        """Delete a queue that ends with its consumer or with the connection, if there is time for it."""
        left = self.time_to_close()
        if left <= 0:
            return
        try:
            self.definitions.delete_queue(name, left)
        except AMQPError as error:
            # Whatever the reason, the subscription expires by itself.
            logger.debug("%s", error)
            self.skip_remaining()

    def close(self) -> None:
        """Send what waits, settle what was delivered, delete this connection's own queues, and close.

        It takes the option's ``close_timeout`` at most; what was not confirmed by then may be lost, and a queue that
        could not be deleted expires.
        """
        if self._closed:
            return
        if self.connected:
            self._closing_until = monotonic() + self.time_to_close()
            self.publisher.stop(self.time_to_close())
            for channel in list(self.channels.values()):
                channel.close()
            for name in self.definitions.own_queues():
                self.delete_own(name)
        self.collect()

    def collect(self) -> None:
        """Drop everything without telling the service."""
        self._closed = True
        for channel in list(self.channels.values()):
            channel.collect()
        self.channels.clear()
        if self._pid == os.getpid():
            self._owner.release()
            self.publisher.stop(0)
            self.clients.close()
