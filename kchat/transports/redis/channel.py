"""Kombu's Redis channel, with a fanout of its own."""

# ruff: noqa: FBT001, FBT002 - the methods that Kombu calls, with the arguments that it gives them

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from functools import cached_property, partial
from itertools import count
from time import monotonic
from typing import Any, Final

from amqp.exceptions import ChannelError
from amqp.protocol import queue_declare_ok_t
from kombu.transport import redis as kombu_redis
from redis.exceptions import InvalidResponse

from . import envelope
from .replies import Parser, ping
from .subscription import Subscription, Topic
from .tls import PlainConnection, TlsConnection

_NO_ROUTE: Final = 312
"""AMQP 0-9-1 section 1.2: the reply code of ``basic.return`` when no queue is bound."""

_FANOUT_TAG: Final = "fanout."
"""Delivery tags of fanout queues begin with it. Kombu's own are UUIDs."""

_GLOB: Final = re.compile(r"([*?[\]\\])")
_AS_ITSELF: Final = r"\\\1"
"""Escapes what has a meaning in a pattern: https://redis.io/docs/latest/commands/psubscribe/"""


class FanoutQueue:
    """A queue that is bound to fanout exchanges: what has arrived and is not delivered yet is in this process.

    Arguments:
        name: of the queue.
        limit: so many messages are kept at most, the newest.
    """

    __slots__ = ("arrived", "callback", "consumer_tag", "name", "topics")

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.topics: set[Topic] = set()
        self.arrived: deque[dict[str, Any]] = deque(maxlen=limit)
        self.consumer_tag: str | None = None
        self.callback: Callable[[envelope.Message], object] | None = None


class Channel(kombu_redis.Channel):
    """See :mod:`kchat.transports.redis` for what it does and Kombu's does not.

    Attributes:
        events: callbacks by event, as in py-amqp; only ``basic_return`` happens here.
        subscription: the connection that listens; ``None`` as long as no queue is bound to a fanout exchange.
    """

    Message = envelope.Message
    connection_class = PlainConnection
    connection_class_ssl = TlsConnection
    supports_batch_publish = False
    socket_timeout = 10.0
    max_unread = 10_000
    from_transport_options = (*kombu_redis.Channel.from_transport_options, "max_unread")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.events: dict[str, set[Callable[..., object]]] = {
            "basic_return": set(),
            "basic_ack": set(),
            "basic_nack": set(),
        }
        self.subscription: Subscription | None = None
        self._fanout: dict[str, FanoutQueue] = {}
        self._bound: dict[Topic, list[FanoutQueue]] = {}
        self._limits: dict[str, int] = {}
        self._tags = count(1)
        # Kombu's own is one for all channels of all connections. Ours stays empty: its code for fanout then rests.
        self._fanout_queues: dict[str, Any] = {}
        self._answer_by: float | None = None
        self._made = False
        super().__init__(*args, **kwargs)
        self._answer_by, self._made = None, True

    @cached_property
    def client(self) -> Any:
        """redis-py's client. Kombu says PING by it when the channel is made."""
        client = self._create_client(asynchronous=True)
        client.ping = partial(ping, client.ping)
        return client

    def _deadline(self) -> float | None:
        """When the first connection has to be there, and when PUBLISH has to be answered, while that is waited for."""
        return self._answer_by

    # ---- publishing

    def _put_fanout(
        self,
        exchange: str,
        message: dict[str, Any],
        routing_key: str | None,
        mandatory: bool = False,
        **_: Any,
    ) -> None:
        """Publish, and return when the server has counted who got it.

        Raises:
            redis.exceptions.TimeoutError: no answer within ``socket_timeout``; it may have been published.
            redis.exceptions.RedisError: it was not, or that is not known.
        """
        # The answer is a number: no slow link is a reason to wait longer for it.
        self._answer_by = monotonic() + self.socket_timeout if self.socket_timeout else None
        try:
            receivers = self._publisher.publish(
                self._get_publish_topic(exchange, routing_key), kombu_redis.dumps(message)
            )
        finally:
            self._answer_by = None
        if not isinstance(receivers, int):
            raise InvalidResponse("its answer to PUBLISH is no number")
        if mandatory and not receivers:
            error = ChannelError("nobody listens to it", reply_code=_NO_ROUTE)
            for callback in list(self.events["basic_return"]):
                callback(error, exchange, routing_key, message)

    @cached_property
    def _publisher(self) -> Any:
        # On the pool whose connection has just answered a PING.
        return self._create_client(asynchronous=True)

    # ---- declaring

    def queue_declare(
        self, queue: str | None = None, passive: bool = False, exclusive: bool = False, **kwargs: Any
    ) -> Any:
        """Declare a queue. See Kombu's.

        An exclusive one is nobody else's, so there is nothing to count in the server; who may only subscribe may not.
        """
        if not (exclusive and queue and not passive):
            return super().queue_declare(queue, passive=passive, exclusive=exclusive, **kwargs)
        self._new_queue(queue, exclusive=exclusive, **kwargs)
        fanout = self._fanout.get(queue)
        return queue_declare_ok_t(queue, 0 if fanout is None else len(fanout.arrived), 0)

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        limit = (kwargs.get("arguments") or {}).get("x-max-length")
        if isinstance(limit, int) and limit > 0:
            self._limits[queue] = limit
        super()._new_queue(queue, **kwargs)

    def queue_bind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **kwargs: Any,
    ) -> None:
        """Bind a queue. On a fanout exchange, it gets all that is published from the moment that this returns."""
        if exchange is None or self.typeof(exchange).type != "fanout":
            super().queue_bind(queue, exchange, routing_key, arguments, **kwargs)
            return
        fanout = self._fanout.get(queue) or FanoutQueue(queue, self._limits.get(queue, self.max_unread))
        topic = self._topic(exchange, routing_key)
        if topic in fanout.topics:
            return
        # Also where another queue has subscribed: what came before the confirmation is not for this one.
        for earlier in self._subscribed().add(topic):
            self._sort_in(*earlier)
        self._fanout[queue] = fanout
        fanout.topics.add(topic)
        self._bound.setdefault(topic, []).append(fanout)

    def queue_unbind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **kwargs: Any,
    ) -> None:
        """Take a binding away. What has arrived by it stays."""
        fanout = self._fanout.get(queue)
        topic = self._topic(exchange or "", routing_key)
        if fanout is None or topic not in fanout.topics:
            super().queue_unbind(queue, exchange, routing_key, arguments, **kwargs)
            return
        self._unbind(fanout, topic)

    def queue_delete(
        self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any
    ) -> None:
        """Delete a queue and its bindings."""
        fanout = self._fanout.get(queue)
        if fanout is not None:
            if (if_empty and fanout.arrived) or (if_unused and fanout.callback is not None):
                return
            for topic in list(fanout.topics):
                self._unbind(fanout, topic)
            del self._fanout[queue]
            self._limits.pop(queue, None)
            self.auto_delete_queues.discard(queue)
        super().queue_delete(queue, if_unused=if_unused, if_empty=if_empty, **kwargs)

    def _unbind(self, fanout: FanoutQueue, topic: Topic) -> None:
        fanout.topics.discard(topic)
        queues = self._bound[topic]
        queues.remove(fanout)
        if not queues:
            del self._bound[topic]
            if self.subscription is not None:
                self.subscription.remove(topic)

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """The bindings of an exchange whose messages are kept in lists.

        Raises:
            redis.exceptions.InvalidResponse: the server tells something else.
        """
        try:
            return [(key, pattern, queue) for key, pattern, queue in super().get_table(exchange)]
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidResponse("what it tells of bindings cannot be read") from error

    def _topic(self, exchange: str, routing_key: str | None) -> Topic:
        """What Kombu's publishers publish to: ``/0.chat``, and with a routing key ``/0.chat/key``."""
        prefix = f"{self.global_keyprefix}{self._get_publish_topic(exchange, '')}"
        if not routing_key or not self.fanout_patterns:
            return Topic(prefix.encode())
        pattern = routing_key.replace("#", "*")
        if "*" not in pattern:
            return Topic(f"{prefix}/{pattern}".encode())
        return Topic(f"{_GLOB.sub(_AS_ITSELF, prefix)}/{pattern}".encode(), pattern=True)

    def _subscribed(self) -> Subscription:
        if self.subscription is None:
            connection = self.pool.connection_class(**self.pool.connection_kwargs)
            self.subscription = Subscription(connection, float(self.health_check_interval or 0))
        return self.subscription

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        # In RESP2 replies and messages come in one order, and nothing comes that was not asked for.
        params = super()._connparams(asynchronous=asynchronous)
        if not self._made and self._answer_by is None and self.socket_connect_timeout:
            self._answer_by = monotonic() + self.socket_connect_timeout
        return {**params, "protocol": 2, "parser_class": partial(Parser, until=self._deadline)}

    # ---- consuming

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], object], consumer_tag: str, **kwargs: Any
    ) -> Any:
        """Have a queue's messages delivered to a callback."""
        fanout = self._fanout.get(queue)
        if fanout is None:
            return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        fanout.callback, fanout.consumer_tag = callback, consumer_tag
        return consumer_tag

    def basic_cancel(self, consumer_tag: str) -> Any:
        """End a consumer, and its queue with it if that is an auto-delete queue."""
        for fanout in self._fanout.values():
            if fanout.consumer_tag == consumer_tag:
                fanout.callback = fanout.consumer_tag = None
                if fanout.name in self.auto_delete_queues:
                    self.queue_delete(fanout.name)
                return None
        return super().basic_cancel(consumer_tag)

    def deliver_one(self) -> bool:
        """Deliver one message of a fanout queue, if one is there.

        Returns:
            Whether there was one.

        Raises:
            redis.exceptions.RedisError: the subscription is lost.
        """
        fanout = self._ready()
        if fanout is None and self.subscription is not None and self._read_one():
            fanout = self._ready()
        if fanout is None or fanout.callback is None:
            return False
        fanout.callback(self._take(fanout))
        return True

    def _ready(self) -> FanoutQueue | None:
        return next((each for each in self._fanout.values() if each.arrived and each.callback), None)

    def _read_one(self) -> bool:
        """Put the next message that has come into the queues that are bound to its topic."""
        assert self.subscription is not None
        arrival = self.subscription.read()
        if arrival is None:
            self.subscription.check()
            return False
        self._sort_in(*arrival)
        return True

    def _sort_in(self, topic: Topic, data: bytes) -> None:
        for fanout in self._bound.get(topic, ()):
            # Opened for each: who gets it may change it.
            fanout.arrived.append(envelope.unwrap(data))

    def _take(self, fanout: FanoutQueue) -> envelope.Message:
        payload = fanout.arrived.popleft()
        properties = payload["properties"]
        properties["delivery_tag"] = tag = f"{_FANOUT_TAG}{next(self._tags)}"
        properties["delivery_info"].update(consumer_tag=fanout.consumer_tag, delivery_tag=tag)
        return envelope.Message(payload, channel=self)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> envelope.Message | None:
        """One message, or ``None``."""
        fanout = self._fanout.get(queue)
        if fanout is None:
            found: envelope.Message | None = super().basic_get(queue, no_ack=no_ack, **kwargs)
            return found
        while not fanout.arrived and self._read_one():
            pass
        return self._take(fanout) if fanout.arrived else None

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge a delivery; of a fanout queue's, Redis knows nothing any more."""
        if not _is_fanout(delivery_tag):
            super().basic_ack(delivery_tag, multiple=multiple)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Reject a delivery. One of a fanout queue is gone, whatever ``requeue`` says: nobody else would get it."""
        if not _is_fanout(delivery_tag):
            super().basic_reject(delivery_tag, requeue=requeue)

    def _size(self, queue: str) -> int:
        fanout = self._fanout.get(queue)
        return int(super()._size(queue)) if fanout is None else len(fanout.arrived)

    def _purge(self, queue: str) -> int:
        fanout = self._fanout.get(queue)
        if fanout is None:
            return int(super()._purge(queue))
        purged = len(fanout.arrived)
        fanout.arrived.clear()
        return purged

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return queue in self._fanout or bool(super()._has_queue(queue, **kwargs))

    def close(self) -> None:
        """Close the channel. The server forgets the subscriptions with the connection."""
        subscription, self.subscription = self.subscription, None
        self._fanout.clear()
        self._bound.clear()
        if subscription is not None:
            subscription.close()
        super().close()


def _is_fanout(delivery_tag: object) -> bool:
    return isinstance(delivery_tag, str) and delivery_tag.startswith(_FANOUT_TAG)
