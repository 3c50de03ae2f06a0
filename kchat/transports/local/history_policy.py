"""A room's history in its file: it is always there, and each queue can begin with it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kchat.errors import Hint, Refused
from kchat.transports import history as port
from kchat.transports.history import KEEP, MAX_SIZE, HistoryStatus

from . import definitions, history, limits, schema
from .history import After, Read
from .messages import BODY, PROPERTIES

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, Connection, Delivery

    from .messages import Row
    from .queues import ExclusiveQueue
    from .store import Store


class HistoryPolicy(port.HistoryPolicy):
    """See :class:`kchat.transports.history.HistoryPolicy`. The limits are the file's, for all of its rooms together."""

    limits_by_host = True

    def switch_on(self, channel: Channel, *, keep: float = KEEP, max_size: int = MAX_SIZE) -> None:
        """Change the limits: also to smaller ones, unlike a URL.

        Raises:
            amqp.exceptions.AMQPError: the room cannot be made, or the file cannot be written.
        """
        self._room.open(channel)
        store = _store_of(channel)

        def change(db: sqlite3.Connection) -> limits.Limits:
            changed = replace(limits.read(db), history_max_age=float(keep), history_max_bytes=int(max_size))
            limits.store(db, changed)
            return changed

        store.limits = store.write(change)

    def check_off(self) -> None:
        """Always refused: subscribers read what the file keeps."""
        raise Refused(
            "an embedded room always has a history",
            hint=Hint(
                "limit it with: kchat history on --keep 1h; forget what it holds with: kchat history clear"
            ),
        )

    def switch_off(self, channel: Channel) -> None:  # noqa: ARG002 - it is never off
        """Always refused, as by :meth:`check_off`."""
        self.check_off()

    def clear(self, channel: Channel) -> None:
        """Remove all messages that no durable queue needs. Subscribers that have not read them yet are told.

        Raises:
            amqp.exceptions.NotFound: there is no such room.
            amqp.exceptions.AMQPError: the file cannot be written.
        """
        store = _store_of(channel)
        store.write(
            lambda db: history.clear(db, definitions.find_exchange(db, self._room.name)[0], store.limits)
        )

    def status(self, connection: Connection) -> HistoryStatus:
        """What the room keeps; its limits in bytes are those of all rooms of the file. A room that is not there is empty."""
        store: Store = connection.connection.store
        bounds = store.attempt(limits.read)

        def look(db: sqlite3.Connection) -> HistoryStatus:
            row = db.execute(
                "SELECT id FROM exchange WHERE name = ? AND type = 'fanout'", (self._room.name,)
            ).fetchone()
            if row is None:
                return HistoryStatus(0, None, 0, bounds.history_max_age, int(bounds.history_max_bytes))
            start = history.not_too_old(db, row[0])
            messages, first = db.execute(
                f"SELECT count(*), min(seq) FROM message m WHERE m.seq > ? AND m.seq <= ? AND {history.IS_WANTED}",  # noqa: S608 - a constant
                (start.position, schema.last_seq(row[0]), *start[1:]),
            ).fetchone()
            since = db.execute("SELECT published_at FROM message WHERE seq = ?", (first,)).fetchone()
            return HistoryStatus(
                messages,
                since[0] if since is not None and isinstance(since[0], float) else None,
                history.room_bytes(db, row[0]),
                bounds.history_max_age,
                int(bounds.history_max_bytes),
            )

        return store.read(look)

    def cursor(self) -> Cursor:
        """How far a subscriber's queue was read."""
        return Cursor()


def _store_of(channel: Any) -> Store:
    store: Store = channel.connection.store
    return store


class Cursor:
    """See :class:`kchat.transports.history.Cursor`. Each message of a room has a number, so nothing is left to chance."""

    def __init__(self) -> None:
        self._file: tuple[int, int] | None = None
        self._read: dict[tuple[int, int], Read] = {}
        self._last: Delivery | None = None
        self._left = self._count = self._end = 0

    def after(self, away: float) -> After | None:
        """See the protocol."""
        file = self._file
        if file is None:
            return None
        if self._last is not None:
            row: Row = self._last.row  # type: ignore[attr-defined]  # it is one of this transport's
            last = row[PROPERTIES], row[BODY]
            self._read[file] = Read(self._read[file].start._replace(position=-row[0]), last)
            self._last = None
        return After(file, self._read, away)

    def join(self, connection: Connection, queue: str, after: Any) -> bool:
        """See the protocol."""
        own: ExclusiveQueue | None = connection.connection.connection_queues.own_queue(queue)
        self._last = None
        if own is None or not own.sources:
            self._file = None
            return False
        source = own.sources[0]
        resumed = after is not None and source.resumed
        if after is None:
            self._read.clear()
        if not resumed:
            self._read[own.store.inode] = Read(source.start, None)
        elif own.store.inode not in self._read:  # a copy
            self._read[own.store.inode] = self._read[after.file]
        self._file = own.store.inode
        self._left, self._end, self._count = own.size() if resumed else 0, source.bound_at, 0
        return resumed

    def take(self, delivery: Delivery) -> bool:
        """See the protocol."""
        if delivery.row[0] < 0:  # type: ignore[attr-defined]  # likewise
            self._last = delivery
        if self._left:
            self._count += 1
            self._left = 0 if -delivery.row[0] >= self._end else self._left - 1  # type: ignore[attr-defined]  # likewise
        return True

    @property
    def is_behind(self) -> bool:
        """See the protocol."""
        return self._left > 0

    def take_count(self) -> int:
        """See the protocol."""
        count, self._count = self._count, 0
        return count
