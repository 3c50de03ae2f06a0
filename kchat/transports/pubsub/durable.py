"""Durable subscriptions on Pub/Sub: those of the room's topic that kchat has made, by their labels.

How much one holds, and when it was last read, Pub/Sub tells to Cloud Monitoring alone
(https://cloud.google.com/pubsub/docs/monitoring). A reader is known by the subscription that it holds beside the one that it
reads alone; of those who share one nothing is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kchat.transports import durable
from kchat.transports.durable import Subscription
from kchat.transports.room import READER

from . import names, ownership_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.transports.protocols import Connection, RoomSettings
    from kchat.transports.url import Broker


class DurablePolicy(durable.DurablePolicy):
    """See :class:`kchat.transports.durable.DurablePolicy`."""

    def subscriptions(
        self,
        settings: RoomSettings,  # noqa: ARG002
        broker: Broker,  # noqa: ARG002
        connection: Connection,
        management_url: str | None = None,  # noqa: ARG002
    ) -> Sequence[Subscription]:
        """It takes ``roles/pubsub.viewer``."""
        clients = connection.connection.clients
        listed = clients.call(
            lambda **call: list(clients.subscriber.list_subscriptions(**call)),
            {"project": f"projects/{clients.project}", "page_size": 1000},
            "list subscriptions",
        )
        by_queue = {
            names.from_id(identifier) or identifier: each for each in listed if (identifier := _id_of(each))
        }
        topic = clients.topic(names.to_id(self._room.name))
        return [
            self._described(queue, each, by_queue.get(self._holder(queue)))
            for queue, each in by_queue.items()
            if each.topic == topic
            and queue.startswith(self._room.queue_prefix())
            and ownership_labels.APP.items() <= dict(each.labels).items()
            and ownership_labels.PROCESS not in each.labels
        ]

    def _holder(self, queue: str) -> str:
        return queue + self._room.separator + READER

    def _described(self, queue: str, found: Any, holder: Any) -> Subscription:
        name, account = self._room.durable_name(queue)
        held = holder is not None and not ownership_labels.why_dead(holder.labels)
        expires = found.expiration_policy.ttl.total_seconds() if found.expiration_policy.ttl else None
        return Subscription(name, queue, account, readers=1 if held else None, expires=expires or None)


def _id_of(subscription: Any) -> str:
    return str(subscription.name).rpartition("/")[2]
