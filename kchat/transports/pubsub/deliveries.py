"""The receiving half of a channel: its consumers, and what they have not acknowledged."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError, NotFound, PreconditionFailed, RecoverableConnectionError
from google.pubsub_v1 import types

from .ack_manager import AckManager, key_of
from .arguments import is_expired
from .channel_consumer import ChannelConsumer, Unacked
from .messages import ROUTING_KEY, Delivery
from .puller import Puller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .bindings import Queue
    from .connection import Connection

POLL_SECONDS = 0.05
"""Seconds between two requests of ``basic_get`` and ``queue_purge`` to an empty queue."""

REMEMBERED = 1000
"""Maximum number of runs of delivery tags without acknowledgement; one consumer alone makes a single one."""


class Deliveries:
    """Consumers and unacknowledged messages of one channel.

    One thread drains events, and any other may acknowledge meanwhile, as Celery's result handler does. A lock is held while
    the tables change, never during a callback or a request.

    Arguments:
        channel: stands in the deliveries.
        connection: whose the channel is.
    """

    def __init__(self, channel: Any, connection: Connection) -> None:
        self._channel = channel
        self._connection = connection
        self._clients = connection.clients
        self._consumers: dict[str, ChannelConsumer] = {}
        self._acks: dict[str, AckManager] = {}
        self._lock = threading.Lock()
        self._unacked: dict[int, Unacked] = {}
        self._no_ack_tags: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        """The tags that needed no acknowledgement: the first and last of each run."""
        self._tag = 0
        self._limit = 0

    def has(self, tag: str) -> bool:
        """Whether there is a consumer of that tag."""
        return tag in self._consumers

    def consume(
        self,
        tag: str,
        queue: Queue,
        callback: Callable[[Delivery], Any],
        on_cancel: Callable[[str], Any] | None,
        *,
        no_ack: bool,
        prefetch: int,
    ) -> None:
        """Begin a consumer."""
        acks = self._acks_of(queue.name)
        consumer = ChannelConsumer(tag, queue, callback, on_cancel, acks, no_ack, prefetch)
        report = self._connection.report
        consumer.puller = Puller(
            self._clients,
            self._connection.definitions.subscription(queue.name),
            0 if no_ack else prefetch or self._limit,
            acks,
            lambda received, size: report(lambda: self._arrived(consumer, received, size)),
            lambda error: report(lambda: self._ended(consumer, error)),
        )
        self._consumers[tag] = consumer
        consumer.puller.start()

    def limit(self, count: int) -> None:
        """Bound how many messages may be unacknowledged on this channel, of all consumers together; 0 for any number."""
        self._limit = count
        for consumer in list(self._consumers.values()):
            if not consumer.no_ack:
                consumer.puller.widen(count)
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
            self._connection.report(self.deliver_held)

    def _acks_of(self, queue: str) -> AckManager:
        acks = self._acks.get(queue)
        if acks is None:
            subscription = self._connection.definitions.subscription(queue)
            report = self._connection.report
            acks = self._acks[queue] = AckManager(
                self._clients, subscription, lambda error: report(lambda: self._lost(queue, error))
            )
        return acks

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
        consumer.puller.flow_control.release(size)
        if not self._is_wanted(consumer.queue, received.message):
            consumer.acks.acknowledge([key_of(received)])
            return False
        delivery = self._hand_over(consumer.queue, received, consumer.acks, consumer, no_ack=consumer.no_ack)
        consumer.callback(delivery)
        return True

    def _is_wanted(self, queue: Queue, message: Any) -> bool:
        """Whether a message is for this queue, and not too old to be delivered."""
        return self._is_for(queue, message) and not is_expired(
            queue.times, message.attributes, time() - _published(message)
        )

    @staticmethod
    def _is_for(queue: Queue, message: Any) -> bool:
        """The service filters by itself; the emulator takes the filter and lets everything through."""
        return not queue.filter or message.attributes.get(ROUTING_KEY, "") == queue.routing_key

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
            "redelivered": received.delivery_attempt > 1 or self._connection.was_requeued(key),
            "ordering_key": message.ordering_key,
            # Set by the service, also for those that carry no timestamp of their own.
            "publish_time": _published(message),
        }
        if consumer is not None:
            info["consumer_tag"] = consumer.tag
        return Delivery(self._channel, message.data, attributes, tag, info)

    def _ended(self, consumer: ChannelConsumer, error: AMQPError) -> bool:
        """The stream of a consumer has ended for good."""
        if not consumer.active:
            return False
        if not isinstance(error, NotFound):
            if isinstance(error, RecoverableConnectionError):
                self._connection.failed(error)
            raise error
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
        if isinstance(error, RecoverableConnectionError):
            self._connection.failed(error)
        raise error

    # ---- what the application does

    def acknowledge(self, tag: int, *, multiple: bool) -> None:
        """See :meth:`.channel.Channel.basic_ack`."""
        self._settle(tag, AckManager.acknowledge, multiple=multiple)

    def requeue(self, tag: int, *, multiple: bool) -> None:
        """See :meth:`.channel.Channel.basic_reject`."""
        self._settle(tag, AckManager.requeue, multiple=multiple)

    def requeue_all(self) -> None:
        """Give back everything that is not acknowledged."""
        self.requeue(0, multiple=True)

    def _settle(self, tag: int, how: Callable[[AckManager, list[str]], None], *, multiple: bool) -> None:
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
                    self._connection.note_requeued(key)
        for acks, settled in keys.items():
            how(acks, settled)
        self._wake()

    def get(self, queue: Queue, *, no_ack: bool) -> Delivery | None:
        """Pull one message; ``None`` when there is none within the option's ``get_timeout``."""
        acks = self._acks_of(queue.name)
        for received in self._pull(queue, 1):
            if not acks.hold([received]):
                continue
            if self._is_wanted(queue, received.message):
                return self._hand_over(queue, received, acks, None, no_ack=no_ack)
            acks.acknowledge([key_of(received)])
        return None

    def purge(self, name: str) -> int:
        """Remove what is in a queue; returns the number of messages."""
        queue = self._connection.definitions.consumed(name)
        acks = self._acks_of(name)
        thrown = 0
        for received in self._pull(queue, 1000):
            acks.hold([received])
            acks.acknowledge([key_of(received)])
            thrown += self._is_for(queue, received.message)
        return thrown

    def _pull(self, queue: Queue, at_most: int) -> Iterator[Any]:
        """Messages, until none came for ``get_timeout`` seconds."""
        subscription = self._connection.definitions.subscription(queue.name)
        # A pull that waits, and is cancelled here, may still take messages there: they would be gone for a while.
        request = types.PullRequest(subscription=subscription, max_messages=at_most, return_immediately=True)
        deadline = monotonic() + self._clients.options.get_timeout
        while True:
            answer = self._clients.call(self._clients.pull_at_once, request, f"get from {queue.name}")
            received = types.PullResponse.pb(answer).received_messages
            if received:
                yield from received
                deadline = monotonic() + self._clients.options.get_timeout
            elif monotonic() >= deadline:
                return
            else:
                sleep(POLL_SECONDS)

    # ---- the end

    def cancel(self, tag: str) -> None:
        """End a consumer; delete its own queue if it was the last one's."""
        consumer = self._consumers.pop(tag, None)
        if consumer is None:
            return
        queue = consumer.queue
        goes = queue.exclusive and queue.auto_delete and not self._connection.is_consumed(queue.name)
        consumer.stop(politely=not goes)
        if goes:
            self.forget(queue.name)
            self._connection.delete_own(queue.name)

    def consumes(self, queue: str) -> bool:
        """Whether a consumer of this channel is on that queue."""
        return any(consumer.queue.name == queue for consumer in self._consumers.values())

    def forget(self, queue: str) -> None:
        """The queue is being deleted: end what belongs to it, without telling the service."""
        for tag, consumer in list(self._consumers.items()):
            if consumer.queue.name == queue:
                del self._consumers[tag]
                consumer.stop(politely=False)
        acks = self._acks.pop(queue, None)
        if acks is not None:
            acks.drop()

    def close(self) -> None:
        """End all consumers, give back what is unacknowledged, wait for the service to confirm the rest."""
        for tag in list(self._consumers):
            self.cancel(tag)
        for acks in self._acks.values():
            acks.finish()
        for acks in self._acks.values():
            if not acks.wait(self._connection.time_to_close()):
                self._connection.skip_remaining()
        self._acks.clear()

    def drop(self) -> None:
        """End everything without telling the service."""
        for consumer in self._consumers.values():
            consumer.stop(politely=False)
        self._consumers.clear()
        for acks in self._acks.values():
            acks.drop()
        self._acks.clear()
        with self._lock:
            self._unacked.clear()


def _published(message: Any) -> float:
    """When the service took a message, in UNIX seconds."""
    return float(message.publish_time.seconds + message.publish_time.nanos / 1e9)
