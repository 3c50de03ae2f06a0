"""A durable queue as it is declared: with limits, or without if it was made so; and for one reader, or for those who share.

Who reads it alone holds an exclusive queue beside it (AMQP 0-9-1 section 1.7.2.1), which no other connection can declare,
and which goes with its connection, however that ends. RabbitMQ's exclusive consumers would not do: quorum queues have none
(https://www.rabbitmq.com/docs/quorum-queues#feature-matrix), and single active consumers let the second one wait in silence.
Other clients and older kchats know nothing of that queue: they are seen by the number of consumers.
"""

from __future__ import annotations

import re
from time import monotonic, sleep
from typing import TYPE_CHECKING

import amqp.exceptions
import kombu

from kchat.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.transports.durable import Durable
    from kchat.transports.protocols import Channel, Queue
    from kchat.transports.room import RoomPolicy

_LEAVING = 1.0
"""Seconds that a broker may take to notice that a reader has left; for these another one waits."""

_LOOK = 0.05
"""Seconds between two looks whether it has."""


_TOLD = re.compile(
    r"inequivalent arg '(?P<name>x-[^']*)'.* current is (?:none|(?:the value )?'(?P<value>[^']*)')"
)
"""What RabbitMQ says of the first argument in which a queue differs: with or without the value's type."""

_MOST_ARGUMENTS = 8
"""Number of arguments that are found out, one at a time."""


class HeldElsewhere(amqp.exceptions.ResourceLocked):
    """The queue belongs to a connection that may have ended without the broker's knowing, as on Pub/Sub."""


def declare(queue: Queue) -> str:
    """Declare a durable queue, or adopt it with the arguments that it has; returns how these differ, empty if they do not.

    One that was made by an older kchat, or with other limits, goes on as it is: what it holds is worth more than a limit.

    Raises:
        amqp.exceptions.AMQPError: it is not allowed, or differs in more than its arguments.
    """
    return _adopting(queue, queue.queue_declare)


def learn(queue: Queue, difference: str) -> bool:
    """Give a queue of which :func:`declare` has returned a difference the arguments that it has at the broker.

    RabbitMQ names one argument and its value at a time: it is asked until it agrees.

    Returns:
        Whether they are known now. If not, the queue is as it was.
    """
    asked, found = queue.queue_arguments, dict(queue.queue_arguments or {})
    for _ in range(_MOST_ARGUMENTS):
        told = _TOLD.search(difference)
        if told is None:
            break
        name, value = told["name"], told["value"]
        found.pop(name, None)
        if value is not None:
            found[name] = int(value) if value.isdecimal() else value
        queue.queue_arguments = dict(found)
        difference = _adopting(queue, queue.queue_declare)
        if not difference:
            return True
    queue.queue_arguments = asked
    return False


def bind(queue: Queue) -> str:
    """Bind it to its room. Pub/Sub makes a queue only then, so it is then that it differs: likewise."""
    difference = _adopting(queue, queue.queue_bind)
    if difference:
        queue.queue_bind()
    return difference


def _adopting(queue: Queue, do: Callable[[], object]) -> str:
    try:
        do()
    except amqp.exceptions.PreconditionFailed as error:
        if not re.search(r"inequivalent arg 'x-|exists with arguments=", str(error)):
            raise
        queue.queue_declare(passive=True)
        return str(error)
    return ""


def notice(durable: Durable, difference: str, how: str) -> str:
    """What to tell about a queue of which :func:`declare` has returned a difference; empty for nothing.

    Arguments:
        durable: as it was asked for.
        difference: what the broker said.
        how: how its limits can be changed there; empty if they cannot.
    """
    if not difference:
        return ""
    change = f"{how}to begin anew: kchat durable remove {durable.name}"
    if durable.asks_for_limits:
        return f"the durable queue {durable.name} keeps the limits that it was made with, not those asked for; {change}"
    if re.search(r"current is '?(none|None|undefined)|arguments='\{\}'", difference):
        return f"the durable queue {durable.name} was made without limits, and has none; {change}"
    return ""


def claim(queue: Queue, holder: Queue, durable: Durable) -> tuple[int, str]:
    """Make sure that nobody else reads a queue, or that all who do share it.

    Arguments:
        queue: the durable queue, declared, not consumed from yet.
        holder: the exclusive queue by which its one reader holds it.
        durable: whether it is shared.

    Returns:
        The number of messages in the queue, and what to tell; empty for nothing.

    Raises:
        kchat.errors.Unavailable: somebody reads it, also after a second.
    """
    ends = monotonic() + _LEAVING
    while True:
        try:
            waiting, readers = _try_to_claim(queue, holder, shared=durable.shared)
        except HeldElsewhere:
            # To refuse it would lock out who comes back as another container, for a day.
            return 0, (
                f"the durable queue {durable.name} was read on another machine and not left: "
                "if it is read there now, each of you gets a part"
            )
        except amqp.exceptions.ResourceLocked:
            readers = 1
        else:
            if durable.shared or not readers:
                return waiting, ""
        if monotonic() >= ends:
            raise Unavailable(
                f"somebody else is reading the durable queue {durable.name!r}",
                hint="to share it, start each reader with {shared}: every message then goes to one of them",
            )
        sleep(_LOOK)


def _try_to_claim(queue: Queue, holder: Queue, *, shared: bool) -> tuple[int, int]:
    """The numbers of messages in a queue and of its readers. Raises ResourceLocked: somebody reads it alone."""
    try:
        holder.queue_declare(passive=shared)
    except amqp.exceptions.NotFound:
        pass  # nobody reads it alone
    except (amqp.exceptions.AccessRefused, amqp.exceptions.PreconditionFailed):
        pass  # this account may not hold it, or no more queues: the number of consumers still tells
    try:
        _, waiting, readers = queue.queue_declare(passive=True)
    except amqp.exceptions.AccessRefused:
        return 0, 0  # on Pub/Sub: this account may read it, and nothing else
    return waiting, readers


def remove(room: RoomPolicy, channel: Channel, name: str, account: str | None) -> None:
    """Delete a durable queue; see :meth:`kchat.transports.durable.DurablePolicy.remove`."""
    names = (
        [room.queue_name(name)]
        if account is None
        else [room.queue_name(name), room.queue_name(account, name)]
    )
    refusal: amqp.exceptions.AccessRefused | None = None
    for each in [name] if name.startswith(room.queue_prefix()) else names:
        queue = kombu.Queue(each, durable=True)(channel)
        try:
            queue.queue_declare(passive=True)
            queue.delete()
        except amqp.exceptions.NotFound:
            continue
        except amqp.exceptions.AccessRefused as error:
            refusal = error
        else:
            return
    if refusal is not None:
        raise refusal
    raise NotFound(
        f"there is no durable subscription {name!r} in the room {room.name}",
        hint="kchat durable list shows them",
    )
