"""Publishing: one INSERT, committed before it returns, and a row for each queue that is shared."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ContentTooLarge, NotFound, PreconditionFailed

from . import history, sweep
from .messages import Outgoing, dump
from .routing import Route, Target, find_route
from .topology import check_name

if TYPE_CHECKING:
    from .store import Store

#: The message gets the next number of its exchange. Should the topology have changed since the route was read,
#: ``published_at`` is NULL, which the table refuses: checking costs no second statement and leaves no gap.
_INSERT = """INSERT INTO message
    (seq, exchange, routing_key, published_at, expires_at, message_id, timestamp, properties, headers, body)
    VALUES (
        ifnull((SELECT max(seq) FROM message WHERE seq BETWEEN ?1 AND ?2), ?1) + 1,
        ?3, ?4, CASE (SELECT version FROM topology) WHEN ?5 THEN ?6 END, ?7, ?8, ?9, ?10, ?11, ?12
    )"""

_STALE = "NOT NULL constraint failed: message.published_at"

_QUEUE = "INSERT INTO queued (queue, message, expires_at) VALUES (?, ?, ?)"

#: Routes that are remembered; routing keys may be made up without end.
_ROUTES = 4096

#: Seconds between two looks at who is alive and at the write-ahead log.
_HOUSEKEEPING = 1.0

#: Seconds that pruning may take at such a look.
_PRUNE_SECONDS = 0.01

#: Every so many messages of an exchange, and after each body of so many bytes, a step of pruning is due.
_PRUNE_EVERY = 256
_PRUNE_BYTES = 64 * 1024


class _StaleRouteError(Exception):
    """The topology changed since the route was read; nothing was written."""


class Publisher:
    """Publishes into a room's file.

    Arguments:
        store: the file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._options = store.options
        self._routes: dict[tuple[str, str], Route] = {}
        self._rest: dict[str, Any] = {}
        self._rest_text = dump(self._rest)
        self._housekeeping_at = 0.0

    def publish(self, message: Outgoing, exchange: str, routing_key: str) -> bool:
        """Store a message; when this returns it is committed.

        Arguments:
            message: what to publish.
            exchange: where; empty for the default exchange, which routes to the queue named by the routing key.
            routing_key: where to within it.

        Returns:
            bool: whether any queue is bound that gets it.

        Raises:
            amqp.exceptions.NotFound: there is no such exchange.
            amqp.exceptions.ContentTooLarge: the body is over ``max_message_bytes``; nothing was stored.
            amqp.exceptions.AMQPError: see :mod:`.errors`; nothing was stored.
        """
        if len(message.body) > self._options.max_message_bytes:
            raise ContentTooLarge(
                f"{self._store.path}: a body of {len(message.body)} bytes; "
                f"{self._options.max_message_bytes} is the most"
            )
        if time.monotonic() >= self._housekeeping_at:
            self.housekeeping()
        while True:
            route = self._routes.get((exchange, routing_key)) or self._find(exchange, routing_key)
            try:
                seq = self._insert(route, message, exchange, routing_key)
            except _StaleRouteError:
                self._routes.clear()
                continue
            if seq is not None:
                self._stored(seq, len(message.body))
            return route.heard

    def _stored(self, seq: int, size: int) -> None:
        self._store.dirty = True
        self._store.check_file()
        if not seq % _PRUNE_EVERY or size > _PRUNE_BYTES:
            self._prune()
            self._store.tend_log()

    def _find(self, exchange: str, routing_key: str) -> Route:
        check_name(routing_key, "routing key")
        route = self._store.read(lambda db: find_route(db, exchange, routing_key))
        if route is None:
            raise NotFound(f"no exchange {exchange!r}")
        if len(self._routes) >= _ROUTES:
            self._routes.clear()
        self._routes[exchange, routing_key] = route
        return route

    def _insert(self, route: Route, message: Outgoing, exchange: str, routing_key: str) -> int | None:
        """The message's ``seq``; None where nobody needs it, so that it was not stored."""
        if not route.history and not route.targets:
            if self._store.value("SELECT version FROM topology") != route.version:
                raise _StaleRouteError
            return None
        now = time.time()
        expires_at = self._expiry(message, now)
        row = (
            route.floor,
            route.ceiling,
            exchange,
            routing_key,
            route.version,
            now,
            expires_at,
            message.message_id,
            message.timestamp,
            self._properties(message.rest),
            dump(message.headers) if message.headers else None,
            message.body,
        )
        try:
            if not route.targets:
                try:
                    return self._store.db.execute(_INSERT, row).lastrowid
                except sqlite3.IntegrityError:
                    raise
                except sqlite3.Error:  # somebody else's turn, most of the time
                    return self._store.attempt(lambda db: db.execute(_INSERT, row).lastrowid)
            return self._store.attempt(
                lambda db: _insert_queued(db, row, route, now, expires_at), "BEGIN IMMEDIATE"
            )
        except sqlite3.IntegrityError as exc:
            if str(exc) == _STALE:
                raise _StaleRouteError from None
            raise self._store.failed(exc) from exc

    def _properties(self, rest: dict[str, Any]) -> str:
        if rest == self._rest:
            return self._rest_text
        text = dump(rest)
        if all(type(value) in (str, int) for value in rest.values()):  # what cannot change behind our back
            self._rest, self._rest_text = rest, text
        return text

    def _expiry(self, message: Outgoing, now: float) -> float | None:
        """When the message is no longer worth delivering: ``expiration``, milliseconds as text, as in AMQP."""
        expiration = message.rest.get("expiration")
        if expiration is None:
            return None
        try:
            milliseconds = int(expiration)
        except (TypeError, ValueError):
            milliseconds = -1
        if milliseconds < 0:
            raise PreconditionFailed(f"expiration is no number of milliseconds: {expiration!r}")
        return now + min(milliseconds, 1 << 53) / 1000

    def housekeeping(self) -> None:
        """Look who is still alive, and after history and log; :meth:`publish` does it once a second."""
        started = time.monotonic()
        self._housekeeping_at = started + _HOUSEKEEPING
        sweep.sweep(self._store)
        while self._prune() and time.monotonic() < started + _PRUNE_SECONDS:
            pass
        self._store.tend_log()

    def _prune(self) -> bool:
        """Remove one step's worth of history, if it is beyond its bounds; returns whether it was."""
        if not self._store.read(lambda db: history.is_due(db, self._options)):
            return False
        return self._store.write(lambda db: history.prune(db, self._options))


def _insert_queued(
    db: sqlite3.Connection, row: tuple[Any, ...], route: Route, now: float, expires_at: float | None
) -> int | None:
    seq = db.execute(_INSERT, row).lastrowid
    for target in route.targets:
        expiry = expires_at
        if target.ttl is not None:
            expiry = now + target.ttl if expiry is None else min(expiry, now + target.ttl)
        number = db.execute(_QUEUE, (target.queue, seq, expiry)).lastrowid
        if target.max_length is not None and number is not None:
            _drop_head(db, target, target.max_length, number)
    return seq


def _drop_head(db: sqlite3.Connection, target: Target, most: int, number: int) -> None:
    """``x-max-length``: the oldest go. Long queues are measured now and then only, and kept within one percent."""
    if number % max(1, most // 100):
        return
    db.execute(
        "DELETE FROM queued WHERE queue = ?1 AND holder IS NULL AND id <="
        " (SELECT id FROM queued WHERE queue = ?1 AND holder IS NULL ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (target.queue, most),
    )
