"""A channel: publishing and consuming by AMQP's methods, as py-amqp and Kombu name them."""

# ruff: noqa: ARG002, FBT001, FBT002 - AMQP's methods, with the arguments that py-amqp gives them

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPNotImplementedError, NotAllowed, PreconditionFailed

from . import errors
from .connection_queues import ChannelConsumer
from .declarations import Declarations, takes_turns
from .messages import Delivery, Message, Outgoing
from .publishing import Confirms, call_basic_return

if TYPE_CHECKING:
    from .connection import Connection
    from .messages import Row
    from .queues import SharedQueue


class Channel(Declarations):
    """A channel of a connection to a room. Any thread may use it; callbacks are called by the one that drains."""

    def __init__(self, connection: Connection, channel_id: int) -> None:
        super().__init__(connection)
        self.channel_id = channel_id
        #: Callbacks by event, as in py-amqp. ``basic_nack`` does not happen: what cannot be stored raises.
        self.events: dict[str, set[Callable[..., object]]] = {
            "basic_return": set(),
            "basic_ack": set(),
            "basic_nack": set(),
        }
        #: Tags of consumers whose messages need no acknowledgement; Kombu's messages ask for it.
        self.no_ack_consumers: set[str] = set()
        #: Delivered and not yet acknowledged, in the order of delivery.
        self.unacked: dict[int, Delivery] = {}
        self.last_tag = 0
        self.prefetch_count = 0
        self._consumers: dict[str, ChannelConsumer] = {}
        self._publish = connection.publisher.publish
        self._confirms: Confirms | None = None

    @property
    def is_open(self) -> bool:
        """Whether the channel can be used."""
        return not self.closed

    # -- publishing

    def prepare_message(
        self,
        body: bytes | str,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: dict[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> Outgoing:
        """A message for :meth:`basic_publish`. The body is taken as it is, text as UTF-8."""
        given = dict(properties) if properties else {}
        if content_type is not None:
            given["content_type"] = content_type
        if content_encoding is not None:
            given["content_encoding"] = content_encoding
        if priority is not None:
            given["priority"] = priority
        return Outgoing(body, given, headers)

    def basic_publish(
        self,
        message: Outgoing,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,
        **_: Any,
    ) -> None:
        """Publish; when it returns the message is committed. After :meth:`confirm_select`, ``basic_ack`` tells.

        With ``mandatory``, the ``basic_return`` callbacks are called before it returns, if no queue is bound that
        gets the message. A fanout exchange keeps such a message in its history all the same.

        Raises:
            amqp.exceptions.NotFound: the exchange does not exist.
            amqp.exceptions.ContentTooLarge: the body is over ``max_message_bytes``.
            amqp.exceptions.AMQPError: see :mod:`.errors`; nothing was stored.
        """
        if self.closed:
            raise errors.closed(self.connection.options.path)
        if self._confirms is not None:
            self._confirms.publish(message, exchange, routing_key, mandatory=mandatory)
        elif not self._publish(message, exchange, routing_key) and mandatory:
            call_basic_return(self.events, exchange, routing_key, message)

    @takes_turns
    def confirm_select(self, **_: Any) -> None:
        """From now on messages in quick succession share a commit, which makes a stream several times faster.

        Publishes are numbered from 1 on; ``basic_ack`` and ``basic_return`` are called from ``drain_events``, which
        also commits what was waiting for more. When publishing or draining raises, what was not confirmed by then
        may have been stored or not, as on any broker; calling this again numbers from 1 on.
        """
        self._open()
        self._confirms = Confirms(self.connection.publisher, self.events)

    def confirm(self) -> bool:
        """Commit what waits, and confirm; returns whether anything was due. ``drain_events`` does it."""
        return self._confirms is not None and self._confirms.confirm()

    # -- consuming

    @takes_turns
    def basic_qos(
        self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False, **_: Any
    ) -> None:
        """Limit how many unacknowledged messages this channel's consumers have together; 0 for no limit. Not in bytes."""
        if prefetch_size:
            raise AMQPNotImplementedError("local: prefetch_size is not supported")
        self._open()
        self.prefetch_count = prefetch_count or 0

    @takes_turns
    def basic_consume(
        self,
        queue: str = "",
        no_ack: bool = False,
        callback: Callable[[Delivery], object] | None = None,
        consumer_tag: str = "",
        on_cancel: Callable[[str], object] | None = None,
        **_: Any,
    ) -> str:
        """Have a queue's messages delivered to ``callback`` by ``drain_events``.

        Arguments:
            queue: its name; empty for the last one declared on this channel.
            no_ack: messages need no acknowledgement.
            callback: called with each :class:`.Delivery`.
            consumer_tag: a name for the consumer; empty for a new one.
            on_cancel: called with the tag if the queue is deleted; without it ``drain_events`` raises.

        Returns:
            str: the tag.

        Raises:
            amqp.exceptions.NotFound: the queue does not exist.
            amqp.exceptions.ResourceLocked: it is exclusive to another connection.
            amqp.exceptions.NotAllowed: the tag is in use on this channel.
        """
        connection = self._open()
        tag = consumer_tag or f"amq.ctag-{uuid.uuid4().hex}"
        if tag in self._consumers:
            raise NotAllowed(f"consumer tag {tag!r} is in use")
        opened = connection.connection_queues.opened(self._queue(queue))
        consumer = ChannelConsumer(
            self, tag, opened, callback or (lambda _: None), no_ack=no_ack, on_cancel=on_cancel
        )
        connection.connection_queues.add_consumer(consumer)
        self._consumers[tag] = consumer
        if no_ack:
            self.no_ack_consumers.add(tag)
        return tag

    def basic_cancel(self, consumer_tag: str, **_: Any) -> None:
        """End a consumer: nothing is delivered to it after this. What it has not acknowledged stays so.

        As on AMQP, what was on its way to it already (fetched with what was delivered, within the prefetch limit) is
        delivered first; but not where its callback calls this, or has just raised.
        """
        consumer = self._consumers.get(consumer_tag)
        if consumer is not None and consumer.delivered and not consumer.delivering:
            consumer.deliver(len(consumer.queue.ready))
        self._cancel(consumer_tag)

    @takes_turns
    def _cancel(self, consumer_tag: str) -> None:
        consumer = self._consumers.get(consumer_tag)
        if consumer is not None:
            self.forget_consumer(consumer)
            self.connection.connection_queues.remove_consumer(consumer)

    def forget_consumer(self, consumer: ChannelConsumer) -> None:
        """Its queue is gone, or it was cancelled."""
        self._consumers.pop(consumer.tag, None)
        self.no_ack_consumers.discard(consumer.tag)

    @takes_turns
    def basic_get(self, queue: str = "", no_ack: bool = False, **_: Any) -> Message | None:
        """The next message of a queue, None where there is none."""
        opened = self._open().connection_queues.opened(self._queue(queue))
        found: list[Delivery] = []
        asking = ChannelConsumer(self, "", opened, found.append, no_ack=no_ack)
        prefetch, self.prefetch_count = (
            self.prefetch_count,
            0,
        )  # AMQP: no limit on what is asked for one by one
        try:
            while not found:  # what is fetched may have expired
                if not opened.ready:
                    opened.fetch(1)
                if not opened.ready and not opened.more:
                    break
                asking.deliver(1)
        finally:
            self.prefetch_count = prefetch
        return Message(found[0], self) if found else None

    def message_to_python(self, raw_message: Delivery | Message) -> Message:
        """What a consumer's callback got, as Kombu's message."""
        return raw_message if isinstance(raw_message, Message) else Message(raw_message, self)

    @takes_turns
    def basic_ack(self, delivery_tag: int, multiple: bool = False, **_: Any) -> None:
        """Acknowledge a message; with ``multiple`` all up to and including it, in the order of delivery.

        Raises:
            amqp.exceptions.PreconditionFailed: no such message is unacknowledged on this channel.
        """
        for queue, rows in self._settled(delivery_tag, multiple):
            queue.settle(rows)

    def basic_reject(self, delivery_tag: int, requeue: bool = False, **_: Any) -> None:
        """Refuse a message: with ``requeue`` it is delivered again, otherwise it is dropped."""
        self.basic_nack(delivery_tag, requeue=requeue)

    @takes_turns
    def basic_nack(self, delivery_tag: int, multiple: bool = False, requeue: bool = True, **_: Any) -> None:
        """As :meth:`basic_reject`; with ``multiple`` all up to and including it."""
        for queue, rows in self._settled(delivery_tag, multiple):
            if requeue:
                queue.put_back(rows, redelivered=True)
            else:
                queue.settle(rows)

    @takes_turns
    def basic_recover(self, requeue: bool = False, **_: Any) -> None:
        """Have all unacknowledged messages of this channel delivered again, to any consumer.

        Raises:
            amqp.exceptions.AMQPNotImplementedError: without ``requeue``, as on RabbitMQ.
        """
        if not requeue:
            raise AMQPNotImplementedError("local: basic.recover is supported with requeue only")
        self._open()
        self._put_back_unacked()

    def _put_back_unacked(self) -> None:
        deliveries = list(self.unacked.values())
        self.unacked.clear()
        for queue, rows in _by_queue(deliveries):
            queue.put_back(rows, redelivered=True)

    def _settled(self, delivery_tag: int, multiple: bool) -> Iterable[tuple[SharedQueue, list[Row]]]:
        """Take deliveries from the unacknowledged; by queue."""
        self._open()
        unacked = self.unacked
        if not multiple:
            delivery = unacked.pop(delivery_tag, None)
            if delivery is None:
                raise PreconditionFailed(f"unknown delivery tag {delivery_tag}")
            return ((delivery.queue, [delivery.row]),)
        if delivery_tag > self.last_tag:
            raise PreconditionFailed(f"unknown delivery tag {delivery_tag}")
        if delivery_tag in (0, self.last_tag):  # AMQP: zero is all
            taken = list(unacked.values())
            unacked.clear()
        else:
            tags = list(takewhile(lambda tag: tag <= delivery_tag, unacked))
            taken = [unacked.pop(tag) for tag in tags]
        return _by_queue(taken)

    @takes_turns
    def close(self) -> None:
        """End the consumers and put back what is not acknowledged; harmless to repeat."""
        if self.closed:
            return
        self.closed = True
        self.connection.channels.pop(self.channel_id, None)
        try:
            if self.connection.connected:
                if self._confirms is not None:
                    self._confirms.commit()
                # First the messages: an auto-delete queue goes with its last consumer.
                self._put_back_unacked()
                for tag in list(self._consumers):
                    self._cancel(tag)
        finally:
            self.unacked.clear()
            self._consumers.clear()


def _by_queue(deliveries: Iterable[Delivery]) -> Iterable[tuple[SharedQueue, list[Row]]]:
    groups: dict[int, tuple[SharedQueue, list[Row]]] = {}
    for delivery in deliveries:
        groups.setdefault(delivery.queue.id, (delivery.queue, []))[1].append(delivery.row)
    return groups.values()
