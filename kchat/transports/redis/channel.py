"""Kombu's Redis channel, with a fanout of its own."""

# ruff: noqa: FBT001, FBT002 - the methods that Kombu calls, with the arguments that it gives them

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property, partial
from itertools import count
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from amqp.exceptions import ChannelError
from amqp.protocol import queue_declare_ok_t
from kombu.transport import redis as kombu_redis
from redis import Redis
from redis.exceptions import InvalidResponse

from . import envelope
from .fanout import Consumer, Fanout
from .keeping import Keeper
from .replies import KEPT, Parser, ping
from .subscription import Subscription, Topic
from .tls import PlainConnection, TlsConnection

if TYPE_CHECKING:
    from .kept import Command

_NO_ROUTE: Final = 312
"""AMQP 0-9-1 section 1.2: the reply code of ``basic.return`` when no queue is bound."""

_FANOUT_TAG: Final = "fanout."
"""Delivery tags of fanout queues begin with it. Kombu's own are UUIDs."""

_GLOB: Final = re.compile(r"([*?[\]\\])")
_AS_ITSELF: Final = r"\\\1"
"""Escapes what has a meaning in a pattern: https://redis.io/docs/latest/commands/psubscribe/"""


class Channel(kombu_redis.Channel):
    """See :mod:`kchat.transports.redis` for what it does and Kombu's does not.

    Attributes:
        events: callbacks by event, as in py-amqp; only ``basic_return`` happens here.
        fanout: the queues of the connection that are bound to fanout exchanges, whichever channel declared them.
    """

    Message = envelope.Message
    connection_class = PlainConnection
    connection_class_ssl = TlsConnection
    supports_batch_publish = False
    socket_timeout = 10.0
    max_unread = 10_000
    max_body = KEPT
    keeps_history = True
    from_transport_options = (
        *kombu_redis.Channel.from_transport_options,
        "max_unread",
        "max_body",
        "keeps_history",
    )

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        # Kombu's failover gives the first channel a connection of Kombu's own transport: it knows aliases only.
        self.fanout: Fanout = getattr(connection, "fanout", None) or Fanout(lambda: None)
        self._wake: Callable[[], None] = getattr(connection, "wake", lambda: None)
        self.tell: Callable[[Any], None] = getattr(connection, "notify", lambda _event: None)
        names = "basic_return", "basic_ack", "basic_nack"
        self.events: dict[str, set[Callable[..., object]]] = {name: set() for name in names}
        self._tags = count(1)
        # Kombu's own is one for all channels of all connections. Ours stays empty: its code for fanout then rests.
        self._fanout_queues: dict[str, Any] = {}
        self._answer_by = inf
        self._made = False
        super().__init__(connection, **kwargs)
        self._answer_by, self._made = inf, True

    @cached_property
    def client(self) -> Any:
        """redis-py's client. Kombu says PING by it when the channel is made."""
        client = self._create_client(asynchronous=True)
        client.ping = partial(ping, client.ping)
        return client

    def _deadline(self) -> float:
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
        """Publish, and return when the server has counted the receivers.

        Raises:
            redis.exceptions.TimeoutError: no answer within ``socket_timeout``; it may have been published.
            redis.exceptions.RedisError: it was not, or that is not known.
        """
        # The answer is a number: no slow link is a reason to wait longer for it.
        self._answer_by = monotonic() + self.socket_timeout if self.socket_timeout else inf
        topic = self._get_publish_topic(exchange, routing_key)
        data = kombu_redis.dumps(message).encode()
        kept = self.keeps_history and not (routing_key and self.fanout_patterns)
        try:
            receivers = self._keeper.publish(topic, data, message["properties"].get("message_id"), kept=kept)
        finally:
            self._answer_by = inf
        if mandatory and not receivers:
            error = ChannelError("nobody listens to it", reply_code=_NO_ROUTE)
            for callback in list(self.events["basic_return"]):
                callback(error, exchange, routing_key, message)

    def has_kept_unrouted(self, exchange: str) -> bool:
        """Whether what was published last to a fanout exchange is kept, and had no receivers."""
        return self._keeper.has_kept_unrouted(self._get_publish_topic(exchange, ""))

    @cached_property
    def _keeper(self) -> Keeper:
        return Keeper(self)

    def ask(self, *commands: Command) -> list[Any]:
        """The server's replies to these commands, which are sent together; as they are, errors among them.

        Raises:
            redis.exceptions.RedisError: there are none; whether the commands were done is not known.
        """
        pipeline = self._raw.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    @cached_property
    def _raw(self) -> Any:
        # On the pool whose connection has just answered a PING. What redis-py makes of replies fails where they are odd.
        client = Redis(connection_pool=self.async_pool)
        client.response_callbacks.clear()
        return client

    # ---- declaring

    def queue_declare(
        self, queue: str | None = None, passive: bool = False, exclusive: bool = False, **kwargs: Any
    ) -> Any:
        """Declare a queue. See Kombu's.

        Nobody else uses an exclusive one, so there is nothing to count in the server, which takes another right.
        """
        if not (exclusive and queue and not passive):
            return super().queue_declare(queue, passive=passive, exclusive=exclusive, **kwargs)
        self._new_queue(queue, exclusive=exclusive, **kwargs)
        return queue_declare_ok_t(queue, self.fanout.size(queue) or 0, 0)

    def _new_queue(self, queue: str, auto_delete: bool = False, **kwargs: Any) -> None:
        limit = (kwargs.get("arguments") or {}).get("x-max-length")
        if not isinstance(limit, int) or limit <= 0:
            limit = self.max_unread
        self.fanout.declare(queue, limit, auto_delete=auto_delete)
        super()._new_queue(queue, auto_delete=auto_delete, **kwargs)

    def queue_bind(
        self, queue: str, exchange: str | None = None, routing_key: str = "", *more: Any, **kwargs: Any
    ) -> None:
        """Bind a queue. On a fanout exchange, it gets all that is published from the moment that this returns."""
        if exchange is None or self.typeof(exchange).type != "fanout":
            super().queue_bind(queue, exchange, routing_key, *more, **kwargs)
            return
        self.fanout.bind(queue, self._topic(exchange, routing_key), self._subscribe, self.max_unread)

    def queue_unbind(
        self, queue: str, exchange: str | None = None, routing_key: str = "", *more: Any, **kwargs: Any
    ) -> None:
        """Take a binding away. What has arrived by it stays."""
        if not self.fanout.unbind(queue, self._topic(exchange or "", routing_key)):
            super().queue_unbind(queue, exchange, routing_key, *more, **kwargs)

    def queue_delete(
        self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any
    ) -> None:
        """Delete a queue and its bindings."""
        of_fanout = self.fanout.has(queue)
        deleted = self.fanout.delete(queue, if_unused=if_unused, if_empty=if_empty)
        if of_fanout:
            if not deleted:
                return
            self.auto_delete_queues.discard(queue)
        super().queue_delete(queue, if_unused=if_unused, if_empty=if_empty, **kwargs)

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """The bindings of an exchange whose messages are kept in lists; ``InvalidResponse`` for something else."""
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

    def _subscribe(self) -> Subscription:
        connection = self.pool.connection_class(**self.pool.connection_kwargs)
        return Subscription(connection, float(self.health_check_interval or 0))

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        # In RESP2 replies and messages come in one order, and nothing comes that was not asked for.
        params = super()._connparams(asynchronous=asynchronous)
        if not self._made and self._answer_by == inf and self.socket_connect_timeout:
            self._answer_by = monotonic() + self.socket_connect_timeout
        parser = partial(Parser, until=self._deadline, keep=self.max_body)
        return {**params, "protocol": 2, "parser_class": parser}

    # ---- consuming

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], object], consumer_tag: str, **kwargs: Any
    ) -> Any:
        """Have a queue's messages delivered to a callback; one of a fanout exchange may be declared by another channel."""
        if not self.fanout.consume(queue, Consumer(self, consumer_tag, callback)):
            return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        return consumer_tag

    def basic_cancel(self, consumer_tag: str) -> Any:
        """End a consumer, and its queue with it if that is an auto-delete queue."""
        if not self.fanout.cancel(self, consumer_tag):
            return super().basic_cancel(consumer_tag)
        return None

    def fanout_message(self, payload: dict[str, Any], consumer_tag: str | None) -> envelope.Message:
        """What has arrived for a fanout queue, as a delivery of this channel."""
        properties = payload["properties"]
        properties["delivery_tag"] = tag = f"{_FANOUT_TAG}{next(self._tags)}"
        properties["delivery_info"].update(consumer_tag=consumer_tag, delivery_tag=tag)
        return envelope.Message(payload, channel=self)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> envelope.Message | None:
        """One message, or ``None``."""
        if not self.fanout.has(queue):
            found: envelope.Message | None = super().basic_get(queue, no_ack=no_ack, **kwargs)
            return found
        payload = self.fanout.get(queue)
        return None if payload is None else self.fanout_message(payload, None)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge a delivery; of a fanout queue's, Redis knows nothing any more."""
        if not _is_fanout(delivery_tag):
            super().basic_ack(delivery_tag, multiple=multiple)
            self._wake()

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Reject a delivery. One of a fanout queue is dropped and never requeued, since no one else reads that queue."""
        if not _is_fanout(delivery_tag):
            super().basic_reject(delivery_tag, requeue=requeue)
            self._wake()

    def _size(self, queue: str) -> int:
        size = self.fanout.size(queue)
        return int(super()._size(queue)) if size is None else size

    def _purge(self, queue: str) -> int:
        return self.fanout.purge(queue) if self.fanout.has(queue) else int(super()._purge(queue))

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return self.fanout.has(queue) or bool(super()._has_queue(queue, **kwargs))

    def close(self) -> None:
        """Close the channel, and end its consumers. Queues on fanout exchanges are the connection's, and end with it."""
        self.fanout.leave(self)
        super().close()


def _is_fanout(delivery_tag: object) -> bool:
    return isinstance(delivery_tag, str) and delivery_tag.startswith(_FANOUT_TAG)
