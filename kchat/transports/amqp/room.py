"""A room on AMQP, and what makes a durable queue outlive a restart of the broker: a durable exchange behind the room's.

The room's exchange is not durable, and cannot be made so: the clients of RabbitMQ's tutorial, which declare it as it is,
would be locked out. With it go its bindings when the broker restarts; a durable queue stays, but bound to nothing, and what
is sent before its subscriber is back goes nowhere.

So a durable queue is also bound to an exchange of kchat's own, ``kchat.<room>.durable``, durable itself, which the room's
exchange is bound to (https://www.rabbitmq.com/docs/e2e). When kchat makes the room again, it makes that binding again,
before anything is published: then nothing is lost. RabbitMQ delivers a message once to a queue, by however many ways. The
exchange is auto-delete: it goes with the last durable queue.

A guest's account may not make that exchange: an account with that right could make a different one, which would lock
everybody out. It binds its queue to the one that ``kchat invite`` has made.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import amqp.exceptions
import kombu

from kchat.transports import room
from kchat.transports.durable import refuse
from kchat.transports.presence import PRESENCE
from kchat.transports.room import Place, name_part

if TYPE_CHECKING:
    from kchat.transports.durable import Durable
    from kchat.transports.protocols import Channel, Queue

DURABLE = "durable"
"""What stands for the name of a queue in the durable exchange's name."""

QUEUE_PREFIX = f"{room.PREFIX}."
"""What the names of all queues of kchat's begin with."""

STREAM_PREFIX = f"{room.PREFIX}-history."
"""What the names of all streams of histories begin with: outside of what members may configure or bind."""

QUEUE_LENGTH = 10_000
"""Maximum number of messages in a subscriber's own queue; older ones are dropped."""

QUEUE_BYTES = 64 * 1024 * 1024
"""... and of bytes, so that a stopped subscriber cannot fill the broker."""


_STREAM_STARTING = 3.0
"""Seconds after a restart that the room's first sender or subscriber waits for its history."""

_LOOK_AGAIN = 0.1
"""Seconds between two looks in that time."""

_LONGEST_EXPIRY = 2**32 - 1
"""Milliseconds: https://www.rabbitmq.com/docs/ttl#queue-ttl. RabbitMQ's timers know no more."""


class RoomPolicy(room.RoomPolicy):
    """See :class:`kchat.transports.room.RoomPolicy`."""

    # drop-head keeps the newest: https://www.rabbitmq.com/docs/maxlength. On other brokers a slow subscriber holds up
    # nothing.
    queue_arguments = {  # noqa: RUF012 - never changed
        "x-max-length": QUEUE_LENGTH,
        "x-max-length-bytes": QUEUE_BYTES,
        "x-overflow": "drop-head",
    }
    # It survives the loss of a node: https://www.rabbitmq.com/docs/quorum-queues
    durable_arguments = {"x-queue-type": "quorum"}  # noqa: RUF012 - never changed

    # https://www.rabbitmq.com/docs/parameters#policies: of an argument and a policy the smaller number holds.
    limits_change = "a policy at the broker can make them smaller, or, "

    def length_arguments(self, length: int | None) -> dict[str, Any]:
        """Of a longer queue, the limit in bytes grows with it."""
        if length is None:
            return self.queue_arguments
        size = max(QUEUE_BYTES, length * QUEUE_BYTES // QUEUE_LENGTH)
        return self.queue_arguments | {"x-max-length": length, "x-max-length-bytes": size}

    def check_durable(self, durable: Durable) -> None:
        """An exchange and a queue of one name have the same permissions, and members may read these exchanges."""
        if durable.name in (DURABLE, PRESENCE):
            raise refuse(
                durable.name, "that name is used by kchat itself on AMQP", "choose another name for the queue"
            )
        if not 0 < durable.expires_ms <= _LONGEST_EXPIRY:
            raise refuse(durable.name, "RabbitMQ's longest time without a reader is 49 days", "ask for less")

    def limit_arguments(self, durable: Durable) -> dict[str, Any]:
        """It drops its oldest messages: ``reject-publish`` would have the broker refuse those of all senders in the room.

        A message that one queue rejects is rejected as a whole, whichever others have it
        (https://www.rabbitmq.com/docs/maxlength#overflow-behaviour). So a subscription that somebody forgot would silence
        the room. ``x-expires`` counts from when the last consumer went: on quorum queues declaring it again does not renew
        it (https://www.rabbitmq.com/docs/quorum-queues#feature-matrix).
        """
        return {
            "x-expires": durable.expires_ms,
            "x-max-length-bytes": durable.bytes,
            "x-overflow": "drop-head",
        }

    @property
    def durable_exchange(self) -> kombu.Exchange:
        """The exchange behind the room's."""
        return kombu.Exchange(
            self.queue_name(DURABLE),
            type="fanout",
            durable=True,
            auto_delete=True,
            delivery_mode="transient",
        )

    @property
    def stream(self) -> str:
        """The name of the stream that keeps the room's history: :mod:`.history`."""
        return STREAM_PREFIX + name_part(self.name, ".")

    @property
    def stream_of_limits(self) -> str:
        """The name of the stream that holds the limits of that history: :mod:`.history_age`. No room's stream has it."""
        return f"{self.stream}.limits"

    def open(self, channel: Channel, *, missing: bool = False) -> None:
        """If it was not there, bind it to its durable exchange, too."""
        missing = missing or not self._exists(channel)
        super().open(channel)
        if missing:
            try:
                channel.exchange_bind(self.durable_exchange.name, self.name)
            except (amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
                return  # no durable queue there, or not ours to bind: the channel is open again
            self._wait_for_stream(channel)

    def _wait_for_stream(self, channel: Channel) -> None:
        """The broker has just started: it takes connections before its streams are there, and what is sent then is in none.

        Until then, a stream is answered 404 (RabbitMQ 3.10: for half a second); so is one that does not exist, as where
        there is a durable queue and no history.
        """
        ends = monotonic() + _STREAM_STARTING
        while True:
            try:
                channel.queue_declare(self.stream, passive=True)
            except amqp.exceptions.NotFound:
                if monotonic() >= ends:
                    return
                sleep(_LOOK_AGAIN)
            else:
                return

    def _exists(self, channel: Channel) -> bool:
        try:
            self.exchange(channel).declare(passive=True)
        except amqp.exceptions.NotFound:
            return False
        return True

    def take_durable_place(
        self, channel: Channel, queues: Sequence[Queue], durable: Durable, *, look: bool
    ) -> Place:
        """And bind the queue to what outlives a restart."""
        place = super().take_durable_place(channel, queues, durable, look=look)
        bound, rebinds = self._bind_durable(channel, place.queue.name)
        return place._replace(durable=bound, rebinds=rebinds)

    def _bind_durable(self, channel: Channel, queue: str) -> tuple[bool, bool]:
        """Whether the queue is bound to what outlives a restart, and whether that is bound to the room by us."""
        exchange = self.durable_exchange
        try:
            exchange(channel).declare()
            channel.queue_bind(queue, exchange.name)
            channel.exchange_bind(exchange.name, self.name)
        except amqp.exceptions.PreconditionFailed:
            # Somebody has made another exchange of that name: none to rely on. The host's next command repairs it.
            return False, False
        except amqp.exceptions.AccessRefused:
            pass
        else:
            return True, True
        try:
            channel.queue_bind(queue, exchange.name)
        except (amqp.exceptions.AccessRefused, amqp.exceptions.NotFound):
            return False, False
        return True, False

    def bind_again(self, channel: Channel, queue: str, *, rebinds: bool) -> None:
        """AMQP does not tell a consumer when its queue's exchange, and so its binding, is deleted.

        Where it was, the broker closes the channel (404), which is noticed; where it was and somebody has made it again, the
        binding is repaired.
        """
        channel.queue_bind(queue, self.name, nowait=True)
        if rebinds:
            channel.exchange_bind(self.durable_exchange.name, self.name, nowait=True)


def is_owned(name: str, account: str) -> bool:
    """Whether a queue or exchange is an account's own, in whatever room: ``kchat.<room>.<account>.<more>``.

    No part has a dot in it, so that ``ada`` does not own what is ``ada.b``'s.
    """
    parts = name.split(".", 3)
    return len(parts) == 4 and parts[0] == room.PREFIX and parts[2] == name_part(account, ".")
