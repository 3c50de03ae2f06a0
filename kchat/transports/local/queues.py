"""Queues as a connection reads them: what it has fetched, and what it has to settle in the file."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kchat import events

from . import history, schema
from .messages import BODY, COLUMNS, EXPIRES_AT, Row, sound

if TYPE_CHECKING:
    from .definitions import QueueRow
    from .store import Store

#: Messages, and bytes of bodies, that are fetched at a time: enough to make a statement's cost small, little
#: enough for memory and for competing consumers.
BATCH_MESSAGES = 500
BATCH_BYTES = 1024 * 1024

_READY = "SELECT 1 FROM queued WHERE queue = ? AND holder IS NULL LIMIT 1"

_DROPPED = "SELECT ifnull(max(dropped), 0) FROM queue WHERE id = ?"

_TAKE = (
    "SELECT {columns} FROM queued q JOIN message m ON m.seq = q.message"
    " WHERE q.queue = ? AND q.holder IS NULL{which} LIMIT ?"
)
_IN_ORDER, _URGENT, _NOT_URGENT = (
    " ORDER BY q.id",
    " AND q.priority > 0 ORDER BY q.priority DESC, q.id",
    " AND NOT q.priority > 0 ORDER BY q.id",
)

_READ = (
    "SELECT {columns} FROM message m"  # noqa: S608 - a constant
    f" WHERE m.seq > ? AND m.seq <= ? AND {history.IS_WANTED} ORDER BY m.seq LIMIT ?"
)

_COUNT = f"SELECT count(*) FROM message m WHERE m.seq > ? AND m.seq <= ? AND {history.IS_WANTED}"  # noqa: S608 - a constant


def _collect(rows: sqlite3.Cursor, into: list[Row]) -> bool:
    """Take rows until there are enough bytes; returns whether some may be left."""
    size = 0
    try:
        for row in map(sound, rows):
            into.append(row)
            size += len(row[BODY]) + len(row[4])
            if size > BATCH_BYTES:
                return True
    finally:
        rows.close()
    return False


class SharedQueue:
    """A queue whose messages have a row each, which is marked as held by the connection that takes them."""

    def __init__(self, store: Store, queue: QueueRow, owner: int) -> None:
        self.store = store
        self.id = queue.id
        self.name = queue.name
        self.auto_delete = queue.auto_delete
        self._by_priority = bool(queue.max_priority)
        self.owner = owner
        columns = COLUMNS.format(
            held="q.id",
            redelivered="q.redelivered",
            expires_at="q.expires_at",
            most=store.options.max_message_bytes,
        )
        self._urgent_sql = _TAKE.format(columns=columns, which=_URGENT)
        # With priorities, those without one are what is left; without, priorities are ignored.
        self._take_sql = _TAKE.format(columns=columns, which=_NOT_URGENT if self._by_priority else _IN_ORDER)
        #: Fetched and not delivered yet.
        self.ready: deque[Row] = deque()
        #: Delivered where no acknowledgement is needed, or expired, and not settled yet.
        self.done: list[Row] = []
        #: How many dropped messages the reader was told of, which is not in the file yet.
        self._told = 0
        #: There may be more to fetch, even if nobody writes.
        self.more = True

    def fetch(self, limit: int) -> None:
        """Fetch up to ``limit`` messages into :attr:`ready`, in the queue's order."""
        limit = min(limit, BATCH_MESSAGES)
        if self.store.value(_READY, self.id) is None:
            self.more = False
            return
        rows, dropped = self.store.write(
            lambda db: (self._take(db, limit), int(db.execute(_DROPPED, (self.id,)).fetchone()[0]))
        )
        self.ready.extend(rows)
        if dropped > self._told:
            # Stored with the first acknowledgement: a reader that is killed before that is told again.
            self.store.notices.append(events.Dropped(dropped - self._told, queue=self.name))
            self._told = dropped

    def _take(self, db: sqlite3.Connection, limit: int) -> list[Row]:
        limit = self._fair_share(db, limit)
        rows: list[Row] = []
        cut = self._by_priority and _collect(db.execute(self._urgent_sql, (self.id, limit)), rows)
        if not cut and len(rows) < limit:
            cut = _collect(db.execute(self._take_sql, (self.id, limit - len(rows))), rows)
        self.more = cut or len(rows) == limit
        now = time.time()
        expired = [row[0] for row in rows if row[EXPIRES_AT] is not None and row[EXPIRES_AT] <= now]
        if expired:
            db.executemany("DELETE FROM queued WHERE id = ?", [(number,) for number in expired])
            gone = set(expired)
            rows = [row for row in rows if row[0] not in gone]
        if rows and self._by_priority:
            db.executemany(
                "UPDATE queued SET holder = ? WHERE id = ?", [(self.owner, row[0]) for row in rows]
            )
        elif rows:
            db.execute(
                "UPDATE queued SET holder = ? WHERE queue = ? AND holder IS NULL AND id BETWEEN ? AND ?",
                (self.owner, self.id, rows[0][0], rows[-1][0]),
            )
        return rows

    def _fair_share(self, db: sqlite3.Connection, limit: int) -> int:
        """With other consumers at the same queue, take only this one's share of what is ready."""
        (consumers,) = db.execute("SELECT count(*) FROM consumer WHERE queue = ?", (self.id,)).fetchone()
        if consumers < 2 or limit < 2:
            return limit
        (there,) = db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM queued WHERE queue = ? AND holder IS NULL LIMIT ?)",
            (self.id, limit * consumers),
        ).fetchone()
        return min(limit, max(1, -(-int(there) // int(consumers))))

    def settle(self, rows: Sequence[Row]) -> None:
        """Remove messages that were acknowledged, rejected, or have expired."""
        held = [(row[0], self.id, self.owner) for row in rows if row[0] > 0]
        if not held:
            return
        told, self._told = self._told, 0

        def work(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM queued WHERE id = ? AND queue = ? AND holder = ?", held)
            if told:
                db.execute("UPDATE queue SET dropped = max(0, dropped - ?) WHERE id = ?", (told, self.id))

        self.store.write(work)

    def settle_done(self) -> None:
        """Settle what needs no acknowledgement."""
        with self.store.lock:
            if self.done:
                rows, self.done[:] = list(self.done), []
                self.settle(rows)

    def put_back(self, rows: Sequence[Row], *, redelivered: bool) -> None:
        """Return messages to where they were, for any consumer; ``redelivered`` if a consumer has seen them.

        What was fetched and not delivered goes back too, since it may come after them.
        """
        back = [(redelivered, row) for row in rows] + [(False, row) for row in self.ready]
        self.ready.clear()
        if back:
            entries = [(seen, row[0], self.id, self.owner) for seen, row in back]
            self.store.write(lambda db: db.executemany(_PUT_BACK, entries))
        self.more = True

    def give_up_ready(self) -> None:
        """Leave what was fetched and not delivered to others: the last consumer here has gone."""
        if self.ready:
            self.put_back([], redelivered=False)

    def purge(self) -> int:
        """Remove all that is ready; returns how many that were."""
        self.give_up_ready()
        return self.store.write(
            lambda db: (
                db.execute("DELETE FROM queued WHERE queue = ? AND holder IS NULL", (self.id,)).rowcount
            )
        )

    def came_at(self, row: Row) -> float | None:  # noqa: ARG002 - of an exclusive queue
        """When a message came to the room, by its clock, in UNIX seconds; ``None`` where that is not known."""
        return None

    def size(self) -> int:
        """How many messages are ready, those fetched here and not delivered included."""
        count = self.store.value("SELECT count(*) FROM queued WHERE queue = ? AND holder IS NULL", self.id)
        return int(count) + len(self.ready)


_PUT_BACK = "UPDATE queued SET holder = NULL, redelivered = max(redelivered, ?) WHERE id = ? AND queue = ? AND holder = ?"


@dataclass
class Source:
    """How far an exclusive queue has read one fanout exchange.

    Arguments:
        exchange: its id.
        position: the ``seq`` that was read last.
        bound_at: the newest ``seq`` when it was bound; up to there is the history that was asked for.
        start: where it began, and which of the history was asked for.
        resumed: whether it goes on where another queue has stopped, and nothing is missed but what is too old by now.
        too_old: the number of those.
        until: the newest ``seq`` when it was unbound; None while it is bound.
    """

    exchange: int
    position: int
    bound_at: int
    start: history.Start
    until: int | None = None
    resumed: bool = False
    too_old: int = 0

    @property
    def end(self) -> int:
        """The last ``seq`` that is to be read."""
        return schema.last_seq(self.exchange) if self.until is None else self.until

    @property
    def span(self) -> tuple[int, int, int, float, float]:
        """What is left to read, for :data:`_READ` and :data:`_COUNT`."""
        return self.position, self.end, *self.start[1:]


def _missing(rows: Sequence[Row], before: int, source: Source) -> int:
    """How many of an exchange's messages were removed before they were read; ``before`` is what was read up to then.

    They are numbered without gaps, but where it was asked for a time, not all of the history is read. One whose text was
    cleared stands there for its number, :data:`.history.CLEARED`.
    """
    start = max(before, source.start.dated_to)
    last = -rows[-1][0]
    return max(0, last - start) - sum(-row[0] > start and row[EXPIRES_AT] != history.CLEARED for row in rows)


class ExclusiveQueue(SharedQueue):
    """A connection's own queue: of a fanout exchange it reads the history, from a position in memory.

    What comes by other exchanges has rows, as in any queue.
    """

    def __init__(self, store: Store, queue: QueueRow, owner: int, beginning: history.Beginning) -> None:
        super().__init__(store, queue, owner)
        self.beginning = beginning
        self.max_length = queue.max_length
        self.sources: list[Source] = []
        self._span: history.Span | None = None
        expires_at = "m.expires_at"
        if queue.ttl is not None:
            expires_at = f"min(ifnull(m.expires_at, 9e99), m.published_at + {queue.ttl!r})"
        columns = COLUMNS.format(
            held="-m.seq", redelivered="0", expires_at=expires_at, most=store.options.max_message_bytes
        )
        self._read_sql = _READ.format(columns=columns)

    def follow(self, db: sqlite3.Connection, exchange: int) -> Source | None:
        """The source for an exchange that was bound in the caller's transaction; None if it has one already."""
        if any(source.exchange == exchange and source.until is None for source in self.sources):
            return None
        after = self.beginning.after
        start, resumed = None, False
        if after is not None:
            start, resumed = history.resume(db, exchange, after, self.store.inode)
        if start is None:
            start = history.start_of(db, exchange, self.beginning)
            return Source(exchange, start.position, history.newest(db, exchange), start)
        position = max(start.position, history.not_too_old(db, exchange).position)
        too_old = position - start.position if resumed else 0
        return Source(
            exchange, position, history.newest(db, exchange), start, resumed=resumed, too_old=too_old
        )

    def came_at(self, row: Row) -> float | None:
        """See :meth:`SharedQueue.came_at`; it is known of what is in the room's history."""
        return self.store.attempt(partial(self._came_at, -row[0])) if row[0] < 0 else None

    def _came_at(self, seq: int, db: sqlite3.Connection) -> float | None:
        found = db.execute("SELECT published_at FROM message WHERE seq = ?", (seq,)).fetchone()
        if found is None or not isinstance(found[0], float):
            return None  # it was removed meanwhile, or somebody else has written it
        if self._span is None or not self._span.position < seq <= self._span.end:
            self._span = history.span_of(db, seq)
        return self._span.came_at(found[0])

    def leave(self, exchange: int, newest: int) -> None:
        """No longer bound: what was published up to ``newest`` is still to be read."""
        for source in self.sources:
            if source.exchange == exchange and source.until is None:
                source.until = newest

    def fetch(self, limit: int) -> None:
        """Fetch up to ``limit`` messages of each source into :attr:`ready`, each exchange's in order."""
        limit = min(limit, BATCH_MESSAGES)
        super().fetch(limit)
        for source in list(self.sources):
            before = source.position
            rows, more = self.store.attempt(partial(self._read, source, limit))
            if rows:
                self.store.overtaken += _missing(rows, before, source)
                source.position = max(source.position, -rows[-1][0])
                self.ready.extend(rows)
            elif source.until is not None:
                self.sources.remove(source)
            self.more = self.more or more

    def _read(self, source: Source, limit: int, db: sqlite3.Connection) -> tuple[list[Row], bool]:
        if self.max_length is not None:
            self._drop_head(db, source, self.max_length)
        rows: list[Row] = []
        cut = _collect(db.execute(self._read_sql, (*source.span, limit)), rows)
        more = cut or len(rows) == limit
        if not more and source.position < source.bound_at:
            source.position = source.bound_at  # what is left of the history is older than what was asked for
        return rows, more

    def _drop_head(self, db: sqlite3.Connection, source: Source, most: int) -> None:
        """``x-max-length``: of what waits to be read, the oldest goes first; not of the history asked for."""
        if source.position < source.bound_at or history.newest(db, source.exchange) - source.position <= most:
            return
        row = db.execute(
            "SELECT seq FROM message WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT 1 OFFSET ?",
            (source.position, schema.last_seq(source.exchange), most),
        ).fetchone()
        if row is not None:
            source.position = row[0]

    def put_back(self, rows: Sequence[Row], *, redelivered: bool) -> None:
        """Nobody else reads this queue: what goes back stays with the connection."""
        flag = int(redelivered)
        self.ready.extendleft((row[0], max(row[1], flag), *row[2:]) for row in reversed(rows))

    def give_up_ready(self) -> None:
        """Nobody else could have it: it stays."""

    def purge(self) -> int:
        """Remove all that is ready; returns how many that were."""
        count = self.size()
        self.settle(self.ready)
        self.ready.clear()
        self.store.write(
            lambda db: db.execute("DELETE FROM queued WHERE queue = ? AND holder IS NULL", (self.id,))
        )
        for source in self.sources:
            source.position = self.store.attempt(partial(history.newest, exchange=source.exchange))
        return count

    def size(self) -> int:
        """How many messages are ready."""
        count = super().size()
        for source in self.sources:
            count += int(self.store.value(_COUNT, *source.span))
        return count
