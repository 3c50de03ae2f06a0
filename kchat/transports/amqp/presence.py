"""Presence on AMQP: a durable exchange that goes with its last queue, and queues of which little is kept.

The account of a room's member may not make the exchange: one with that right could make a different one, which would lock
everybody out. ``kchat invite`` makes it and keeps it (:mod:`.leftovers`); in a room without members, the first subscriber
does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import amqp.exceptions
import kombu

from kchat.transports import presence
from kchat.transports.presence import PRESENCE, QUEUE_LENGTH

if TYPE_CHECKING:
    from kchat.transports.protocols import Channel, Queue

_KEPT = 30_000
"""Milliseconds after which an announcement that was not heard is worth nothing."""


class PresencePolicy(presence.PresencePolicy):
    """See :class:`kchat.transports.presence.PresencePolicy`."""

    queue_arguments = {  # noqa: RUF012 - never changed
        "x-max-length": QUEUE_LENGTH,
        "x-message-ttl": _KEPT,
        "x-overflow": "drop-head",
    }

    @property
    def exchange(self) -> kombu.Exchange:
        """Durable: after a restart of the broker a member could not make it again."""
        return kombu.Exchange(
            self._room.queue_name(PRESENCE),
            type="fanout",
            durable=True,
            auto_delete=True,
            delivery_mode="transient",
        )

    def join(
        self, channel: Channel, username: str, hello: bytes | None, *, account: str | None = None
    ) -> tuple[Queue, bool | None]:
        """First as if the exchange was there: to declare it takes a right that a member has not."""
        try:
            return self._join(channel, username, hello, account)
        except amqp.exceptions.NotFound:
            self.exchange(channel).declare()
        return self._join(channel, username, hello, account)

    def bind_again(self, channel: Channel, queue: Queue) -> None:
        """Where ``kchat invite`` or ``kchat revoke`` has replaced the exchange."""
        channel.queue_bind(queue.name, self.exchange.name, nowait=True)
