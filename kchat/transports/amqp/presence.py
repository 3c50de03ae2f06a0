"""Presence on AMQP: a durable exchange that goes with its last queue, and queues of which little is kept.

The exchange is direct, with two keys: an announcement has none, one that brings a list has ``list``. All queues are bound
with the second, and those of who hears everybody (:mod:`kchat.client.crowd`) without a key, too.

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

TYPE = "direct"
"""Of the exchange."""

_EVERYBODY, _LISTS = "", "list"

_KEPT = 30_000
"""Milliseconds after which an announcement that was not heard is worth nothing."""


class PresencePolicy(presence.PresencePolicy):
    """See :class:`kchat.transports.presence.PresencePolicy`."""

    has_lists = True
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
            type=TYPE,
            durable=True,
            auto_delete=True,
            delivery_mode="transient",
        )

    def join(
        self,
        channel: Channel,
        username: str,
        hello: bytes | None,
        *,
        account: str | None = None,
        hears: bool = True,
    ) -> tuple[Queue, bool | None]:
        """First as if the exchange was there: to declare it takes a right that a member has not."""
        queue = self.queue(
            username, account
        )  # one name for both times: the first one stays until the connection ends
        try:
            return self._join(channel, queue, hello, account, hears=hears)
        except amqp.exceptions.NotFound:
            self.exchange(channel).declare()
        return self._join(channel, queue, hello, account, hears=hears)

    def bind(self, channel: Channel, queue: Queue, *, hears: bool) -> None:
        """With one key or with both."""
        channel.queue_bind(queue.name, self.exchange.name, _LISTS)
        if hears:
            channel.queue_bind(queue.name, self.exchange.name, _EVERYBODY)
        else:
            channel.queue_unbind(queue.name, self.exchange.name, _EVERYBODY)

    def bind_again(self, channel: Channel, queue: Queue, *, hears: bool) -> None:
        """Where ``kchat invite`` or ``kchat revoke`` has replaced the exchange."""
        for key in (_LISTS, _EVERYBODY) if hears else (_LISTS,):
            channel.queue_bind(queue.name, self.exchange.name, key, nowait=True)

    def _key(self, *, to_all: bool) -> str:
        return _LISTS if to_all else _EVERYBODY
