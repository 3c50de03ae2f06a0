"""Exchanges and queues of one connection: declared, found, deleted."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AccessRefused, AMQPError, NotFound, PreconditionFailed, ResourceLocked
from google.api_core.exceptions import AlreadyExists
from google.pubsub_v1 import types

from . import bindings, names, owners
from .bindings import DIRECT, FANOUT, Queue, Route
from .errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .clients import Clients

logger = logging.getLogger(__name__)

_DELETED_TOPIC = "_deleted-topic_"


class Topology:
    """What this connection knows of exchanges and queues, and how it makes them.

    A queue becomes a subscription when it is bound, since a subscription has its topic from the start. Whatever else
    happens first shows that it was meant for the default exchange: see :meth:`settle`.

    Arguments:
        clients: of the connection.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._exchanges: dict[str, str] = {}
        self._queues: dict[str, Queue] = {}
        self._unbound: Queue | None = None

    # ---- exchanges

    def declare_exchange(self, name: str, kind: str, *, passive: bool) -> None:
        """Make sure that a topic is there for an exchange.

        Raises:
            amqp.exceptions.NotFound: it is not, and the declaration is passive.
            amqp.exceptions.PreconditionFailed: it is there, with another type.
            amqp.exceptions.AccessRefused: this account may not.
        """
        if not name:
            return  # the default exchange is always there
        if not passive:
            bindings.check_exchange(name, kind)
        topic = self._clients.topic(bindings.to_id(name))
        if passive:
            self._exchanges[name] = self._type_of(topic, name)
            return
        labels = {**owners.APP, bindings.TYPE_LABEL: kind}
        if not self._create_topic(topic, labels, f"declare exchange {name}"):
            with suppress(AccessRefused):  # whoever may not look takes it as it is
                found = self._type_of(topic, name)
                if found != kind:
                    raise PreconditionFailed(
                        f"inequivalent arg 'type' for exchange '{name}': received '{kind}' but current is '{found}'"
                    )
        self._exchanges[name] = kind

    def _create_topic(self, topic: str, labels: Mapping[str, str], doing: str) -> bool:
        request = types.Topic(name=topic, labels=dict(labels))
        if self._clients.options.topic_retention:
            request.message_retention_duration = timedelta(seconds=self._clients.options.topic_retention)
        return self._create(self._clients.publisher.create_topic, request, doing)

    def _create(self, method: Any, request: Any, doing: str) -> bool:
        """Returns whether it was created; it may have been there already."""
        try:
            self._clients.call(method, request, doing)
        except PreconditionFailed as exc:
            if isinstance(exc.__cause__, AlreadyExists):
                return False
            raise
        return True

    def _type_of(self, topic: str, name: str) -> str:
        found = self._clients.call(
            self._clients.publisher.get_topic, types.GetTopicRequest(topic=topic), f"find exchange {name}"
        )
        return str(found.labels.get(bindings.TYPE_LABEL, FANOUT))

    def delete_exchange(self, name: str, *, if_unused: bool) -> None:
        """Delete an exchange's topic. Queues that were bound to it get nothing any more.

        Raises:
            amqp.exceptions.PreconditionFailed: it is in use, and that matters.
        """
        topic = self._clients.topic(bindings.to_id(name))
        doing = f"delete exchange {name}"
        if if_unused:
            used = self._clients.call(
                self._clients.publisher.list_topic_subscriptions,
                types.ListTopicSubscriptionsRequest(topic=topic, page_size=1),
                doing,
            )
            if used.subscriptions:
                raise PreconditionFailed(f"{doing}: it is in use")
        with suppress(NotFound):
            self._clients.call(
                self._clients.publisher.delete_topic, types.DeleteTopicRequest(topic=topic), doing
            )
        self._exchanges.pop(name, None)

    def route(self, exchange: str, routing_key: str) -> Route:
        """Where a message goes that is published so.

        The default exchange delivers to the queue that the routing key names, whoever declared it. Of a queue that is bound
        to a direct exchange, the way leads through that one: other queues with the same binding get the message too.

        Raises:
            amqp.exceptions.NotFound: there is no such queue.
            kchat.transports.pubsub.errors.NotSupported: that queue is bound to a fanout exchange.
        """
        if exchange:
            return Route(
                self._clients.topic(bindings.to_id(exchange)), self._exchanges.get(exchange), routing_key
            )
        if not routing_key:
            raise NotFound("publish to the default exchange: the routing key names no queue")
        queue = self._queues.get(routing_key)
        if queue is None or queue.exchange is None:
            try:
                queue = self._look_up(routing_key)
            except AccessRefused:
                queue = Queue(routing_key, exchange="")
        if queue.ordered:
            raise NotSupported(
                f"publish to queue {queue.name!r} alone: it is bound to the fanout exchange {queue.exchange!r}"
            )
        return Route(self._topic_of(queue), DIRECT, queue.routing_key if queue.exchange else "")

    # ---- queues

    def declare_queue(self, queue: Queue, *, passive: bool) -> None:
        """Note a queue's declaration; if it is passive, look whether it is there.

        Raises:
            amqp.exceptions.NotFound: it is not.
            kchat.transports.pubsub.errors.NotSupported: see :func:`kchat.transports.pubsub.bindings.check_queue`.
        """
        self.settle()
        if passive:
            self._check_access(self._look_up(queue.name, self._queues.get(queue.name)))
            return
        bindings.check_queue(queue)
        known = self._queues.setdefault(queue.name, queue)
        if not known.exchange:
            self._unbound = known

    def bind(self, name: str, exchange: str, routing_key: str) -> None:
        """Bind a queue, which creates its subscription.

        Raises:
            amqp.exceptions.NotFound: there is no such queue or exchange.
            kchat.transports.pubsub.errors.NotSupported: it has another binding already.
        """
        if not exchange:
            return  # every queue is bound to the default exchange, unless to another: see settle
        if self._unbound is not None and self._unbound.name != name:
            self.settle()
        queue = self._queues.get(name)
        if queue is None:
            queue = self._look_up(name)
        kind = self._exchanges.get(exchange)
        if kind is None:
            kind = self._exchanges[exchange] = self._type_of(
                self._clients.topic(bindings.to_id(exchange)), exchange
            )
        wanted = (exchange, routing_key if kind == DIRECT else "")
        bound = (queue.exchange, "" if queue.ordered else queue.routing_key)
        if queue.exchange is not None and bound != wanted:
            raise NotSupported(
                f"queue {name!r} is bound to {queue.exchange!r} already: on Pub/Sub a queue has one binding"
            )
        # Also where it is bound so already: somebody may have deleted it.
        queue.exchange, queue.routing_key = wanted
        queue.ordered = kind == FANOUT
        self._unbound = None
        try:
            self._create_subscription(queue)
        except BaseException:
            queue.exchange = None
            raise

    def settle(self) -> None:
        """A queue that was declared and not bound is one of the default exchange, unless it exists already."""
        queue, self._unbound = self._unbound, None
        if queue is None:
            return
        try:
            self._look_up(queue.name, queue)
        except (NotFound, AccessRefused):
            queue.exchange, queue.routing_key = "", queue.name
            self._create_topic(self._topic_of(queue), owners.APP, f"declare queue {queue.name}")
            self._create_subscription(queue)

    def _topic_of(self, queue: Queue) -> str:
        identifier = bindings.to_id(queue.exchange) if queue.exchange else names.queue_topic_id(queue.name)
        return self._clients.topic(identifier)

    def _create_subscription(self, queue: Queue) -> None:
        doing = f"declare queue {queue.name}"
        topic = self._topic_of(queue)
        since = queue.arguments.get("x-history-since")
        if since is not None:
            self._check_retention(queue, topic)
        request = bindings.new_subscription(
            queue, self.subscription(queue.name), topic, self._clients.options.ack_deadline
        )
        if not self._create(self._clients.subscriber.create_subscription, request, doing):
            with suppress(AccessRefused):  # whoever may not look takes it as it is
                self._compare(queue, topic)
        elif since is not None:
            self._seek(queue, float(since))

    def _compare(self, queue: Queue, topic: str) -> None:
        found = self._get(queue.name)
        if found.topic == _DELETED_TOPIC:
            raise PreconditionFailed(
                f"queue {queue.name!r} belongs to an exchange that was deleted, and gets nothing any more: delete it"
            )
        if found.topic != topic or (found.filter or "") != queue.filter:
            raise PreconditionFailed(
                f"queue {queue.name!r} exists and is bound to something else: "
                f"{found.topic.rpartition('/')[2]} {found.filter}"
            )
        if queue.exclusive or owners.is_own(found.labels):
            if owners.is_mine(found.labels):
                return
            raise ResourceLocked(f"queue {queue.name!r} belongs to another process")

    def _check_retention(self, queue: Queue, topic: str) -> None:
        with suppress(AccessRefused):
            found = self._clients.call(
                self._clients.publisher.get_topic, types.GetTopicRequest(topic=topic), f"find {topic}"
            )
            if not found.message_retention_duration:
                raise NotSupported(
                    f"{queue.exchange} keeps no messages for those who come later: its topic has no message retention"
                )

    def _seek(self, queue: Queue, since: float) -> None:
        moment = datetime.fromtimestamp(since, timezone.utc)
        request = types.SeekRequest(subscription=self.subscription(queue.name), time=moment)
        try:
            self._clients.call(self._clients.subscriber.seek, request, f"begin {queue.name} at {moment}")
        except BaseException:
            self.delete_queue(queue.name)
            raise

    def _look_up(self, name: str, queue: Queue | None = None) -> Queue:
        """What another process, or an earlier connection, declared."""
        found = self._get(name)
        queue = queue or Queue(name, durable=True)
        queue.foreign = owners.is_own(found.labels) and not owners.is_mine(found.labels)
        identifier = found.topic.rpartition("/")[2]
        is_default = identifier == names.queue_topic_id(name)
        queue.exchange = "" if is_default else names.from_id(identifier) or identifier
        queue.ordered = found.enable_message_ordering
        queue.routing_key = name if is_default else bindings.key_of(found.filter)
        self._queues[name] = queue
        return queue

    def _get(self, name: str) -> types.Subscription:
        request = types.GetSubscriptionRequest(subscription=self.subscription(name))
        return self._clients.call(self._clients.subscriber.get_subscription, request, f"find queue {name}")

    def subscription(self, name: str) -> str:
        """The full name of a queue's subscription."""
        return self._clients.subscription(bindings.to_id(name))

    def consumed(self, name: str) -> Queue:
        """The queue that somebody wants to consume from.

        Raises:
            amqp.exceptions.NotFound: there is none of that name.
            amqp.exceptions.ResourceLocked: it is another process's own.
        """
        self.settle()
        queue = self._queues.get(name)
        if queue is None or queue.exchange is None:
            try:
                queue = self._look_up(name)
            except AccessRefused:
                # The right to consume is enough to consume; the service filters by itself.
                return Queue(name, durable=True, exchange="")
        self._check_access(queue)
        return queue

    @staticmethod
    def _check_access(queue: Queue) -> None:
        if queue.foreign:
            raise ResourceLocked(f"queue {queue.name!r} belongs to another process")

    def delete_queue(self, name: str, timeout: float | None = None) -> None:
        """Delete a queue's subscription, and the topic that stands for its place in the default exchange."""
        queue = self._queues.get(name)
        if queue is not None and queue is self._unbound:
            self._unbound = None
            del self._queues[name]
            return
        if queue is None:
            try:
                queue = self._look_up(name)
            except NotFound:
                return
            except AccessRefused:
                queue = Queue(name, exchange=None)
        self._check_access(queue)
        self._queues.pop(name, None)
        doing = f"delete queue {name}"
        with suppress(NotFound):
            request = types.DeleteSubscriptionRequest(subscription=self.subscription(name))
            self._clients.call(self._clients.subscriber.delete_subscription, request, doing, timeout)
        if queue.exchange == "":
            with suppress(NotFound):
                topic = types.DeleteTopicRequest(topic=self._topic_of(queue))
                self._clients.call(self._clients.publisher.delete_topic, topic, doing, timeout)

    def own_queues(self) -> list[str]:
        """The names of the exclusive queues, which end with the connection."""
        return [
            queue.name for queue in self._queues.values() if queue.exclusive and queue is not self._unbound
        ]

    def renew_lease(self, name: str) -> None:
        """Say that a queue of our own is alive, where this account may say so; the emulator has no words for it."""
        queue = self._queues.get(name)
        if queue is None or not queue.exclusive:
            return
        request = types.UpdateSubscriptionRequest(
            subscription=types.Subscription(
                name=self.subscription(name),
                topic=self._topic_of(queue),
                labels=owners.with_lease(owners.own_labels()),
            ),
            update_mask={"paths": ["labels"]},
        )
        try:
            self._clients.call(
                self._clients.subscriber.update_subscription,
                request,
                f"renew {name}",
                owners.RENEWAL_TIMEOUT,
            )
        except AMQPError as error:
            # Without a lease it is never taken for dead by another host, see owners. Nothing else depends on it.
            logger.debug("%s", error)
