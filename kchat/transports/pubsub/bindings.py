"""How AMQP's exchanges, queues and bindings are topics and subscriptions. No I/O.

===========================  ========================================================================================
AMQP                         Pub/Sub
===========================  ========================================================================================
fanout exchange              topic; the routing key is the ordering key
direct exchange              topic; the routing key is an attribute, and each queue has a filter on it
queue bound to an exchange   subscription of that topic, with message ordering where the exchange is fanout
queue of the default         subscription of a topic of the queue's own
exchange
===========================  ========================================================================================

A subscription has one topic and one filter for all its life, so a queue has one binding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from amqp.exceptions import PreconditionFailed, ResourceLocked
from google.pubsub_v1 import types

from kchat.transports.durable_queue import HeldElsewhere

from . import names, ownership_labels
from .arguments import LONGEST_RETENTION, SHORTEST_EXPIRY, SHORTEST_RETENTION, Times
from .messages import ROUTING_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

FANOUT = "fanout"
DIRECT = "direct"

TYPE_LABEL = "kchat-type"
"""The label of a topic that tells other processes the exchange's type. A topic without it is fanout."""

MAX_FILTER_BYTES = 256
"""https://cloud.google.com/pubsub/docs/subscription-message-filter"""


@dataclass
class Queue:
    """A queue as this connection declared it.

    Attributes:
        name: AMQP's name.
        exclusive, auto_delete, arguments: as declared.
        times: what the arguments, or the subscription's labels, say about time.
        exchange: what it is bound to; ``""`` is the default exchange, ``None`` says not yet.
        routing_key: of the binding.
        ordered: whether the exchange is fanout.
        foreign: whether it belongs to another connection.
        elsewhere: whether that is on another machine, or in another container, so that it may have ended.
        abandoned: whether that has ended.
        owned: whether it belongs to this connection, and is deleted with it. True only while its subscription exists.
        begins_at: the time of publication from which on messages are wanted, in UNIX seconds; ``None``: all that come.
    """

    name: str
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    exchange: str | None = None
    routing_key: str = ""
    ordered: bool = False
    times: Times = field(default_factory=Times)
    foreign: bool = False
    elsewhere: bool = False
    abandoned: bool = False
    owned: bool = False
    begins_at: float | None = None

    @property
    def filter(self) -> str:
        """The subscription's filter, in Pub/Sub's language; empty lets everything through."""
        return "" if self.ordered or self.exchange in (None, "") else filter_for(self.routing_key)

    def check_access(self) -> None:
        """Raise ``ResourceLocked`` where it belongs to another connection, ``HeldElsewhere`` if that may have ended."""
        if self.foreign and self.elsewhere:
            raise HeldElsewhere(f"queue {self.name!r} belongs to a process on another machine")
        if self.foreign:
            raise ResourceLocked(
                f"queue {self.name!r} belongs to another process, or another connection of this one"
            )


def to_id(name: str) -> str:
    """As :func:`kchat.transports.pubsub.names.to_id`, with an AMQP error."""
    try:
        return names.to_id(name)
    except ValueError as exc:
        raise PreconditionFailed(f"{name!r} is not a valid name: {exc}") from exc


def filter_for(routing_key: str) -> str:
    """The filter of a queue that is bound to a direct exchange.

    Raises:
        amqp.exceptions.PreconditionFailed: the key is too long for a filter.
    """
    if not routing_key:
        return f"NOT attributes:{ROUTING_KEY}"
    quoted = routing_key.replace("\\", "\\\\").replace('"', '\\"')
    text = f'attributes.{ROUTING_KEY} = "{quoted}"'
    if len(text.encode()) > MAX_FILTER_BYTES:
        raise PreconditionFailed(
            f"routing key {routing_key!r} is too long to filter by: Pub/Sub takes {MAX_FILTER_BYTES} bytes"
        )
    return text


def new_subscription(
    queue: Queue, name: str, topic: str, ack_deadline: int, owner: ownership_labels.Owner
) -> types.Subscription:
    """What to create for a queue.

    A connection's own queue, and an auto-delete queue, expires after a day without any; an own one keeps
    messages no longer than the service must. For ``x-expires`` and ``x-message-ttl`` see
    :mod:`kchat.transports.pubsub.arguments`.
    """
    own = queue.exclusive
    expires, keeps = _time(queue.times.expires), _time(queue.times.ttl)
    if expires is None and (own or queue.auto_delete):
        expires = SHORTEST_EXPIRY
    ttl = None if expires is None else max(expires, SHORTEST_EXPIRY)
    if keeps is None and own:
        keeps = SHORTEST_RETENTION
    elif keeps is None and ttl is not None:
        keeps = ttl  # the service's default, 7 days, has to be less than the time to expiry
    subscription = types.Subscription(
        name=name,
        topic=topic,
        ack_deadline_seconds=ack_deadline,
        enable_message_ordering=queue.ordered,
        filter=queue.filter,
        labels={
            **(ownership_labels.own_labels(owner) if own else ownership_labels.APP),
            **queue.times.labels(),
        },
        # A policy without a time: it never expires. Without a policy, it would after 31 days.
        expiration_policy=types.ExpirationPolicy(ttl=ttl) if ttl else types.ExpirationPolicy(),
    )
    if keeps is not None:
        subscription.message_retention_duration = min(max(keeps, SHORTEST_RETENTION), LONGEST_RETENTION)
    return subscription


def _time(milliseconds: int | None) -> timedelta | None:
    return None if milliseconds is None else timedelta(milliseconds=milliseconds)


_KEY = re.compile(rf'attributes\.{ROUTING_KEY} = "((?:[^"\\]|\\.)*)"\Z', re.DOTALL)


def routing_key_of(text: str) -> str:
    """The routing key of a filter of :func:`filter_for`; empty for any other."""
    found = _KEY.match(text)
    return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found else ""
