"""The queues of one connection that are bound to fanout exchanges: what has arrived for them, and their consumers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import RedisError

from . import envelope

if TYPE_CHECKING:
    from .channel import Channel
    from .subscription import Subscription, Topic


class Consumer(NamedTuple):
    """A consumer of a fanout queue: whose it is, its tag, and what it calls with each message."""

    channel: Channel
    tag: str
    callback: Callable[[envelope.Message], object]


@dataclass(eq=False)
class FanoutQueue:
    """A queue on fanout exchanges: what has arrived and is not delivered yet is in this process.

    Attributes:
        name: of the queue.
        arrived: the newest messages, as many as it was declared to keep.
        auto_delete: whether it goes with its last consumer.
        topics: that it is bound to.
        consumers: the next one to get a message first.
    """

    name: str
    arrived: deque[dict[str, Any]]
    auto_delete: bool = False
    topics: set[Topic] = field(default_factory=set)
    consumers: deque[Consumer] = field(default_factory=deque)


class Fanout:
    """All of them, and the one subscription by which their messages come.

    They are the connection's, as in AMQP, and not a channel's: what one channel has declared, another may consume from.
    From any thread: a lock is held over the books and the socket, not over a callback.

    Arguments:
        wake: called when there may be something to deliver of which a waiting
            :meth:`.transport.Transport.drain_events` cannot know.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.RLock()
        self._declared: dict[str, FanoutQueue] = {}
        """Those that are not bound."""
        self._queues: dict[str, FanoutQueue] = {}
        self._bound: dict[Topic, list[FanoutQueue]] = {}
        self.subscription: Subscription | None = None
        """The connection that listens; ``None`` as long as no queue is bound."""

    # ---- declaring

    def declare(self, name: str, limit: int, *, auto_delete: bool) -> None:
        """Note a queue's declaration, if it is bound to a fanout exchange."""
        with self._lock:
            if name not in self._queues:
                self._declared[name] = FanoutQueue(name, deque(maxlen=limit), auto_delete)

    def bind(self, name: str, topic: Topic, subscribe: Callable[[], Subscription], limit: int) -> None:
        """Bind a queue, of that limit if it was not declared here; when this returns, the server has confirmed."""
        with self._lock:
            queue = (
                self._queues.get(name) or self._declared.get(name) or FanoutQueue(name, deque(maxlen=limit))
            )
            if topic in queue.topics:
                return
            if self.subscription is None:
                self.subscription = subscribe()
            # Also where another queue has subscribed: what came before the confirmation is not for this one.
            for earlier in self.subscription.add(topic):
                self._sort_in(*earlier)
            self._declared.pop(name, None)
            self._queues[name] = queue
            queue.topics.add(topic)
            self._bound.setdefault(topic, []).append(queue)
        self._wake()

    def unbind(self, name: str, topic: Topic) -> bool:
        """Take a binding away. What has arrived by it stays. Returns whether there was one."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is None or topic not in queue.topics:
                return False
            self._unbind(queue, topic)
            return True

    def _unbind(self, queue: FanoutQueue, topic: Topic) -> None:
        queue.topics.discard(topic)
        queues = self._bound[topic]
        queues.remove(queue)
        if not queues:
            del self._bound[topic]
            if self.subscription is not None:
                self.subscription.remove(topic)

    def delete(self, name: str, *, if_unused: bool = False, if_empty: bool = False) -> bool:
        """Delete a queue and its bindings, if that is so. Returns whether it did."""
        with self._lock:
            self._declared.pop(name, None)
            queue = self._queues.get(name)
            if queue is None or (if_empty and queue.arrived) or (if_unused and queue.consumers):
                return False
            # Gone here also where the server cannot be told.
            del self._queues[name]
            for topic in list(queue.topics):
                self._unbind(queue, topic)
            return True

    # ---- looking

    def has(self, name: str) -> bool:
        """Whether a queue of that name is bound to a fanout exchange."""
        return name in self._queues

    def size(self, name: str) -> int | None:
        """Number of messages that have arrived and are not delivered; ``None`` for a queue without a fanout exchange."""
        queue = self._queues.get(name)
        return None if queue is None else len(queue.arrived)

    def purge(self, name: str) -> int:
        """Throw away what has arrived; returns how many messages that were."""
        with self._lock:
            queue = self._queues[name]
            purged = len(queue.arrived)
            queue.arrived.clear()
            return purged

    def ask(self, name: str, answer: Callable[[int], None]) -> None:
        """Tell how many messages wait in a queue when all has come that was published until now.

        Arguments:
            name: of the queue, which is bound.
            answer: called with the number, by the thread that drains.
        """
        with self._lock:
            if self.subscription is not None:
                self.subscription.ask(lambda: answer(self.size(name) or 0))

    # ---- consuming

    def consume(self, name: str, consumer: Consumer) -> bool:
        """Add a consumer. Returns whether the queue is one of a fanout exchange."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is None:
                return False
            queue.consumers.append(consumer)
        self._wake()
        return True

    def cancel(self, channel: Channel, tag: str) -> bool:
        """End a consumer, and an auto-delete queue with its last one. Returns whether there was one."""
        with self._lock:
            for queue in list(self._queues.values()):
                left = [each for each in queue.consumers if each.channel is not channel or each.tag != tag]
                if len(left) < len(queue.consumers):
                    queue.consumers = deque(left)
                    if not left and queue.auto_delete:
                        self.delete(queue.name)
                    return True
            return False

    def leave(self, channel: Channel) -> None:
        """A channel is closed: end its consumers."""
        with self._lock:
            consumers = [each for queue in self._queues.values() for each in queue.consumers]
            for consumer in consumers:
                if consumer.channel is channel:
                    with suppress(RedisError):  # the draining thread is told of a lost subscription
                        self.cancel(channel, consumer.tag)

    def deliver_one(self) -> bool:
        """Deliver one message, if one is there; ``RedisError`` when the subscription is lost."""
        with self._lock:
            queue = self._ready()
            if queue is None and self._read_one():
                queue = self._ready()
            if queue is None:
                return False
            consumer = queue.consumers[0]
            queue.consumers.rotate(-1)
            message = consumer.channel.fanout_message(queue.arrived.popleft(), consumer.tag)
        consumer.callback(message)
        return True

    def _ready(self) -> FanoutQueue | None:
        return next((each for each in self._queues.values() if each.arrived and each.consumers), None)

    def get(self, name: str) -> dict[str, Any] | None:
        """The next message of a queue, ``None`` when there is none; ``RedisError`` when the subscription is lost."""
        with self._lock:
            queue = self._queues[name]
            while not queue.arrived and self._read_one():
                pass
            return queue.arrived.popleft() if queue.arrived else None

    def _read_one(self) -> bool:
        """Put the next message that has come into the queues that are bound to its topic."""
        if self.subscription is None:
            return False
        arrival = self.subscription.read()
        if arrival is None:
            self.subscription.check()
            return False
        self._sort_in(*arrival)
        return True

    def _sort_in(self, topic: Topic, data: bytes) -> None:
        for queue in self._bound.get(topic, ()):
            # Unwrapped for each queue: a consumer may change it.
            queue.arrived.append(envelope.unwrap(data))

    # ---- waiting

    def has_something(self) -> bool:
        """Whether there is something to read, or to deliver, without waiting."""
        with self._lock:
            return self._ready() is not None or (
                self.subscription is not None and self.subscription.readable()
            )

    def close(self) -> None:
        """The connection is closed: the server forgets its subscriptions with it."""
        with self._lock:
            subscription, self.subscription = self.subscription, None
            for books in (self._queues, self._bound, self._declared):
                books.clear()
            if subscription is not None:
                subscription.close()
