"""Finding and deleting the subscriptions that killed subscribers left behind.

They would expire by themselves a day after their end. A subscription whose owner lives, or of which that cannot be told,
and one that is meant to last, is never taken; :mod:`kchat.transports.pubsub.ownership_labels` says how that is known.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from amqp.exceptions import AMQPError, NotFound

from kchat.transports.errors import explain

from . import names, ownership_labels
from .clients import Clients
from .options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kchat.transports.url import Broker


class StaleSubscription(NamedTuple):
    """A subscription whose owner is gone.

    Attributes:
        path: its full name, ``projects/.../subscriptions/...``.
        queue: the name of the queue that it was.
        reason: how it is known that the owner is gone, in words.
    """

    path: str
    queue: str
    reason: str


def stale_subscriptions(broker: Broker, room: str | None) -> list[StaleSubscription]:
    """See :meth:`kchat.transports.base.Transport.stale_queues`. It takes ``roles/pubsub.viewer``."""
    stale = []
    with _connected(broker) as clients:
        listed = clients.call(
            lambda **call: list(clients.subscriber.list_subscriptions(**call)),
            {"project": f"projects/{clients.project}", "page_size": 1000},
            "list subscriptions",
        )
        topic = None if room is None else clients.topic(names.to_id(room))
        for found in listed:
            if topic in (None, found.topic) and (reason := ownership_labels.why_dead(found.labels)):
                queue = found.name.rpartition("/")[2]
                stale.append(StaleSubscription(found.name, names.from_id(queue) or queue, reason))
    return sorted(stale)


def delete(broker: Broker, stale: Sequence[StaleSubscription]) -> int:
    """See :meth:`kchat.transports.base.Transport.delete_queues`."""
    deleted = 0
    with _connected(broker) as clients:
        for path, queue, _ in stale:
            try:
                # Looked at once more: a name may have been used again since it was listed.
                found = clients.get_subscription(path, f"look at {queue}")
            except NotFound:
                continue
            if ownership_labels.why_dead(found.labels):
                deleted += clients.delete_subscription(path, f"delete {queue}")
    return deleted


@contextmanager
def _connected(broker: Broker) -> Iterator[Clients]:
    """Google's clients for a block, in which the driver's errors become kchat's."""
    try:
        clients = Clients(broker.host, Options.read(broker.options))
        try:
            yield clients
        finally:
            clients.close()
    except AMQPError as error:
        raise explain(error, broker, "sweep") or error from error
