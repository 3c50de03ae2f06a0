"""A room on Pub/Sub, whose roles for reading a queue and for making one are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from amqp.exceptions import AccessRefused

from kchat.transports import room
from kchat.transports.room import Place, is_there

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, Queue


class RoomPolicy(room.RoomPolicy):
    """See :class:`kchat.transports.room.RoomPolicy`."""

    separator = "-"

    def count_waiting(self, queue: Queue) -> int | None:  # noqa: ARG002 - it is the same for all
        """Pub/Sub tells it to nobody but its monitoring, minutes later."""
        return None

    def take_durable_place(self, channel: Channel, queues: Sequence[Queue], *, look: bool) -> Place:
        """A durable queue that somebody else has made may be all that an account can use."""
        try:
            return super().take_durable_place(channel, queues, look=look)
        except AccessRefused:
            queue = queues[-1]
            return Place(queue, durable=True, found=look and is_there(queue))
