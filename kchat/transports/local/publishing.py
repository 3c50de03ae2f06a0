"""Publishing: one INSERT, committed before it returns, and a row for each queue that is shared."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ChannelError, ContentTooLarge, PreconditionFailed

from . import history, limits, marks
from .definitions import check_name, sweep
from .messages import Encoder, Outgoing
from .routing import Route, Target, find_route

if TYPE_CHECKING:
    from .store import Store

#: The message gets the next number of its exchange. Should the topology have changed since the route was read,
#: ``published_at`` is NULL, which the table refuses: checking costs no second statement and leaves no gap.
_INSERT = """INSERT INTO message (seq, exchange, routing_key, published_at, expires_at, properties, body) VALUES (
        (SELECT ifnull((SELECT max(seq) FROM message WHERE seq BETWEEN floor AND ceiling), floor) + 1
            FROM (SELECT ? AS floor, ? AS ceiling)),
        ?, ?, CASE (SELECT version FROM topology) WHEN ? THEN ? END, ?, ?, ?
    )"""

_STALE = "NOT NULL constraint failed: message.published_at"

_READY = "SELECT count(*) FROM queued WHERE queue = ? AND holder IS NULL"

_QUEUE = "INSERT INTO queued (queue, message, expires_at, priority) VALUES (?, ?, ?, ?)"

#: What :data:`_INSERT` takes: floor, ceiling, exchange, routing key, version, time, expiry, properties, body.
NewRow = tuple[int, int, str, str, int, float, "float | None", str, bytes]

#: A message on its way into the file: its route, row and priority.
Prepared = tuple[Route, NewRow, int]

#: Routes that are remembered; routing keys may be made up without end.
_ROUTES = 4096

#: Seconds between two looks at the write-ahead log.
_LOG_CHECK = 0.005

#: Seconds between two checks of owners and history.
_HOUSEKEEPING = 1.0

#: Seconds after which pruning is left for the next time.
_PRUNE_SECONDS = 0.01

#: Bytes of messages after which history is pruned: an eighth of what one step removes. A message counts with
#: about what it takes in the file besides its body.
_PRUNE_BYTES = 512 * 1024
_OVERHEAD = 200


#: AMQP's reply code for a message that no queue gets.
_NO_ROUTE = 312

#: Messages, and bytes of bodies, that share a commit at most.
_MESSAGES = 128
_BYTES = 256 * 1024

#: Seconds since the last message, or since the first one that waits, after which a message waits for no others.
_PAUSE = 0.001


class Publisher:
    """Publishes into a room's file."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._max_bytes = store.options.max_message_bytes
        self._routes: dict[tuple[str, str], Route] = {}
        self._encoder = Encoder()
        self._checked_at = self._check_at = self._kept_house_at = 0.0
        self._unpruned = self._unpruned_messages = 0
        self._unmarked = False

    def publish(self, message: Outgoing, exchange: str, routing_key: str) -> bool:
        """Store a message; when this returns it is committed. Returns whether any queue is bound that gets it.

        Raises:
            amqp.exceptions.NotFound: the exchange does not exist.
            amqp.exceptions.ContentTooLarge: the body is over ``max_message_bytes``; nothing was stored.
            amqp.exceptions.AMQPError: see :mod:`.errors`; nothing was stored.
        """
        with self.store.lock:
            prepared = route, row, _ = self.prepare(message, exchange, routing_key)
            if route.plain and self._insert_plain(row):
                self._count(len(row[-1]))
                return route.routed
            return self.publish_all([prepared])[0]

    def _insert_plain(self, row: NewRow) -> bool:
        """The common case: one statement, without retries, which would double the cost."""
        try:
            with self.store.statement_lock:
                self.store.execute(_INSERT, row)
        except sqlite3.Error:
            return False  # most often the file is locked; the other way retries, or raises
        self.store.check_file()
        return True

    def prepare(self, message: Outgoing, exchange: str, routing_key: str) -> Prepared:
        """The route that a message takes as far as is known here, and its row. Raises as :meth:`publish`."""
        body = message.body
        if len(body) > self._max_bytes:
            raise ContentTooLarge(
                f"{self.store.path}: the body has {len(body)} bytes; the limit is {self._max_bytes}"
            )
        now = time.time()
        if not self._checked_at <= now < self._check_at:
            self._check(now)
        route = self._routes.get((exchange, routing_key)) or self._find(exchange, routing_key)
        expires_at = _expiry(message.rest["expiration"], now) if "expiration" in message.rest else None
        text = self._encoder.encode(message)
        priority = message.rest.get("priority", 0) if message.rest else 0
        return route, (
            route.floor, route.ceiling, exchange, routing_key, route.version, now, expires_at, text, body
        ), priority if type(priority) is int else 0  # fmt: skip

    def publish_all(self, prepared: Sequence[Prepared]) -> list[bool]:
        """Store messages in one transaction: all, in order, or none. Returns and raises as :meth:`publish`, for each."""
        while not self._insert_all(prepared):
            self._routes.clear()
            prepared = [self._again(row, priority) for _, row, priority in prepared]
        self._count(sum(len(row[-1]) for _, row, _ in prepared), len(prepared))
        return [route.routed for route, _, _ in prepared]

    def _insert_all(self, prepared: Sequence[Prepared]) -> bool:
        """Whether they were stored, or need not be; not where a route is stale."""
        try:
            stored = self.store.attempt(partial(_insert_each, prepared), "BEGIN IMMEDIATE")
            self.store.check_file()
            return stored
        except sqlite3.IntegrityError as exc:
            if str(exc) == _STALE:
                return False
            raise self.store.failed(exc) from exc

    def _again(self, row: NewRow, priority: int) -> Prepared:
        route = self._routes.get((row[2], row[3])) or self._find(row[2], row[3])
        return route, (route.floor, route.ceiling, row[2], row[3], route.version, *row[5:]), priority

    def _count(self, size: int, messages: int = 1) -> None:
        self.store.dirty = True
        self._unpruned += size + _OVERHEAD * messages
        self._unpruned_messages += messages
        self._unmarked = True
        if self._unpruned > _PRUNE_BYTES:
            self._check_at = 0.0  # before the next one: should pruning fail, this one is published

    def _check(self, now: float) -> None:
        """Housekeeping between messages."""
        self._checked_at, self._check_at = now, now + _LOG_CHECK
        self.store.checkpoint_if_due()
        if not self._kept_house_at <= now < self._kept_house_at + _HOUSEKEEPING:
            self._kept_house_at, self._unpruned = now, _PRUNE_BYTES + 1
            sweep(self.store)
            self.store.limits = self.store.attempt(limits.read)
        if self._unpruned > _PRUNE_BYTES:
            self._unpruned = 0
            self._prune()

    def _find(self, exchange: str, routing_key: str) -> Route:
        check_name(routing_key, "routing key")
        route = self.store.read(lambda db: find_route(db, exchange, routing_key))
        if route.version < 0:  # what would be committed by it is not copied
            self.store.leave_closed_log()
            return self._find(exchange, routing_key)
        if len(self._routes) >= _ROUTES:
            self._routes.clear()
        self._routes[exchange, routing_key] = route
        return route

    def close(self) -> None:
        """Leave a mark behind what was published, so that its age is known. Raises as :meth:`publish`."""
        if self._unmarked:
            self._unmarked = False
            due = self.store.read(lambda db: marks.missing(db, self.store.limits, leaving=True))
            self.store.write(lambda db: marks.add(db, self.store.limits, due))

    def _prune(self) -> None:
        """Remove what is beyond the room's limits, step by step: as long as a pause may take, or as much as came."""
        store, bounds = self.store, self.store.limits
        end = time.monotonic() + _PRUNE_SECONDS
        while due := store.read(lambda db: marks.missing(db, bounds)):
            store.write(partial(marks.add, limits=bounds, due=due))
            if time.monotonic() >= end:
                break
        owed, self._unpruned_messages = self._unpruned_messages, 0
        while store.read(lambda db: bool(history.prunable(db, bounds) or history.overflows(db, bounds))):
            # Both, whatever the first one did.
            if not store.write(lambda db: any([history.prune(db, bounds), history.drop(db, bounds)])):
                break
            owed -= history.STEP_MESSAGES
            if owed <= 0 and time.monotonic() >= end:
                break


def _expiry(expiration: object, now: float) -> float:
    """When a message is no longer worth delivering: ``expiration`` is milliseconds as text, as in AMQP."""
    try:
        milliseconds = int(str(expiration))
    except ValueError:
        milliseconds = -1
    if milliseconds < 0:
        raise PreconditionFailed(f"expiration is not a number of milliseconds: {expiration!r}")
    return now + min(milliseconds, 1 << 53) / 1000


def _insert_each(prepared: Sequence[Prepared], db: sqlite3.Connection) -> bool:
    if all(route.plain for route, _, _ in prepared):
        db.executemany(_INSERT, [row for _, row, _ in prepared]).close()
        return True
    (version,) = db.execute("SELECT version FROM topology").fetchone()
    for route, row, priority in prepared:
        if route.version != version:
            return False
        if route.history or route.targets:  # else no queue needs it
            _insert_queued(route, row, priority, db)
    return True


def _insert_queued(route: Route, row: NewRow, priority: int, db: sqlite3.Connection) -> None:
    seq = db.execute(_INSERT, row).lastrowid
    now, expires_at = row[5], row[6]
    for target in route.targets:
        expiry = expires_at
        if target.ttl is not None:
            expiry = now + target.ttl if expiry is None else min(expiry, now + target.ttl)
        within = min(max(priority, 0), target.max_priority or 0)
        number = db.execute(_QUEUE, (target.queue, seq, expiry, within)).lastrowid
        if target.max_length is not None and number is not None:
            _drop_head(db, target, target.max_length, number)


def _drop_head(db: sqlite3.Connection, target: Target, most: int, number: int) -> None:
    """``x-max-length``: the oldest go. Long queues are measured now and then only, and kept within one percent."""
    if number % max(1, most // 100):
        return
    (there,) = db.execute(_READY, (target.queue,)).fetchone()
    if there > most:
        # With priorities, the head is what is delivered next, as on RabbitMQ: the most urgent go first.
        order = "priority DESC, id" if target.max_priority else "id"
        db.execute(
            "DELETE FROM queued WHERE id IN (SELECT id FROM queued"  # noqa: S608 - a constant
            f" WHERE queue = ? AND holder IS NULL ORDER BY {order} LIMIT ?)",
            (target.queue, there - most),
        )


Events = dict[str, set[Callable[..., object]]]


class Confirms:
    """The publishing side of a channel after ``confirm_select``. Publishes are numbered 1, 2, 3, ...

    A commit takes three quarters of the time of publishing one message. So of a dense stream some hundred messages are
    committed together, and confirmed after that, as a broker would. A message that comes after a pause is committed at
    once.
    """

    def __init__(self, publisher: Publisher, events: Events) -> None:
        self._publisher = publisher
        self._events = events
        self._waiting: list[tuple[Prepared, Outgoing | None]] = []
        self._bytes = 0
        self._since = self._last = 0.0
        self._returned: list[tuple[str, str, Outgoing]] = []
        self._taken = 0
        self.stored = 0
        self._confirmed = 0

    def publish(self, message: Outgoing, exchange: str, routing_key: str, *, mandatory: bool) -> None:
        """Take a message, and store it now or with those that follow. Raises as :meth:`.Publisher.publish`."""
        with self._publisher.store.lock:
            prepared = self._publisher.prepare(message, exchange, routing_key)
            now = time.monotonic()
            if not self._waiting:
                self._since = now
            self._waiting.append((prepared, message if mandatory else None))
            self._taken += 1
            self._bytes += len(message.body)
            pause, self._last = now - self._last, now
            full = len(self._waiting) >= _MESSAGES or self._bytes >= _BYTES
            if full or pause > _PAUSE or now - self._since > _PAUSE:
                self.commit()

    def commit(self) -> None:
        """Commit what waits. Raises AMQPError: nothing of it was stored, or will be confirmed."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        routed = self._publisher.publish_all([prepared for prepared, _ in waiting])
        for (prepared, message), is_routed in zip(waiting, routed, strict=True):
            if message is not None and not is_routed:
                self._returned.append((*prepared[1][2:4], message))
        self.stored = self._taken

    def confirm(self) -> bool:
        """Commit what waits, and call the callbacks for all that was; returns whether any was due."""
        with self._publisher.store.lock:
            self.commit()
            if self.stored == self._confirmed:
                return False
            returned, self._returned = self._returned, []
            confirmed = self._confirmed = self.stored
        for each in returned:
            call_basic_return(self._events, *each)
        for callback in list(self._events["basic_ack"]):
            callback(confirmed, True)
        return True


def call_basic_return(events: dict[str, Any], exchange: str, routing_key: str, message: Outgoing) -> None:
    """Call the ``basic_return`` callbacks."""
    error = ChannelError("no queue is bound that gets it", reply_code=_NO_ROUTE)
    for callback in list(events["basic_return"]):
        callback(error, exchange, routing_key, message)
