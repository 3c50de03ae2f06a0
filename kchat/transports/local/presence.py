"""Presence in an embedded room: the file knows who is here.

A subscriber declares an exclusive queue that nothing is bound to, with its name among the arguments. The queue's owner is a
connection, and that has a lock on the file which ends with its process (:mod:`.process_locks`): so it is known at once who
was killed, and nothing has to be announced.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from kchat.message.announcement import MOST_PEOPLE
from kchat.message.control import has_control
from kchat.transports import presence

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel

_USERNAME = "x-kchat-present"

_LONGEST = 4096
"""Characters of a queue's arguments that are read; a name has 255 bytes, each of which may be escaped."""

_REGISTERED = (
    "SELECT owner, arguments FROM queue WHERE name > ? AND name < ? AND owner IS NOT NULL"
    " AND arguments LIKE ? AND length(arguments) <= ? ORDER BY id LIMIT ?"
)


class PresencePolicy(presence.PresencePolicy):
    """See :class:`kchat.transports.presence.PresencePolicy`."""

    announces = False

    def register(self, channel: Channel, username: str) -> str:
        """By a queue of the subscriber's connection."""
        name: str = self.queue(username).name
        channel.queue_declare(name, exclusive=True, auto_delete=True, arguments={_USERNAME: username})
        return name

    def unregister(self, channel: Channel, registered: str) -> None:
        """Delete the queue."""
        cast("Any", channel).queue_delete(registered)

    def present(self, channel: Channel) -> Sequence[str]:
        """Those whose connections are alive. The file may be somebody else's work: what it says is checked."""
        store = getattr(channel, "connection").store  # noqa: B009 - one of this transport's
        store.check_file()
        prefix = self._room.queue_prefix()
        # In the order of names, the slash comes next to the dot.
        values = (
            prefix,
            f"{prefix.removesuffix('.')}/",
            f'%"{_USERNAME}"%',
            _LONGEST,
            MOST_PEOPLE + 1,
        )

        def look(db: sqlite3.Connection) -> list[tuple[Any, Any]]:
            return db.execute(_REGISTERED, values).fetchall()

        alive = store.file.is_alive
        return [
            name for owner, arguments in store.attempt(look) if (name := _name(arguments)) and alive(owner)
        ]


def _name(arguments: object) -> str:
    try:
        name = json.loads(str(arguments)).get(_USERNAME)
        size = len(name.encode()) if isinstance(name, str) else 0
    except (ValueError, RecursionError, AttributeError):
        return ""
    return "" if not 0 < size <= 255 or has_control(name) else name
