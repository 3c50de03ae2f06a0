"""Durable subscriptions on RabbitMQ, which lists queues by its management API alone.

Of messages and consumers that API's numbers are up to five seconds old (``collect_statistics_interval``), so these are asked
for by AMQP, and only sizes and limits there. When a queue was last read (``idle_since``), it tells of classic queues and not
of quorum queues (tried with 3.10).
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any

import amqp.exceptions
import kombu

from kchat import errors
from kchat.transports import durable
from kchat.transports.durable import Subscription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.transports.protocols import Connection, RoomSettings
    from kchat.transports.url import Broker

    from .management import Management


class DurablePolicy(durable.DurablePolicy):
    """See :class:`kchat.transports.durable.DurablePolicy`."""

    def subscriptions(
        self,
        settings: RoomSettings,
        broker: Broker,
        connection: Connection,
        management_url: str | None = None,
    ) -> Sequence[Subscription]:
        """The durable queues of the room that kchat has made. It takes an account that may use the management API."""
        from .guests import Guests

        try:
            management = Guests(broker.transport.name).management(settings, management_url)
            found = self._listed(management, broker.vhost)
        except (errors.Unreachable, errors.SettingsError, errors.NotAuthorised) as error:
            raise errors.Refused(
                f"RabbitMQ lists queues by its management API alone: {error}",
                hint="name its URL with {management_url}, with an account that may use it; "
                "kchat durable remove works without",
            ) from error
        return [self._counted(connection, each) for each in found]

    def _listed(self, management: Management, vhost: str) -> list[Subscription]:
        prefix = self._room.queue_prefix()
        listed = management.pages(
            "queues", vhost, pattern=f"^{re.escape(prefix)}", columns="name,durable,exclusive"
        )
        found = []
        for name in (each["name"] for each in listed if each.get("durable") and not each.get("exclusive")):
            with suppress(errors.NotFound):  # it went meanwhile
                found.append(self._described(name, management.get_object("queues", vhost, name)))
        return found

    def _described(self, queue: str, told: dict[str, Any]) -> Subscription:
        name, account = self._room.durable_name(queue)
        limits = _limits(told)
        expires = limits.get("expires")
        return Subscription(
            name,
            queue,
            account,
            messages=_number(told.get("messages")),
            size=_number(told.get("message_bytes")),
            readers=_number(told.get("consumers")),
            last_read=_moment(told.get("idle_since")),
            expires=None if expires is None else expires / 1000,
            max_size=limits.get("max-length-bytes"),
        )

    def _counted(self, connection: Connection, found: Subscription) -> Subscription:
        """With the numbers of this moment, if this account may use the virtual host."""
        try:
            _, waiting, readers = kombu.Queue(found.queue, durable=True)(connection.channel()).queue_declare(
                passive=True
            )
        except amqp.exceptions.ChannelError:
            return found
        now = time() if readers else found.last_read
        size = 0 if not waiting else found.size or None  # it is told seconds later
        return found._replace(messages=waiting, size=size, readers=readers, last_read=now)


def _limits(told: dict[str, Any]) -> dict[str, int]:
    """The limits that hold for a queue: by its arguments and by policies the smaller (https://www.rabbitmq.com/docs/maxlength)."""
    given = told.get("arguments")
    policy = told.get("effective_policy_definition")
    sources = (
        {str(key).removeprefix("x-"): value for key, value in given.items()}
        if isinstance(given, dict)
        else {},
        policy if isinstance(policy, dict) else {},
    )
    found: dict[str, int] = {}
    for key in ("expires", "max-length-bytes"):
        values = [number for each in sources if (number := _number(each.get(key))) is not None]
        if values:
            found[key] = min(values)
    return found


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _moment(text: object) -> float | None:
    """``2026-01-31T12:00:00.000+00:00``; before RabbitMQ 3.12 ``2026-01-31 12:00:00``, in UTC."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
