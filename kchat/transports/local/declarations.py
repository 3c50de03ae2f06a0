"""A channel's declarations: exchanges, queues and bindings by AMQP's methods."""

# ruff: noqa: ARG002, FBT001, FBT002 - AMQP's methods, with the arguments that py-amqp gives them

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from amqp.exceptions import (
    AccessRefused,
    AMQPNotImplementedError,
    NotFound,
    PreconditionFailed,
    ResourceLocked,
)
from amqp.protocol import queue_declare_ok_t
from kombu.transport import base

from . import definitions, errors, history, last_used, schema

if TYPE_CHECKING:
    from .connection import Connection
    from .definitions import QueueRow


M = TypeVar("M", bound=Callable[..., Any])


def takes_turns(method: M) -> M:
    """A channel's method that one thread at a time is in, of all those of its connection.

    What Kombu's users do from two threads on AMQP has to be safe here, too: Celery's workers acknowledge from one thread
    while another one drains. So all that a connection knows is read and changed under its lock, which is never held over
    a callback: that may wait for another thread, or fork.
    """

    @wraps(method)
    def alone(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.connection.store.lock:
            return method(self, *args, **kwargs)

    return cast("M", alone)


class Declarations(base.StdChannel):
    """The part of a channel that declares, binds and deletes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.closed = False
        self._last_queue = ""

    def _open(self) -> Connection:
        if self.closed:
            raise errors.closed(self.connection.options.path)
        return self.connection

    # -- exchanges

    def exchange_declare(
        self,
        exchange: str = "",
        type: str = "direct",  # noqa: A002  (AMQP's name for it)
        durable: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
        nowait: bool = False,
        passive: bool = False,
        **_: Any,
    ) -> None:
        """Create an exchange, or make sure that it exists as asked for; ``passive``: only that it exists.

        Raises:
            amqp.exceptions.NotFound: passive, and it does not exist.
            amqp.exceptions.PreconditionFailed: it exists with other properties, or the type is unknown.
            amqp.exceptions.AccessRefused: the name is reserved.
        """
        definitions.check_name(exchange, "exchange name")
        wanted = (type or "direct", int(durable), int(auto_delete), definitions.canonical(arguments))

        def work(db: sqlite3.Connection) -> None:
            row = db.execute(
                "SELECT type, durable, auto_delete, arguments FROM exchange WHERE name = ?", (exchange,)
            ).fetchone()
            if row is None and passive:
                raise NotFound(f"no exchange {exchange!r}")
            if passive:
                return
            if wanted[0] not in schema.EXCHANGE_TYPES:
                raise PreconditionFailed(
                    f"exchange {exchange!r}: type {type!r} is not supported, only direct, fanout and topic"
                )
            if row is None:
                _refuse_reserved(exchange)
                definitions.create_exchange(db, exchange, wanted)
            else:
                names = ("type", "durable", "auto_delete", "arguments")
                definitions.compare(f"exchange {exchange!r}", names, row, wanted)

        self._open().store.write(work)

    def exchange_delete(self, exchange: str, if_unused: bool = False, **_: Any) -> None:
        """Delete an exchange with its bindings and history.

        Raises:
            amqp.exceptions.NotFound: it does not exist.
            amqp.exceptions.PreconditionFailed: ``if_unused``, and queues are bound.
            amqp.exceptions.AccessRefused: the name is reserved.
        """

        def work(db: sqlite3.Connection) -> None:
            number, kind = definitions.find_exchange(db, exchange)
            _refuse_reserved(exchange)
            if if_unused and db.execute("SELECT 1 FROM binding WHERE exchange = ?", (number,)).fetchone():
                raise PreconditionFailed(f"exchange {exchange!r} has bindings")
            definitions.drop_exchange(db, number, kind)
            definitions.moved(db)

        self._open().store.write(work)

    def exchange_bind(self, *_: Any, **__: Any) -> None:
        """Bindings between exchanges are not supported: always raises AMQPNotImplementedError."""
        raise AMQPNotImplementedError("local: exchanges cannot be bound to exchanges")

    exchange_unbind = exchange_bind

    # -- queues

    @takes_turns
    def queue_declare(
        self,
        queue: str = "",
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> queue_declare_ok_t:
        """Create a queue, or make sure that it exists as asked for.

        Arguments:
            queue: its name; empty for a new name, which is returned.
            passive: only make sure that it exists.
            durable: kept for comparison; every queue here survives a restart.
            exclusive: for this connection alone; deleted with it.
            auto_delete: deleted with its last consumer.
            arguments: ``x-max-length``, ``x-max-priority`` (0 to 255), ``x-message-ttl``, ``x-expires`` (the times in
                milliseconds), and for a new queue ``x-history-last`` (messages) and ``x-history-since`` (UNIX seconds).

        Returns:
            tuple: its name, how many messages are ready, how many consumers it has.

        Raises:
            amqp.exceptions.NotFound: passive, and it does not exist.
            amqp.exceptions.ResourceLocked: it is exclusive to another connection.
            amqp.exceptions.PreconditionFailed: it exists, but differs.
            amqp.exceptions.AccessRefused: the name is reserved.
        """
        connection = self._open()
        beginning = history.read_beginning(arguments)
        wanted = (bool(durable), bool(exclusive), bool(auto_delete), definitions.canonical(arguments))
        owner = connection.connection_queues.own() if exclusive else connection.connection_queues.owner

        def work(db: sqlite3.Connection) -> tuple[QueueRow, bool]:
            name = queue or f"amq.gen-{uuid.uuid4().hex}"
            there = definitions.find_queue(db, name)
            if there is None and not passive:
                if queue.startswith("amq."):
                    raise AccessRefused(f"queue {queue!r}: the name is reserved")
                own = owner if exclusive else None
                return definitions.create_queue(
                    db, name, durable=durable, auto_delete=auto_delete, owner=own, arguments=arguments
                ), True
            there = definitions.own_queue(db, name, owner)
            if not passive:
                found = (there.durable, there.owner is not None, there.auto_delete, there.arguments)
                names = ("durable", "exclusive", "auto_delete", "arguments")
                definitions.compare(f"queue {name!r}", names, found, wanted)
                if there.expires is not None:
                    db.execute(
                        "UPDATE queue SET used_at = ? WHERE id = ?",
                        (last_used.stamp(db, there.expires), there.id),
                    )
            return there, False

        try:
            row, new = connection.store.write(work)
        except ResourceLocked:
            if not definitions.sweep(connection.store):  # its owner is alive
                raise
            row, new = connection.store.write(work)
        if new:
            connection.connection_queues.created(row, beginning)
        self._last_queue = row.name
        ready, consumers = connection.connection_queues.counts(row)
        if consumers and definitions.sweep(connection.store):  # of those, some were killed
            ready, consumers = connection.connection_queues.counts(row)
        return queue_declare_ok_t(row.name, ready, consumers)

    def _queue(self, name: str) -> QueueRow:
        """A queue for this connection to use; as in AMQP, no name is the last one declared on this channel."""
        connection = self._open()
        return connection.store.attempt(
            lambda db: definitions.own_queue(db, name or self._last_queue, connection.connection_queues.owner)
        )

    @takes_turns
    def queue_bind(
        self,
        queue: str = "",
        exchange: str = "",
        routing_key: str = "",
        **_: Any,
    ) -> None:
        """Bind a queue to an exchange.

        Raises:
            amqp.exceptions.NotFound: the queue or exchange does not exist.
            amqp.exceptions.ResourceLocked: the queue is exclusive to another connection.
            amqp.exceptions.AccessRefused: the default exchange, to which nothing can be bound.
        """
        if not exchange:
            raise AccessRefused("nothing can be bound to the default exchange")
        self._open().connection_queues.bind(self._queue(queue), exchange, routing_key or "")

    @takes_turns
    def queue_unbind(
        self,
        queue: str = "",
        exchange: str = "",
        routing_key: str = "",
        **_: Any,
    ) -> None:
        """Remove a binding, if it exists. What came by it and waits in the queue stays.

        Raises:
            amqp.exceptions.NotFound: the queue or exchange does not exist.
            amqp.exceptions.AccessRefused: the default exchange.
        """
        if not exchange:
            raise AccessRefused("nothing can be unbound from the default exchange")
        self._open().connection_queues.unbind(self._queue(queue), exchange, routing_key or "")

    @takes_turns
    def queue_purge(self, queue: str = "", **_: Any) -> int:
        """Remove the messages that are ready; returns how many. Unacknowledged ones stay so."""
        return self._open().connection_queues.opened(self._queue(queue)).purge()

    def queue_delete(self, queue: str = "", if_unused: bool = False, if_empty: bool = False, **_: Any) -> int:
        """Delete a queue; returns how many messages were ready in it, 0 if the queue does not exist.

        Raises:
            amqp.exceptions.PreconditionFailed: ``if_unused`` and it has consumers, ``if_empty`` and it is not.
            amqp.exceptions.ResourceLocked: it is exclusive to another connection.
        """
        connection = self._open()
        with connection.store.lock:
            try:
                row = self._queue(queue)
            except NotFound:
                return 0
            ready, consumers = connection.connection_queues.counts(row)
            if if_unused and consumers:
                raise PreconditionFailed(f"queue {row.name!r} has consumers")
            if if_empty and ready:
                raise PreconditionFailed(f"queue {row.name!r} is not empty")
            orphans = connection.connection_queues.delete(row)
        for consumer in orphans:
            if consumer.on_cancel is not None:
                consumer.on_cancel(consumer.tag)
        return ready

    def prepare_queue_arguments(
        self, arguments: Mapping[str, Any] | None, **options: Any
    ) -> Mapping[str, Any]:
        """Kombu's ``expires``, ``message_ttl``, ``max_length``, ``max_priority`` as AMQP's arguments."""
        prepared: Mapping[str, Any] = base.to_rabbitmq_queue_arguments(arguments or {}, **options)
        return prepared

    @takes_turns
    def get_bindings(self) -> list[dict[str, str]]:
        """All bindings of the room, as Kombu's management has them."""
        rows = self._open().store.attempt(
            lambda db: db.execute(
                "SELECT q.name, e.name, b.routing_key FROM binding b JOIN queue q ON q.id = b.queue"
                " JOIN exchange e ON e.id = b.exchange ORDER BY 2, 1, 3"
            ).fetchall()
        )
        return [
            {"destination": queue, "source": exchange, "routing_key": key} for queue, exchange, key in rows
        ]


def _refuse_reserved(exchange: str) -> None:
    if not exchange or exchange.startswith("amq."):
        raise AccessRefused(f"exchange {exchange!r}: the name is reserved")
