"""A room on Redis: what waits for a subscriber waits in its own process."""

from __future__ import annotations

from typing import Any

from kchat.transports import room


class RoomPolicy(room.RoomPolicy):
    """See :class:`kchat.transports.room.RoomPolicy`."""

    def length_arguments(self, length: int | None) -> dict[str, Any]:
        """In place of the transport's ``max_unread``."""
        return self.queue_arguments if length is None else self.queue_arguments | {"x-max-length": length}
