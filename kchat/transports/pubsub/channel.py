"""A channel: AMQP's methods, on topics and subscriptions."""

# The signatures are py-amqp's.
# ruff: noqa: A002, ARG002, FBT001, FBT002

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from amqp.protocol import queue_declare_ok_t
from google.pubsub_v1 import types
from kombu.transport.base import to_rabbitmq_queue_arguments

from .bindings import FANOUT, Queue
from .deliveries import ReceivingChannel
from .errors import NotSupported
from .messages import ROUTING_KEY, Outgoing, check_ordering_key, to_attributes
from .publishing import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from amqp.exceptions import AMQPError

    from .connection import Connection

_Message = types.PubsubMessage.pb()


class Channel(ReceivingChannel):
    """AMQP's methods, as py-amqp's channel and Kombu's virtual channel have them.

    Arguments:
        connection: that it belongs to.
        channel_id: its number there.

    Attributes:
        events: callbacks by what they wait for, as in py-amqp: ``basic_ack`` and ``basic_nack`` in confirm mode.
            ``basic_return`` is never called: Pub/Sub does not tell whether anybody listens.
    """

    def __init__(self, connection: Connection, channel_id: int) -> None:
        super().__init__(connection, channel_id)
        names = "basic_ack", "basic_nack", "basic_return"
        self.events: dict[str, set[Callable[..., Any]]] = {name: set() for name in names}
        self._stream: Stream | None = None

    # ---- exchanges

    def exchange_declare(
        self,
        exchange: str = "",
        type: str = "direct",
        passive: bool = False,
        durable: bool = False,  # a topic lasts until it is deleted
        auto_delete: bool = False,  # a topic does not know when it is unused
        arguments: Mapping[str, Any] | None = None,  # none is known
        **_: Any,
    ) -> None:
        """Make sure that an exchange exists: see :meth:`.definitions.Definitions.declare_exchange`."""
        self._check().definitions.declare_exchange(exchange, type, passive=passive)

    def exchange_delete(self, exchange: str, if_unused: bool = False, **_: Any) -> None:
        """Delete an exchange, and so its topic."""
        self._check().definitions.delete_exchange(exchange, if_unused=if_unused)

    def exchange_bind(self, destination: str, source: str = "", *_: Any, **__: Any) -> None:
        """Not supported, always ``NotSupported``: a topic takes its messages from publishers only."""
        raise NotSupported(f"Pub/Sub cannot bind exchange {destination!r} to exchange {source!r}")

    exchange_unbind = exchange_bind

    # ---- queues

    def prepare_queue_arguments(self, arguments: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Kombu's options of a queue, such as ``message_ttl`` in seconds, as queue arguments."""
        prepared: dict[str, Any] = to_rabbitmq_queue_arguments(arguments, **kwargs)
        return prepared

    def queue_declare(
        self,
        queue: str = "",
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = True,
        arguments: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> queue_declare_ok_t:
        """Declare a queue. Its subscription is created when it is bound or used, see :class:`.definitions.Definitions`.

        Returns:
            Its name, and 0 and 0: Pub/Sub tells neither the messages nor the consumers of a subscription.

        Raises:
            kchat.transports.pubsub.errors.NotSupported: see :mod:`.arguments`.
        """
        name = queue or f"amq.gen-{uuid.uuid4().hex}"
        declared = Queue(name, exclusive, auto_delete, dict(arguments or {}))
        self._check().definitions.declare_queue(declared, passive=passive)
        return queue_declare_ok_t(name, 0, 0)

    def queue_bind(self, queue: str, exchange: str = "", routing_key: str = "", **_: Any) -> None:
        """Bind a queue to an exchange, once for all its life."""
        self._check().definitions.bind(queue, exchange, routing_key)

    def queue_unbind(self, queue: str, exchange: str = "", *_: Any, **__: Any) -> None:
        """Not supported, always ``NotSupported``: a subscription never changes its topic."""
        raise NotSupported(f"Pub/Sub cannot unbind queue {queue!r} from {exchange!r}: delete the queue")

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **_: Any) -> None:
        """Delete a queue, and so its subscription. Pub/Sub does not tell whether it is unused or empty: ``NotSupported``."""
        if if_unused or if_empty:
            raise NotSupported(f"delete queue {queue!r}: Pub/Sub does not tell whether it is unused or empty")
        connection = self._check()
        for channel in list(connection.channels.values()):
            channel.forget_queue(queue)
        connection.definitions.delete_queue(queue)

    # ---- publishing

    def prepare_message(
        self,
        body: bytes | str,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> Outgoing:
        """A message to publish.

        Arguments:
            body: bytes; text is encoded as ``content_encoding`` says, default UTF-8.
            priority: travels, and means nothing to Pub/Sub.
            content_type: as in AMQP.
            content_encoding: as in AMQP.
            headers: application headers; a value other than text has to be fit for JSON.
            properties: AMQP's basic properties; and ``ordering_key``, Pub/Sub's own, instead of the one that the
                exchange would give.

        Raises:
            amqp.exceptions.PreconditionFailed: Pub/Sub takes no such properties or headers.
        """
        given = {
            "content_type": content_type,
            "content_encoding": content_encoding,
            "priority": priority,
            **(properties or {}),
        }
        data = body if isinstance(body, bytes) else bytes(body, content_encoding or "utf-8")
        key = given.pop("ordering_key", None)
        return Outgoing(data, to_attributes(given, headers or {}), None if key is None else str(key))

    def basic_publish(
        self,
        message: Outgoing,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,  # Pub/Sub does not tell whether anybody listens
        timeout: float | None = None,
        **_: Any,
    ) -> None:
        """Publish a message. In confirm mode it returns at once, otherwise when the service has the message.

        Arguments:
            message: of :meth:`prepare_message`.
            exchange: its name; the default exchange delivers to the queue that the routing key names.
            routing_key: on a direct exchange it selects the queues; on a fanout exchange it is the ordering key.
            mandatory: without effect.
            timeout: seconds, default the connection's ``confirm_timeout``; outside of confirm mode only.

        Raises:
            amqp.exceptions.ContentTooLarge: nothing was sent.
            amqp.exceptions.AMQPError: see :mod:`kchat.transports.pubsub.errors`.
        """
        connection = self._check()
        connection.definitions.create_unbound()
        topic, kind, routing_key = connection.definitions.route(exchange, routing_key)
        attributes = message.attributes
        if routing_key and kind != FANOUT:
            attributes = {**attributes, ROUTING_KEY: routing_key}
        key = message.ordering_key
        if key is None:
            # Of an exchange that this process did not declare the type is not known; a direct one's queues ignore it.
            key = routing_key if kind in (FANOUT, None) else ""
        check_ordering_key(key)
        if not message.body and not attributes:
            # Pub/Sub refuses a message with neither; this attribute says what is so anyway.
            attributes = {"content_encoding": "binary"}
        outgoing = _Message(data=message.body, attributes=attributes, ordering_key=key)
        stream = self._stream
        if stream is None:
            connection.publisher.publish(topic, outgoing, timeout)
            return
        connection.publisher.submit(stream, stream.published + 1, topic, outgoing)
        stream.published += 1

    def confirm_select(self, **_: Any) -> None:
        """Begin confirm mode, or begin to count anew: publishes are numbered 1, 2, 3, ..., and confirmed as they go."""
        self._check()
        if self._stream is not None:
            self._stream.ended = True
        self._stream = Stream(self)

    def on_settled(self, stream: Stream, tag: int, error: AMQPError | None) -> bool:
        """The service has the messages up to ``tag``: tell the application. Or it refused one: raise why.

        Nothing after that one was sent, and the count begins anew, as on a new channel.
        """
        if stream is not self._stream:
            return False
        if error is not None:
            self.confirm_select()
            raise self.connection.failed(error)
        for callback in list(self.events["basic_ack"]):
            callback(tag, True)
        return True

    def collect(self) -> None:
        """Drop everything without telling the service."""
        if self._stream is not None:
            self._stream.ended = True
        super().collect()
