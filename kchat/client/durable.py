"""What makes a durable queue on AMQP outlive a restart of the broker: a durable exchange behind the room's.

The room's exchange is not durable, and cannot be made so: the clients of RabbitMQ's tutorial, which declare it as it is,
would be locked out. With it go its bindings when the broker restarts; a durable queue stays, but bound to nothing, and what
is sent before its subscriber is back goes nowhere.

So a durable queue is also bound to an exchange of kchat's own, ``kchat.<room>.durable``, durable itself, which the room's
exchange is bound to (https://www.rabbitmq.com/docs/e2e). When kchat makes the room again, it makes that binding again,
before anything is published: then nothing is lost. RabbitMQ delivers a message once to a queue, by however many ways. The
exchange is auto-delete: it goes with the last durable queue.

A guest's account may not make that exchange: an account with that right could make a different one, which would lock
everybody out. It binds its queue to the one that ``kchat invite`` has made (:mod:`kchat.hosting.leftovers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import amqp.exceptions
import kombu

from kchat.client.topology import declare_room, queue_name, room_exchange

if TYPE_CHECKING:
    from kchat.config.settings import Settings

DURABLE = "durable"
"""What stands for the name of a queue in that exchange's name."""


@dataclass(frozen=True)
class Place:
    """A subscriber's place in a room.

    Attributes:
        queue: its queue, as declared.
        durable: whether the queue is bound to what outlives a restart.
        mends: whether this account may bind that to the room, so that it can be done again.
        found: whether the queue was there before.
    """

    queue: Any
    durable: bool = False
    rebinds: bool = False
    found: bool = False


def durable_exchange(settings: Settings) -> kombu.Exchange:
    """The exchange behind the room's."""
    return kombu.Exchange(
        queue_name(settings, DURABLE),
        type="fanout",
        durable=True,
        auto_delete=True,
        delivery_mode="transient",
    )


def open_room(channel: Any, settings: Settings, *, missing: bool = False) -> None:
    """Declare the room; if it was not there, bind it to its durable exchange.

    Arguments:
        channel: a Kombu channel. Consumers and confirms on it may be gone afterwards.
        settings: the room.
        missing: it is known not to be there. Default: that is found out.

    Raises:
        kchat.errors.Refused, amqp.exceptions.AMQPError: see :func:`kchat.client.topology.declare_room`.
    """
    exchange = room_exchange(settings)
    durable_by_itself = settings.transport.name != "amqp"
    missing = not durable_by_itself and (missing or not _exists(channel, exchange))
    declare_room(channel, exchange)
    if missing:
        try:
            channel.exchange_bind(durable_exchange(settings).name, exchange.name)
        except (amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
            return  # no durable queue there, or not ours to bind: the channel is open again


def _exists(channel: Any, exchange: kombu.Exchange) -> bool:
    try:
        exchange(channel).declare(passive=True)
    except amqp.exceptions.NotFound:
        return False
    return True


def take_place(
    channel: Any, settings: Settings, queues: Sequence[kombu.Queue], *, durable: bool, look: bool = False
) -> Place:
    """Declare the room, and a queue in it.

    On Pub/Sub, whose roles for reading a queue and for making one are apart, a durable queue that somebody else has made
    may be all that an account can use.

    Arguments:
        channel: a Kombu channel. Consumers and confirms on it may be gone afterwards.
        settings: the room.
        queues: bound to the channel; the first that this account may declare is taken.
        durable: whether it is a durable one.
        look: whether to find out if the queue was there before.

    Raises:
        kchat.errors.Refused, amqp.exceptions.AMQPError: see :func:`kchat.client.topology.declare_room`.
    """
    queue, found = queues[-1], False
    try:
        open_room(channel, settings)
        for queue in queues:
            try:
                found = look and _is_there(queue)
                queue.queue_declare()
                break
            except amqp.exceptions.AccessRefused:
                if queue is queues[-1]:
                    raise
        queue.queue_bind()
    except amqp.exceptions.AccessRefused:
        if not durable or settings.transport.name != "pubsub":
            raise
        return Place(queue, found=found)
    if not durable or settings.transport.name != "amqp":
        return Place(queue, found=found)
    bound, rebinds = _bind_durable(channel, settings, queue.name)
    return Place(queue, bound, rebinds, found)


def _is_there(queue: Any) -> bool:
    """Whether a queue that is bound to a channel is there; the channel is usable afterwards."""
    try:
        queue.queue_declare(passive=True)
    except amqp.exceptions.NotFound:
        return False
    except amqp.exceptions.AccessRefused:  # on Pub/Sub: reading it is another right than looking
        return True
    return True


def _bind_durable(channel: Any, settings: Settings, queue: str) -> tuple[bool, bool]:
    """Bind a durable queue to what outlives a restart; whether it is bound, and whether that is bound to the room by us."""
    exchange = durable_exchange(settings)
    try:
        exchange(channel).declare()
        channel.queue_bind(queue, exchange.name)
        channel.exchange_bind(exchange.name, settings.room)
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


def bind_again(channel: Any, settings: Settings, queue: str, *, durable: bool) -> None:
    """Bind a queue to the room again without waiting for an answer.

    AMQP does not tell a consumer when its queue's exchange, and so its binding, is deleted. Where it was, the broker
    closes the channel (404), which is noticed; where it was and somebody has made it again, the binding is mended.

    Arguments:
        channel: a Kombu channel of AMQP.
        settings: the room.
        queue: the queue's name.
        durable: whether to bind to the room what outlives a restart, too: :attr:`Place.rebinds`.
    """
    channel.queue_bind(queue, settings.room, nowait=True)
    if durable:
        channel.exchange_bind(durable_exchange(settings).name, settings.room, nowait=True)
