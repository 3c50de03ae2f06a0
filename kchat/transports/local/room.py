"""A room in a file: a durable queue is bounded as on other brokers, and by the room's own limits besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kchat.transports import room

if TYPE_CHECKING:
    from kchat.transports.durable import Durable


class RoomPolicy(room.RoomPolicy):
    """See :class:`kchat.transports.room.RoomPolicy`."""

    def limit_arguments(self, durable: Durable) -> dict[str, Any]:
        """See :func:`.history.drop`: the smaller limit holds, the queue's or the room's."""
        return {"x-expires": durable.expires_ms, "x-max-length-bytes": durable.bytes}
