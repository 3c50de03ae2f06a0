"""A room on Pub/Sub, whose roles for reading a queue and for making one are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AccessRefused

from kchat.transports import room
from kchat.transports.durable import refuse
from kchat.transports.room import Place, is_there

if TYPE_CHECKING:
    from kchat.transports.durable import Durable
    from kchat.transports.protocols import Channel, Queue


_SHORTEST_EXPIRY = 86_400_000
"""Milliseconds: https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period"""


class RoomPolicy(room.RoomPolicy):
    """See :class:`kchat.transports.room.RoomPolicy`."""

    separator = "-"

    def check_durable(self, durable: Durable) -> None:
        """Pub/Sub bounds a subscription in time, and by no size."""
        if durable.max_size is not None:
            raise refuse(
                durable.name,
                "Pub/Sub limits no subscription in size",
                "leave {max_size} out: messages are kept for as long as {expires} says, 31 days at most",
            )
        if durable.expires_ms < _SHORTEST_EXPIRY:
            raise refuse(durable.name, "Pub/Sub's shortest time without a reader is a day", "ask for more")

    def limit_arguments(self, durable: Durable) -> dict[str, Any]:
        """Messages are kept as long, up to 31 days: :func:`.bindings.new_subscription`."""
        return {"x-expires": durable.expires_ms}

    def count_waiting(self, queue: Queue) -> int | None:  # noqa: ARG002 - it is the same for all
        """Pub/Sub tells it to nobody but its monitoring, minutes later."""
        return None

    def take_durable_place(
        self, channel: Channel, queues: Sequence[Queue], durable: Durable, *, look: bool
    ) -> Place:
        """A durable queue that somebody else has made may be all that an account can use."""
        try:
            return super().take_durable_place(channel, queues, durable, look=look)
        except AccessRefused:
            queue = queues[-1]
            return Place(queue, durable=True, found=look and is_there(queue))
