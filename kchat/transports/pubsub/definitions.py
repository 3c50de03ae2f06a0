"""Exchanges and queues of one connection: declared, found, deleted."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from threading import get_ident
from typing import TYPE_CHECKING

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed

from . import arguments, bindings, names, ownership_labels
from .arguments import Times
from .bindings import DIRECT, FANOUT, Queue
from .errors import NotSupported
from .subscriptions import Subscriptions

if TYPE_CHECKING:
    from google.pubsub_v1 import types

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
            kchat.transports.pubsub.errors.NotSupported: it is of another type than fanout or direct.
            amqp.exceptions.NotFound: it does not exist, and the declaration is passive.
            amqp.exceptions.PreconditionFailed: it is there, with another type; or its name is not valid Unicode.
            amqp.exceptions.AccessRefused: this account may not.
        """
        if not name:
            return  # the default exchange is always there
        if passive:
            self._exchanges[name] = self._type_of(name)
            return
        if kind not in (FANOUT, DIRECT):
            raise NotSupported(f"exchange {name!r}: Pub/Sub has fanout and direct exchanges, not {kind}")
        labels = {**ownership_labels.APP, bindings.TYPE_LABEL: kind}
        if not self._create_topic(self._topic(name), labels, f"declare exchange {name}"):
            with suppress(AccessRefused):  # without the right to look, it is taken as it is
                found = self._type_of(name)
                if found != kind:
                    raise PreconditionFailed(
                        f"inequivalent arg 'type' for exchange '{name}': received '{kind}' but current is '{found}'"
                    )
        self._exchanges[name] = kind

    def _topic(self, exchange: str) -> str:
        return self._clients.topic(bindings.to_id(exchange))

    def create_room(self, name: str, keep: int) -> bool:
        """Create the topic of a fanout exchange that keeps messages for these seconds; returns whether it was not there."""
        labels = {**ownership_labels.APP, bindings.TYPE_LABEL: FANOUT}
        return self._create_topic(self._topic(name), labels, f"declare exchange {name}", keep)

    def _create_topic(self, topic: str, labels: dict[str, str], doing: str, keep: int = 0) -> bool:
        request: dict[str, object] = {"name": topic, "labels": labels}
        keep = keep or self._clients.options.topic_retention
        if keep:
            request["message_retention_duration"] = timedelta(seconds=keep)
        return self._clients.create(self._clients.publisher.create_topic, request, doing)

    def _type_of(self, exchange: str) -> str:
        request = {"topic": self._topic(exchange)}
        found = self._clients.call(self._clients.publisher.get_topic, request, f"find exchange {exchange}")
        return str(found.labels.get(bindings.TYPE_LABEL, FANOUT))

    def delete_exchange(self, name: str, *, if_unused: bool) -> None:
        """Delete an exchange's topic, whose queues get no more messages; ``PreconditionFailed`` where their use matters."""
        topic = self._topic(name)
        doing = f"delete exchange {name}"
        if if_unused:
            list_subscriptions = self._clients.publisher.list_topic_subscriptions
            if self._clients.call(list_subscriptions, {"topic": topic, "page_size": 1}, doing).subscriptions:
                raise PreconditionFailed(f"{doing}: it is in use")
        self._clients.delete_topic(topic, doing)
        self._exchanges.pop(name, None)

    def route(self, exchange: str, routing_key: str) -> tuple[str, str | None, str]:
        """Where a message goes that is published so.

        The default exchange delivers to the queue that the routing key names. For a queue that is bound
        to a direct exchange, the way leads through that one: other queues with the same binding get the message too.

        Returns:
            The topic's full name; the exchange's type, ``None`` where this connection did not declare it; and the routing
            key that queues of a direct exchange select by.

        Raises:
            amqp.exceptions.NotFound: the queue does not exist.
            kchat.transports.pubsub.errors.NotSupported: that queue is bound to a fanout exchange.
        """
        if exchange:
            return self._topic(exchange), self._exchanges.get(exchange), routing_key
        if not routing_key:
            raise NotFound("publish to the default exchange: the routing key names no queue")
        queue = self._find(routing_key)
        if queue.ordered:
            raise NotSupported(
                f"publish to queue {queue.name!r} alone: it is bound to the fanout exchange {queue.exchange!r}"
            )
        return self._topic_of(queue), DIRECT, queue.routing_key if queue.exchange else ""

    # ---- queues

    def declare_queue(self, queue: Queue, *, passive: bool) -> None:
        """Note a queue's declaration; if it is passive, look whether it is there.

        Raises:
            amqp.exceptions.NotFound: it is not.
            amqp.exceptions.PreconditionFailed: its name is not valid Unicode, or an argument makes no sense.
            kchat.transports.pubsub.errors.NotSupported: see :mod:`kchat.transports.pubsub.arguments`.
        """
        with self._lock:
            self.create_unbound()
            if passive:
                self.create_unbound(queue.name)
                found = self._look_up(queue.name, self._queues.get(queue.name))
                if found.abandoned:
                    raise NotFound(f"queue {queue.name!r} has ended with its connection")
                found.check_access()
                return
            bindings.to_id(queue.name)
            queue.times = arguments.read(queue.name, queue.arguments)
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
            queue = self._queues.get(name) or self._look_up(name)
            kind = self._exchanges.get(exchange)
            if kind is None:
                kind = self._exchanges[exchange] = self._type_of(exchange)
            wanted = (exchange, routing_key if kind == DIRECT else "")
            bound = (queue.exchange, "" if queue.ordered else queue.routing_key)
            if queue.exchange is not None and bound != wanted:
                raise NotSupported(
                    f"queue {name!r} is bound to {queue.exchange!r} already: on Pub/Sub a queue has one binding"
                )
            # Also if it is bound so already: others may have deleted it.
            queue.exchange, queue.routing_key = wanted
            queue.ordered = kind == FANOUT
            self._create(queue)

    def _create(self, queue: Queue) -> None:
        """Create the subscription of a queue whose exchange is known now."""
        self._forget_unbound(queue)
        try:
            topic = self._topic_of(queue)
            if not queue.exchange:
                self._create_topic(topic, ownership_labels.APP, f"declare queue {queue.name}")
            self._subscriptions.create(queue, topic)
        except BaseException:
            queue.exchange = None
            raise

    def _forget_unbound(self, queue: Queue) -> None:
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
            self._forget_unbound(queue)
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
            self._create(queue)

    def _topic_of(self, queue: Queue) -> str:
        if queue.exchange:
            return self._topic(queue.exchange)
        return self._clients.topic(names.queue_topic_id(queue.name))

    def _find(self, name: str) -> Queue:
        """A queue that exists: as this connection knows it, or as it is looked up. ``NotFound`` where there is none."""
        self.create_unbound(name)
        queue = self._queues.get(name)
        # A queue of another connection may have ended with it, and belong to a third one now.
        if queue is not None and queue.exchange is not None and not queue.foreign:
            return queue
        try:
            return self._look_up(name)
        except AccessRefused:
            # The right to use it is enough to use it; the service filters by itself.
            return Queue(name, exchange="")

    def _look_up(self, name: str, queue: Queue | None = None) -> Queue:
        """What another process, or an earlier connection, declared."""
        found = self._subscriptions.get(name)
        queue = self._queues[name] = queue or Queue(name)
        self._adopt(queue, found)
        return queue

    def _adopt(self, queue: Queue, found: types.Subscription) -> None:
        self._subscriptions.note_owner(queue, found)
        identifier = found.topic.rpartition("/")[2]
        is_default = identifier == names.queue_topic_id(queue.name)
        queue.exchange = "" if is_default else names.from_id(identifier) or identifier
        queue.ordered = found.enable_message_ordering
        queue.routing_key = queue.name if is_default else bindings.routing_key_of(found.filter)
        queue.times = Times.of_labels(found.labels)

    def subscription(self, name: str) -> str:
        """The full name of a queue's subscription."""
        return self._subscriptions.path(name)

    def consumed(self, name: str) -> Queue:
        """The queue to consume from; ``NotFound``, or ``ResourceLocked`` where it belongs to another connection."""
        self.create_unbound()
        queue = self._find(name)
        queue.check_access()
        return queue

    def delete_queue(self, name: str, timeout: float | None = None) -> None:
        """Delete a queue's subscription, and the topic that stands for its place in the default exchange."""
        with self._lock:
            queue = self._queues.get(name)
            if queue is not None and any(each is queue for each in self._unbound.values()):
                self._forget_unbound(queue)
                del self._queues[name]
                return
        try:
            self._find(name).check_access()
        except NotFound:
            self._queues.pop(name, None)
            return
        doing = f"delete queue {name}"
        self._clients.delete_subscription(self.subscription(name), doing, timeout)
        queue = self._queues.pop(name, None)
        if queue is not None and queue.exchange == "":
            self._clients.delete_topic(self._topic_of(queue), doing, timeout)

    def declared(self, name: str) -> Queue:
        """A queue that this connection has declared."""
        return self._queues[name]

    def own_queues(self) -> list[str]:
        """The names of the queues that belong to this connection, and end with it."""
        return [queue.name for queue in list(self._queues.values()) if queue.owned]
