"""Durable subscriptions in a room's file."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from kchat.transports import durable
from kchat.transports.durable import Subscription

from .history import max_bytes_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from kchat.transports.protocols import Connection, RoomSettings
    from kchat.transports.url import Broker

_QUEUES = (
    "SELECT q.id, q.name, q.arguments, q.expires, q.used_at,"
    " (SELECT count(*) FROM consumer c WHERE c.queue = q.id) FROM queue q"
    " WHERE q.durable AND q.owner IS NULL AND q.id IN"
    " (SELECT b.queue FROM binding b JOIN exchange e ON e.id = b.exchange WHERE e.name = ?) ORDER BY q.name"
)

_HELD = (
    "SELECT count(*), ifnull(sum(length(m.body)), 0) FROM queued q JOIN message m ON m.seq = q.message"
    " WHERE q.queue = ?"
)


class DurablePolicy(durable.DurablePolicy):
    """See :class:`kchat.transports.durable.DurablePolicy`."""

    def subscriptions(
        self,
        settings: RoomSettings,  # noqa: ARG002
        broker: Broker,  # noqa: ARG002
        connection: Connection,
        management_url: str | None = None,  # noqa: ARG002
    ) -> Sequence[Subscription]:
        """The durable queues that are bound to the room."""
        from . import definitions

        definitions.sweep(connection.connection.store)  # of the readers, some may have been killed
        found: list[Subscription] = connection.connection.store.attempt(self._read)
        return found

    def _read(self, db: sqlite3.Connection) -> list[Subscription]:
        from .limits import read

        limits = read(db)
        found = []
        for queue, name, arguments, expires, used_at, readers in db.execute(
            _QUEUES, (self._room.name,)
        ).fetchall():
            if not str(name).startswith(self._room.queue_prefix()):
                continue
            shown, account = self._room.durable_name(name)
            messages, size = db.execute(_HELD, (queue,)).fetchone()
            most = min(limits.backlog_max_bytes, max_bytes_of(arguments))
            last_read = time() if readers else _time(used_at)
            found.append(
                Subscription(
                    shown, name, account, messages, size, readers, last_read, _time(expires), int(most)
                )
            )
        return found


def _time(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e12 else None
