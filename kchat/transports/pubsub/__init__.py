"""Google Cloud Pub/Sub, and its emulator. What is mapped on what: :mod:`.transport`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kchat.errors import Hint, KchatError, NotAuthorised, Unreachable
from kchat.transports import base

if TYPE_CHECKING:
    from kchat.transports.checks import Check, Walk
    from kchat.transports.url import Broker, Urls

    from .durable import DurablePolicy
    from .guests import Guests
    from .history import HistoryPolicy
    from .room import RoomPolicy

_PUBSUB_OPTIONS = (
    "ack_deadline",
    "api_endpoint",
    "close_timeout",
    "max_bytes",
    "max_messages",
    "topic_retention",
)


class PubSub(base.Transport):
    """See :class:`~kchat.transports.base.Transport`."""

    name = "pubsub"
    broker = "Google Cloud Pub/Sub, or its emulator by PUBSUB_EMULATOR_HOST"
    url_form = "pubsub://project"
    schemes = MappingProxyType({"pubsub": "kchat.transports.pubsub.transport:Transport"})
    capabilities = base.Capabilities(
        confirmed=True,
        ordered=True,
        history=True,
        durable=True,
        survives_restart=True,
        send_only=True,
        presence=False,
        positions=True,
    )
    note = "History by time only: {since}, and not {last}; the topic has to retain messages."
    extra = "pubsub"
    driver = "google.cloud.pubsub_v1"
    url_options = MappingProxyType({"pubsub": _PUBSUB_OPTIONS})
    # 10 MB for a message with its attributes: https://cloud.google.com/pubsub/quotas#resource_limits
    max_body = 10_000_000 - 64 * 1024
    orders_by_routing_key = True
    supports_mandatory = False

    @cached_property
    def guests(self) -> Guests:
        """See :mod:`.guests`."""
        from .guests import Guests

        return Guests(self.name)

    @cached_property
    def urls(self) -> Urls:
        """See :mod:`.url`."""
        from .url import Urls

        return Urls(self)

    def room(self, name: str) -> RoomPolicy:
        """See :mod:`.room`."""
        from .room import RoomPolicy

        return RoomPolicy(name)

    def history(self, room: str) -> HistoryPolicy:
        """See :mod:`.history`."""
        from .history import HistoryPolicy

        return HistoryPolicy(self.room(room))

    def durable(self, room: str) -> DurablePolicy:
        """See :mod:`.durable`."""
        from .durable import DurablePolicy

        return DurablePolicy(self.room(room))

    sweeps = True

    def stale_queues(self, broker: Broker, room: str | None) -> Sequence[base.StaleQueue]:
        """See :mod:`.sweep`."""
        from .sweep import stale_subscriptions

        return stale_subscriptions(broker, room)

    def delete_queues(self, broker: Broker, stale: Sequence[Any]) -> int:
        """See :mod:`.sweep`."""
        from .sweep import delete

        return delete(broker, stale)

    def explain(self, error: Exception, broker: Broker, doing: str) -> KchatError | None:
        """Without credentials, the hint is the command to run. An emulator takes some seconds to start."""
        from kchat.transports.errors import STARTING

        from .errors import LOGIN, NoCredentials

        if isinstance(error, NoCredentials):
            return NotAuthorised(f"{broker}: {error.meaning}", hint=f"run: {LOGIN}")
        found = super().explain(error, broker, doing)
        if isinstance(found, Unreachable) and os.environ.get("PUBSUB_EMULATOR_HOST"):
            found.hint = Hint(f"{STARTING}; or PUBSUB_EMULATOR_HOST leads to something else")
        return found

    def checks(self, walk: Walk) -> Sequence[Check]:
        """See :mod:`.checks`."""
        from .checks import checks

        return checks(walk)


TRANSPORT = PubSub()
