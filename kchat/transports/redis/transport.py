"""Redis transport for Kombu: Kombu's own, with fanout that can be relied on as far as Redis lets it.

What is sent looks as Kombu's does, so clients with either transport hear each other. Lists (direct and topic exchanges)
are Kombu's own code. Fanout, which is Redis's publish and subscribe, differs in this:

* A queue hears everything from the moment that ``queue_bind`` returns: the server has confirmed by then. Kombu
  subscribes at the first ``drain_events``, and what is published before that is gone.
* A queue belongs to the connection: what one of its channels has declared, another may consume from.
* All queues that are bound to an exchange get all its messages, also those of one channel; Kombu's last one takes them.
* A lost subscription raises out of ``drain_events``. Kombu subscribes again and says nothing, though what was
  published meanwhile is gone. A link that died silently is noticed by ``PING``.
* Anything that is published is a message. What Kombu has not wrapped arrives as its bare bytes, with no properties;
  Kombu drops it, or raises.
* With ``mandatory``, ``basic_return`` callbacks are told when ``PUBLISH`` reached nobody.
* Bodies are handed over as they came; ``Message.decode()`` decompresses, arrival does not.
* Exchange names are names, not patterns: ``*`` and ``[`` in them mean nothing.
* Nothing is written for a binding, so nothing is left behind, and an account needs no right but the one on the channel.
* What is published to an exchange whose history its host has switched on is kept in a stream beside it (:mod:`.kept`).
* ``drain_events`` delivers one message, or raises :exc:`TimeoutError` on time.

Features
========
* Type: Virtual
* Supports Direct: Yes
* Supports Topic: Yes
* Supports Fanout: Yes (not stored: clients that are away miss it)
* Supports Priority: Yes, but not on fanout queues; 0 is the highest, as with Kombu's
* Supports TTL: *No*, neither of a message (``expiration``) nor of a queue's messages (``message_ttl``): both are ignored,
  as Kombu's transport does. ``expires`` of a queue is honoured, but not of a fanout queue.

Deliveries of a fanout queue need no acknowledgement: Redis has forgotten them by then. There is no event loop support.

Connection String
=================

.. code-block::

    redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]
    rediss://[USER:PASSWORD@]HOST[:PORT][/DATABASE]

Use it by its path, ``Connection("redis://...", transport="kchat.transports.redis.transport:Transport")``: the alias
``redis`` stays Kombu's. Kombu turns certificate checks off for ``rediss://``: give it
``ssl={"ssl_cert_reqs": "required"}`` as well.

Transport Options
=================

Those of Kombu's transport. These have another meaning or default:

* ``health_check_interval``: seconds of silence after which a subscription is checked; after as many again without an
  answer it is lost. Default 25; 0 for never.
* ``socket_timeout``: seconds to wait for the server's answer. Default 10; Kombu waits for ever.
* ``max_unread``: maximum number of messages that are kept for a fanout queue that nobody reads, the newest. Default
  10,000, or the queue's own ``x-max-length``.
* ``max_body``: bytes that are kept of what was published, its envelope included; the rest is read and dropped. Default
  24 MiB.
* ``keeps_history``: whether what is published to a fanout exchange is kept where the host of that room has switched its
  history on (:mod:`.keeping`). Default: yes.
"""


# ruff: noqa: ARG002 - the methods that Kombu calls, with the arguments that it gives them

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any

from kombu.transport import redis as kombu_redis

from kchat.transports.waker import Waker

from .channel import Channel
from .fanout import Fanout

if TYPE_CHECKING:
    from kchat.events import Event

_LONGEST_WAIT = 1.0
"""Seconds of one wait in C, so that an endless wait can still be interrupted on every system."""


class _Channels(set[Any]):
    """Channels that may come and go while others go through them: they go through those of the moment."""

    def __iter__(self) -> Iterator[Any]:
        return iter(set.copy(self))


class _Poller(kombu_redis.MultiChannelPoller):
    """Kombu's, for a thread that waits while another one opens and closes channels."""

    def __init__(self) -> None:
        super().__init__()
        self._channels = _Channels()

    @property
    def fds(self) -> dict[int, Any]:
        """The descriptors to wait for, and whose they are."""
        paused = getattr(self, "_paused_brpop", ())  # Kombu 5.5 has no replies that wait for room
        return {number: whose for number, whose in list(self._fd_to_chan.items()) if number not in paused}


class Transport(kombu_redis.Transport):
    """Kombu's Redis transport with another :class:`.Channel`: ``kchat.transports.redis.transport:Transport``."""

    Channel = Channel

    # Kombu counts KeyError, for the sake of its event loop: a fault in the program would read as a lost connection.
    connection_errors = tuple(
        error for error in kombu_redis.Transport.connection_errors if error is not KeyError
    )
    implements = kombu_redis.Transport.implements.extend(asynchronous=False, batch_publish=False)
    supports_batch_publish = False

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.cycle = _Poller()
        self.fanout = Fanout(self.wake)
        self._callback: Callable[[Event], None] | None = None
        self._untold: deque[Event] = deque(maxlen=1)
        self._drainer: int | None = None
        self._changed: Waker | None = None
        # In turns, so that neither keeps the other waiting.
        self._sources = deque((self.fanout.deliver_one, self._deliver_from_list))
        self._waker: Waker | None = None

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message.

        Arguments:
            connection: ignored.
            timeout: seconds to wait for it; 0 to only look. Default: for ever.

        Raises:
            TimeoutError: there was none in that time.
            redis.exceptions.RedisError: the connection is lost.
        """
        self._drainer = get_ident()
        changed = self._changed = self._changed or Waker()
        deadline = None if timeout is None else monotonic() + timeout
        while not self._deliver_one():
            left = math.inf if deadline is None else deadline - monotonic()
            if left <= 0:
                raise TimeoutError(f"nothing came within {timeout} s")
            if self._wait(changed, left):
                raise TimeoutError("woken")

    def waker(self, connection: Any) -> Waker:
        """What ends :meth:`drain_events` early, from any thread. Close it with the connection."""
        self._waker = Waker()
        return self._waker

    def _deliver_one(self) -> bool:
        self._sources.rotate()
        return any(deliver() for deliver in list(self._sources))

    def _deliver_from_list(self) -> bool:
        if not any(channel.active_queues for channel in self.channels):
            return False
        try:
            self.cycle.get(self._deliver, timeout=0)
        except Empty:
            return False
        return True

    def _wait(self, changed: Waker, seconds: float) -> bool:
        """Until there is something to read or to check, or the time is over; returns whether it was woken instead."""
        waker, sources = self._waker, list[Any](self.cycle.fds)
        if waker is not None:
            sources.append(waker.fileno())
        if self.fanout.has_something():
            return False
        seconds = min(seconds, _LONGEST_WAIT)
        subscription = self.fanout.subscription
        if subscription is not None:
            sources.append(subscription)
            seconds = min(seconds, subscription.seconds_to_check())
        ready = changed.wait(seconds, *sources)
        return waker is not None and waker.fileno() in ready and waker.take()

    def wake(self) -> None:
        """Another thread has changed what a waiting :meth:`drain_events` waits for: it has acknowledged, or bound."""
        changed = self._changed
        if changed is not None and self._drainer != get_ident():
            changed.wake()

    def tell(self, callback: Callable[[Event], None]) -> None:
        """Call back with what else happens: that what is sent is not kept, in a room with a history.

        What has happened by then is told at once.
        """
        self._callback = callback
        while self._untold:
            callback(self._untold.popleft())

    def notify(self, event: Event) -> None:
        """A channel has something to tell."""
        if self._callback is None:
            self._untold.append(event)
        else:
            self._callback(event)

    def any_channel(self) -> Any:
        """A :class:`.Channel` that is open, for a question that needs none of its own."""
        return next(iter(self.channels or ()), None) or self.create_channel(self)

    def close_connection(self, connection: Any) -> None:
        """Close all channels, and hang up."""
        self.fanout.close()
        super().close_connection(connection)
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.close()
