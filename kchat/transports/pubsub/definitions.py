"""Exchanges and queues of one connection: declared, found, deleted."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from threading import get_ident
from typing import TYPE_CHECKING

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed, ResourceLocked
from google.pubsub_v1 import types

from . import bindings, names, ownership_labels
from .arguments import Times
from .bindings import DIRECT, FANOUT, Queue, Route
from .errors import NotSupported
from .subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .clients import Clients


class Definitions:
    """What this connection knows of exchanges and queues, and how it makes them.

    A queue becomes a subscription when it is bound, since a subscription has its topic from the start. Whatever else
    happens first shows that it was meant for the default exchange: see :meth:`create_unbound`.

    From any thread: a lock is held while something is declared. A queue is bound by the thread that declared it, so that
    what another thread does meanwhile settles nothing.

    Arguments:
        clients: of the connection.
        owner: of its exclusive queues.
    """

    def __init__(self, clients: Clients, owner: ownership_labels.Owner) -> None:
        self._clients = clients
        self._owner = owner
        self._subscriptions = Subscriptions(clients, owner)
        self._exchanges: dict[str, str] = {}
        self._queues: dict[str, Queue] = {}
        self._lock = threading.RLock()
        self._unbound: dict[int, Queue] = {}
        """By thread: the queue that it declared last, and has not bound."""

    # ---- exchanges

    def declare_exchange(self, name: str, kind: str, *, passive: bool) -> None:
        """Make sure that the topic of an exchange exists.

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
        labels = {**ownership_labels.APP, bindings.TYPE_LABEL: kind}
        if not self._create_topic(topic, labels, f"declare exchange {name}"):
            with suppress(AccessRefused):  # without the right to look, it is taken as it is
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
        return self._clients.create(self._clients.publisher.create_topic, request, doing)

    def _type_of(self, topic: str, name: str) -> str:
        found = self._clients.call(
            self._clients.publisher.get_topic, types.GetTopicRequest(topic=topic), f"find exchange {name}"
        )
        return str(found.labels.get(bindings.TYPE_LABEL, FANOUT))

    def delete_exchange(self, name: str, *, if_unused: bool) -> None:
        """Delete an exchange's topic. Queues that were bound to it get no more messages.

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

        The default exchange delivers to the queue that the routing key names. For a queue that is bound
        to a direct exchange, the way leads through that one: other queues with the same binding get the message too.

        Raises:
            amqp.exceptions.NotFound: the queue does not exist.
            kchat.transports.pubsub.errors.NotSupported: that queue is bound to a fanout exchange.
        """
        if exchange:
            return Route(
                self._clients.topic(bindings.to_id(exchange)), self._exchanges.get(exchange), routing_key
            )
        if not routing_key:
            raise NotFound("publish to the default exchange: the routing key names no queue")
        queue = self._known(routing_key)
        if queue is None:
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
        with self._lock:
            self.create_unbound()
            if passive:
                self.create_unbound(queue.name)
                self._check_access(self._look_up(queue.name, self._queues.get(queue.name)))
                return
            bindings.check_queue(queue)
            known = self._queues.get(queue.name)
            if known is None or (known.exclusive, known.times) != (queue.exclusive, queue.times):
                # Also where it was only found, or declared otherwise: what exists is compared when it is bound.
                known = self._queues[queue.name] = queue
            if not known.exchange:
                self._unbound[get_ident()] = known

    def bind(self, name: str, exchange: str, routing_key: str) -> None:
        """Bind a queue, which creates its subscription.

        Raises:
            amqp.exceptions.NotFound: the queue or exchange does not exist.
            amqp.exceptions.ResourceLocked: it belongs to another connection.
            amqp.exceptions.PreconditionFailed: it is there, and is another one.
            kchat.transports.pubsub.errors.NotSupported: it has another binding already.
        """
        if not exchange:
            return  # every queue is bound to the default exchange, unless to another: see create_unbound
        with self._lock:
            unbound = self._unbound.get(get_ident())
            if unbound is not None and unbound.name != name:
                self.create_unbound()
            self._bind(name, exchange, routing_key)

    def _bind(self, name: str, exchange: str, routing_key: str) -> None:
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
        # Also if it is bound so already: others may have deleted it.
        queue.exchange, queue.routing_key = wanted
        queue.ordered = kind == FANOUT
        self._note_bound(queue)
        try:
            self._subscriptions.create(queue, self._topic_of(queue))
        except BaseException:
            queue.exchange = None
            raise

    def _note_bound(self, queue: Queue) -> None:
        self._unbound = {thread: each for thread, each in self._unbound.items() if each is not queue}

    def create_unbound(self, name: str | None = None) -> None:
        """A queue that was declared and not bound is one of the default exchange, unless it exists already.

        Arguments:
            name: of a queue that is going to be used, whichever thread declared it. Default: what this thread declared.
        """
        if not self._unbound:
            return
        with self._lock:
            if name is None:
                queue = self._unbound.get(get_ident())
            else:
                queue = next((each for each in self._unbound.values() if each.name == name), None)
            if queue is None:
                return
            self._note_bound(queue)
            try:
                found = self._subscriptions.get(queue.name)
            except (NotFound, AccessRefused):
                found = None
            if found is not None and not self._subscriptions.take_over(queue, found):
                self._subscriptions.check_owner(queue, found)
                self._subscriptions.check_times(queue, found)
                self._adopt(queue, found)
                return
            queue.exchange, queue.routing_key = "", queue.name
            try:
                self._create_topic(self._topic_of(queue), ownership_labels.APP, f"declare queue {queue.name}")
                self._subscriptions.create(queue, self._topic_of(queue))
            except BaseException:
                queue.exchange = None
                raise

    def _known(self, name: str) -> Queue | None:
        """What this connection knows of a queue that exists; ``None`` if it has to be looked up."""
        self.create_unbound(name)
        queue = self._queues.get(name)
        # A queue of another connection may have ended with it, and belong to a third one now.
        return None if queue is None or queue.exchange is None or queue.foreign else queue

    def _topic_of(self, queue: Queue) -> str:
        identifier = bindings.to_id(queue.exchange) if queue.exchange else names.queue_topic_id(queue.name)
        return self._clients.topic(identifier)

    def _look_up(self, name: str, queue: Queue | None = None) -> Queue:
        """What another process, or an earlier connection, declared."""
        found = self._subscriptions.get(name)
        queue = queue or Queue(name, durable=True)
        self._adopt(queue, found)
        self._queues[name] = queue
        return queue

    def _adopt(self, queue: Queue, found: types.Subscription) -> None:
        own = ownership_labels.is_own(found.labels)
        queue.owned = own and ownership_labels.is_mine(found.labels, self._owner)
        queue.foreign = own and not queue.owned
        identifier = found.topic.rpartition("/")[2]
        is_default = identifier == names.queue_topic_id(queue.name)
        queue.exchange = "" if is_default else names.from_id(identifier) or identifier
        queue.ordered = found.enable_message_ordering
        queue.routing_key = queue.name if is_default else bindings.key_of(found.filter)
        queue.times = Times.of_labels(found.labels)

    def subscription(self, name: str) -> str:
        """The full name of a queue's subscription."""
        return self._subscriptions.path(name)

    def consumed(self, name: str) -> Queue:
        """The queue to consume from.

        Raises:
            amqp.exceptions.NotFound: it does not exist.
            amqp.exceptions.ResourceLocked: it belongs to another connection.
        """
        self.create_unbound()
        queue = self._known(name)
        if queue is None:
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
            raise ResourceLocked(
                f"queue {queue.name!r} belongs to another process, or another connection of this one"
            )

    def delete_queue(self, name: str, timeout: float | None = None) -> None:
        """Delete a queue's subscription, and the topic that stands for its place in the default exchange."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is not None and any(each is queue for each in self._unbound.values()):
                self._note_bound(queue)
                del self._queues[name]
                return
        if queue is None or queue.exchange is None or queue.foreign:
            try:
                queue = self._look_up(name)
            except NotFound:
                self._queues.pop(name, None)
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
        """The names of the queues that belong to this connection, and end with it."""
        return [queue.name for queue in list(self._queues.values()) if queue.owned]
