"""Finding and deleting the subscriptions that killed subscribers left behind.

They would expire by themselves a day after their end. A subscription whose owner lives, or of which that cannot be told,
and one that is meant to last, is never taken; :mod:`kchat.transports.pubsub.ownership_labels` says how that is known.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amqp.exceptions import AMQPError, NotFound
from google.pubsub_v1 import types

from kchat.transports.errors import explain

from . import names, ownership_labels
from .clients import Clients
from .options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kchat.transports.url import Broker

_DELETED_TOPIC = "_deleted-topic_"


@dataclass(frozen=True)
class StaleSubscription:
    """A subscription whose owner is gone.

    Attributes:
        name: its full name, ``projects/.../subscriptions/...``.
        queue: the name of the queue that it was.
        exchange: the name of the exchange that it is bound to; empty when its topic has been deleted.
        reason: how it is known that the owner is gone, in words.
    """

    name: str
    queue: str
    exchange: str
    reason: str


def stale_subscriptions(
    project: str, exchange: str | None = None, options: Options | None = None
) -> list[StaleSubscription]:
    """The stale subscriptions of an exchange (a room), oldest name first.

    It takes the right to list subscriptions (``roles/pubsub.viewer``).

    Arguments:
        project: the project's id; empty: the one of the environment or the credentials.
        exchange: only those bound to it. Default: those of the whole project.
        options: the transport options.

    Raises:
        amqp.exceptions.AMQPError: see :mod:`kchat.transports.pubsub.errors`.
    """
    with _clients(project, options) as clients:
        topic = None if exchange is None else clients.topic(names.to_id(exchange))
        return sorted(_stale(clients, topic), key=lambda found: found.name)


def delete(
    project: str, subscriptions: Iterable[StaleSubscription], options: Options | None = None
) -> list[StaleSubscription]:
    """Delete them, but for any whose owner turns out to live after all.

    Arguments:
        project: the project's id; empty: the one of the environment or the credentials.
        subscriptions: of :func:`stale_subscriptions`.
        options: the transport options.

    Returns:
        Those that this call deleted.

    Raises:
        amqp.exceptions.AMQPError: see :mod:`kchat.transports.pubsub.errors`.
    """
    deleted = []
    with _clients(project, options) as clients:
        for stale in subscriptions:
            try:
                # Looked at once more: a name may have been used again since it was listed.
                found = clients.call(
                    clients.subscriber.get_subscription,
                    types.GetSubscriptionRequest(subscription=stale.name),
                    f"look at {stale.queue}",
                )
                if not (ownership_labels.is_own(found.labels) and ownership_labels.why_dead(found.labels)):
                    continue
                clients.call(
                    clients.subscriber.delete_subscription,
                    types.DeleteSubscriptionRequest(subscription=stale.name),
                    f"delete {stale.queue}",
                )
            except NotFound:
                continue
            deleted.append(stale)
    return deleted


@contextmanager
def explained(broker: Broker) -> Iterator[None]:
    """Turn the driver's errors into kchat's."""
    try:
        yield
    except AMQPError as error:
        raise explain(error, broker, "sweep") or error from error


@contextmanager
def _clients(project: str, options: Options | None) -> Iterator[Clients]:
    clients = Clients(project, options or Options())
    try:
        yield clients
    finally:
        clients.close()


def _stale(clients: Clients, topic: str | None) -> Iterator[StaleSubscription]:
    page = ""
    while True:
        answer = clients.call(
            clients.subscriber.list_subscriptions,
            types.ListSubscriptionsRequest(
                project=f"projects/{clients.project}", page_size=1000, page_token=page
            ),
            "list subscriptions",
        )
        for found in answer.subscriptions:
            if topic not in (None, found.topic) or not ownership_labels.is_own(found.labels):
                continue
            if reason := ownership_labels.why_dead(found.labels):
                queue = found.name.rpartition("/")[2]
                gone = found.topic == _DELETED_TOPIC
                bound = "" if gone else found.topic.rpartition("/")[2]
                yield StaleSubscription(
                    found.name, names.from_id(queue) or queue, names.from_id(bound) or bound, reason
                )
        page = answer.next_page_token
        if not page:
            return
