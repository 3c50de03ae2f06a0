"""The receiving half of a channel: its consumers, and what they have not acknowledged."""

# The signatures are py-amqp's.
# ruff: noqa: ARG002, FBT001, FBT002

from __future__ import annotations

import threading
import uuid
from collections import deque
from time import time
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError, NotAllowed, NotFound, PreconditionFailed, RecoverableConnectionError
from kombu.transport.base import StdChannel

from .ack_manager import AckManager, key_of
from .arguments import is_expired
from .channel_consumer import ChannelConsumer, Unacked
from .errors import NotSupported
from .messages import ROUTING_KEY, Delivery
from .puller import Puller

if TYPE_CHECKING:
    from collections.abc import Callable

    from kombu.message import Message

    from .bindings import Queue
    from .connection import Connection

REMEMBERED = 1000
"""Maximum number of runs of delivery tags without acknowledgement; one consumer alone makes a single one."""


class ReceivingChannel(StdChannel):
    """A channel, as far as it receives.

    One thread drains events, and any other may acknowledge meanwhile, as Celery's result handler does. A lock is held while
    the tables change, never during a callback or a request.

    Arguments:
        connection: that it belongs to.
        channel_id: its number there.

    Attributes:
        no_ack_consumers: tags of consumers whose messages need no acknowledgement; Kombu's messages look there.
    """

    def __init__(self, connection: Connection, channel_id: int) -> None:
        self.connection = connection
        self.channel_id = channel_id
        self.no_ack_consumers: set[str] = set()
        self.is_open = True
        self._consumers: dict[str, ChannelConsumer] = {}
        self._acks: dict[str, AckManager] = {}
        self._lock = threading.Lock()
        self._unacked: dict[int, Unacked] = {}
        self._no_ack_tags: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        """The tags that needed no acknowledgement: the first and last of each run."""
        self._tag = 0
        self._prefetch = 0
        self._limit = 0

    def _check(self) -> Connection:
        if not self.is_open:
            raise RecoverableConnectionError("the channel is closed")
        self.connection.check()
        return self.connection

    # ---- consuming

    def basic_qos(
        self, prefetch_size: int = 0, prefetch_count: int = 0, a_global: bool = False, **_: Any
    ) -> None:
        """Limit the number of unacknowledged messages; 0 for no limit.

        As on RabbitMQ (https://www.rabbitmq.com/docs/consumer-prefetch#overview): of each consumer that follows, or with
        ``a_global`` of all consumers of this channel together, from now on.
        """
        self._check()
        if not a_global:
            self._prefetch = prefetch_count
            return
        self._limit = prefetch_count
        for consumer in list(self._consumers.values()):
            if not consumer.no_ack:
                consumer.puller.widen(prefetch_count)
        self._wake()

    def basic_consume(
        self,
        queue: str,
        consumer_tag: str = "",
        no_local: bool = False,
        no_ack: bool = False,
        exclusive: bool = False,
        callback: Callable[[Delivery], Any] | None = None,
        on_cancel: Callable[[str], Any] | None = None,
        **_: Any,
    ) -> str:
        """Deliver a queue's messages by ``drain_events``.

        Arguments:
            queue: its name; any process may have declared it.
            consumer_tag: default a new one.
            no_local: without effect.
            no_ack: messages count as acknowledged when they are delivered.
            exclusive: not supported.
            callback: called with each :class:`~kchat.transports.pubsub.messages.Delivery`.
            on_cancel: called with the tag when others have deleted the queue. Without it, ``drain_events`` raises
                ``NotFound``.

        Returns:
            The consumer's tag.

        Raises:
            amqp.exceptions.NotFound: the queue does not exist.
            kchat.transports.pubsub.errors.NotSupported: exclusively: Pub/Sub has no exclusive consumers.
        """
        connection = self._check()
        if exclusive:
            raise NotSupported(f"consume from {queue!r} exclusively: Pub/Sub has no exclusive consumers")
        tag = consumer_tag or f"ctag-{uuid.uuid4().hex}"
        if tag in self._consumers:
            raise NotAllowed(f"consumer tag {tag!r} is in use")
        found = connection.definitions.consumed(queue)
        acks = self._acks_of(queue)
        consumer = ChannelConsumer(
            tag, found, callback or (lambda _: None), on_cancel, acks, no_ack, 0 if no_ack else self._prefetch
        )
        consumer.puller = Puller(
            connection.clients,
            0 if no_ack else self._prefetch or self._limit,
            acks,
            lambda received, size: connection.report(lambda: self._arrived(consumer, received, size)),
            lambda error: connection.report(lambda: self._ended(consumer, error)),
        )
        self._consumers[tag] = consumer
        if no_ack:
            self.no_ack_consumers.add(tag)
        consumer.puller.start()
        return tag

    def basic_cancel(self, consumer_tag: str, **_: Any) -> None:
        """End a consumer. What it has unacknowledged can still be acknowledged; its own queue goes with the last one."""
        self._check()
        self._cancel(consumer_tag)
        self.no_ack_consumers.discard(consumer_tag)

    def _cancel(self, tag: str) -> None:
        consumer = self._consumers.pop(tag, None)
        if consumer is None:
            return
        queue = consumer.queue
        goes = (
            queue.exclusive
            and queue.auto_delete
            and not any(channel.consumes(queue.name) for channel in list(self.connection.channels.values()))
        )
        consumer.stop(politely=not goes)
        if goes:
            self.forget_queue(queue.name)
            self.connection.delete_own(queue.name)

    def consumes(self, queue: str) -> bool:
        """Whether a consumer of this channel is on that queue."""
        return any(consumer.queue.name == queue for consumer in self._consumers.values())

    def forget_queue(self, queue: str) -> None:
        """The queue is being deleted by this connection: end what belongs to it, without telling anybody."""
        for tag, consumer in list(self._consumers.items()):
            if consumer.queue.name == queue:
                del self._consumers[tag]
                consumer.stop(politely=False)
        if (acks := self._acks.pop(queue, None)) is not None:
            acks.drop()

    def basic_get(self, queue: str, no_ack: bool = False, **_: Any) -> Delivery | None:
        """The next message of a queue; ``None`` when there is none within the option's ``get_timeout``."""
        connection = self._check()
        found, acks = connection.definitions.consumed(queue), self._acks_of(queue)
        for received in connection.clients.pull(acks.subscription, 1, f"get from {queue}"):
            if not acks.hold([received]):
                continue
            if self._is_wanted(found, received.message):
                return self._hand_over(found, received, acks, None, no_ack=no_ack)
            acks.acknowledge([key_of(received)])
        return None

    def queue_purge(self, queue: str, **_: Any) -> int:
        """Remove what is in a queue and not delivered; returns the number of messages."""
        connection = self._check()
        found, acks = connection.definitions.consumed(queue), self._acks_of(queue)
        thrown = 0
        for received in connection.clients.pull(acks.subscription, 1000, f"get from {queue}"):
            acks.hold([received])
            acks.acknowledge([key_of(received)])
            thrown += _is_for(found, received.message)
        return thrown

    # ---- settling

    def basic_ack(self, delivery_tag: int, multiple: bool = False, **_: Any) -> None:
        """Acknowledge a message, or with ``multiple`` all up to it in the order of delivery.

        Raises:
            amqp.exceptions.PreconditionFailed: no such message is unacknowledged. (One that needs no
                acknowledgement may be acknowledged.)
        """
        self._settle(delivery_tag, AckManager.acknowledge, multiple=multiple)

    def basic_reject(self, delivery_tag: int, requeue: bool = True, multiple: bool = False, **_: Any) -> None:
        """Return a message to its queue, or drop it.

        Raises:
            amqp.exceptions.PreconditionFailed: no such message is unacknowledged.
        """
        how = AckManager.requeue if requeue else AckManager.acknowledge
        self._settle(delivery_tag, how, multiple=multiple)

    def basic_nack(self, delivery_tag: int, multiple: bool = False, requeue: bool = True, **_: Any) -> None:
        """As :meth:`basic_reject`, for one or for all up to it."""
        self.basic_reject(delivery_tag, requeue=requeue, multiple=multiple)

    def basic_recover(self, requeue: bool = True, **_: Any) -> None:
        """Return everything that is not acknowledged."""
        self.basic_reject(0, multiple=True)

    def _settle(self, tag: int, how: Callable[[AckManager, list[str]], None], *, multiple: bool) -> None:
        self._check()
        keys: dict[AckManager, list[str]] = {}
        with self._lock:
            if multiple:
                # In AMQP 0 stands for all of them.
                tags = [known for known in self._unacked if known <= tag or not tag]
            else:
                tags = [tag] if tag in self._unacked else []
            if not tags and tag and not any(first <= tag <= last for first, last in self._no_ack_tags):
                raise PreconditionFailed(f"unknown delivery tag {tag}")
            for known in tags:
                key, acks, consumer = self._unacked.pop(known)
                keys.setdefault(acks, []).append(key)
                if consumer is not None:
                    consumer.unacked -= 1
                if how is AckManager.requeue:
                    self.connection.requeued.append(key)
        for acks, settled in keys.items():
            how(acks, settled)
        self._wake()

    def _is_full(self, consumer: ChannelConsumer) -> bool:
        """Whether it gets nothing before something is acknowledged."""
        with self._lock:
            return consumer.is_full or (
                bool(self._limit) and not consumer.no_ack and len(self._unacked) >= self._limit
            )

    def _wake(self) -> None:
        """Have what waited for an acknowledgement delivered by the thread that drains events, which may be asleep."""
        if any(consumer.held for consumer in list(self._consumers.values())):
            self.connection.report(self.deliver_held)

    def _acks_of(self, queue: str) -> AckManager:
        if queue not in self._acks:
            connection = self.connection
            self._acks[queue] = AckManager(
                connection.clients,
                connection.definitions.subscription(queue),
                lambda error: connection.report(lambda: self._lost(queue, error)),
            )
        return self._acks[queue]

    # ---- what Google's threads report

    def _arrived(self, consumer: ChannelConsumer, received: Any, size: int) -> bool:
        if not consumer.active:
            consumer.acks.requeue([key_of(received)])
            return False
        if consumer.held or self._is_full(consumer):
            consumer.held.append((received, size))
            return False
        return self._deliver(consumer, received, size)

    def deliver_held(self) -> bool:
        """Deliver one message that waited because of the prefetch count; False when there is none."""
        for consumer in list(self._consumers.values()):
            while consumer.held and not self._is_full(consumer):
                if self._deliver(consumer, *consumer.held.popleft()):
                    return True
        return False

    def _deliver(self, consumer: ChannelConsumer, received: Any, size: int) -> bool:
        consumer.puller.release(size)
        if not self._is_wanted(consumer.queue, received.message):
            consumer.acks.acknowledge([key_of(received)])
            return False
        delivery = self._hand_over(consumer.queue, received, consumer.acks, consumer, no_ack=consumer.no_ack)
        consumer.callback(delivery)
        return True

    @staticmethod
    def _is_wanted(queue: Queue, message: Any) -> bool:
        """Whether a message is for this queue, and not too old to be delivered."""
        published = _published(message)
        if queue.begins_at is not None and published < queue.begins_at:
            return False
        return _is_for(queue, message) and not is_expired(queue.times, message.attributes, time() - published)

    def _hand_over(
        self, queue: Queue, received: Any, acks: AckManager, consumer: ChannelConsumer | None, *, no_ack: bool
    ) -> Delivery:
        """A delivery, noted as unacknowledged unless it needs no acknowledgement."""
        message, key = received.message, key_of(received)
        with self._lock:
            self._tag = tag = self._tag + 1
            if not no_ack:
                self._unacked[tag] = Unacked(key, acks, consumer)
                if consumer is not None:
                    consumer.unacked += 1
            elif self._no_ack_tags and self._no_ack_tags[-1][1] == tag - 1:
                self._no_ack_tags[-1] = (self._no_ack_tags[-1][0], tag)
            else:
                self._no_ack_tags.append((tag, tag))
        if no_ack:
            acks.acknowledge([key])
        attributes = dict(message.attributes)
        info = {
            "exchange": queue.exchange or "",
            "routing_key": attributes.get(ROUTING_KEY) or message.ordering_key or queue.routing_key,
            "delivery_tag": tag,
            "redelivered": received.delivery_attempt > 1 or key in self.connection.requeued,
            "ordering_key": message.ordering_key,
            # Set by the service, also for those that carry no timestamp of their own.
            "publish_time": _published(message),
            # The service's own, unlike the property of that name.
            "message_id": message.message_id,
        }
        if consumer is not None:
            info["consumer_tag"] = consumer.tag
        return Delivery(self, message.data, attributes, tag, info)

    def _ended(self, consumer: ChannelConsumer, error: AMQPError) -> bool:
        """The stream of a consumer has ended for good."""
        if not consumer.active:
            return False
        if not isinstance(error, NotFound):
            raise self.connection.failed(error)
        consumer.stop(politely=False)
        self._consumers.pop(consumer.tag, None)
        if consumer.on_cancel is None:
            raise error
        consumer.on_cancel(consumer.tag)
        return True

    def _lost(self, queue: str, error: AMQPError) -> bool:
        """Acknowledging has failed for good."""
        self._acks.pop(queue, None)
        if isinstance(error, NotFound):
            return False  # the stream says the same, and there the consumer is told
        raise self.connection.failed(error)

    def message_to_python(self, raw_message: Delivery) -> Message:
        """A delivery as Kombu's consumers know it."""
        return raw_message.to_kombu()

    # ---- the end

    def close(self, **_: Any) -> None:
        """End consumers, requeue what is unacknowledged, and wait until the service has every acknowledgement.

        That takes the option's ``close_timeout`` at most.
        """
        if not self.is_open:
            return
        if self.connection.connected:
            for tag in list(self._consumers):
                self._cancel(tag)
            for acks in self._acks.values():
                acks.finish()
            for acks in self._acks.values():
                if not acks.wait(self.connection.time_to_close()):
                    self.connection.skip_remaining()
            self._acks.clear()
        self.collect()

    def collect(self) -> None:
        """Drop everything without telling the service."""
        self.is_open = False
        for queue in {*self._acks, *(consumer.queue.name for consumer in self._consumers.values())}:
            self.forget_queue(queue)
        with self._lock:
            self._unacked.clear()
        self.connection.channels.pop(self.channel_id, None)


def _is_for(queue: Queue, message: Any) -> bool:
    """The service filters by itself; the emulator takes the filter and lets everything through."""
    return not queue.filter or message.attributes.get(ROUTING_KEY, "") == queue.routing_key


def _published(message: Any) -> float:
    """When the service took a message, in UNIX seconds."""
    return float(message.publish_time.seconds + message.publish_time.nanos / 1e9)
