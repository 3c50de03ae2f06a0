"""Durable subscriptions: what is asked of one, and :class:`DurablePolicy`, by which they are listed and ended.

A durable subscription is a queue that keeps a room's messages while nobody reads it. It outlives its process, so it is
bounded in time and in size, can be seen, and can be removed. One reader has it, unless all of them say that they share it.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from kchat.errors import Refused, SettingsError
from kchat.message.amounts import duration, size
from kchat.message.times import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kchat.transports.checks import Outcome
    from kchat.transports.protocols import Connection, RoomSettings
    from kchat.transports.room import RoomPolicy
    from kchat.transports.url import Broker

EXPIRES = 30 * 86400.0
"""Seconds without a reader after which a durable queue is deleted, unless said otherwise: 30 days."""

MAX_SIZE = 1 << 30
"""Bytes of messages that it keeps, unless said otherwise: 1 GiB."""


_NAMED = 5
"""Number of subscriptions that the doctor names."""


class Durable(NamedTuple):
    """A durable subscription as it is asked for.

    Attributes:
        name: of its queue, for people.
        expires: seconds without a reader after which the broker deletes the queue. Default: 30 days.
        max_size: bytes of messages that it keeps; beyond, it drops the oldest. Default: 1 GiB.
        shared: several may read it at once, and each gets a part. Default: a second reader is refused.
    """

    name: str
    expires: float | None = None
    max_size: int | None = None
    shared: bool = False

    @classmethod
    def of(cls, durable: str | Durable) -> Durable:
        """The same, with the defaults where there is a name alone."""
        return cls(durable) if isinstance(durable, str) else durable

    @property
    def asks_for_limits(self) -> bool:
        """Whether it names a limit, and does not just take the defaults."""
        return self.expires is not None or self.max_size is not None

    @property
    def expires_ms(self) -> int:
        """The time without a reader in milliseconds, as queue arguments have it."""
        return round(1000 * (EXPIRES if self.expires is None else self.expires))

    @property
    def bytes(self) -> int:
        """The size."""
        return MAX_SIZE if self.max_size is None else self.max_size


class Subscription(NamedTuple):
    """A durable subscription that exists. What the broker does not tell is ``None``.

    Attributes:
        name: as ``--durable`` takes it.
        queue: its name on the broker.
        account: whose it is, where it is not the room's.
        messages: number of messages that it holds.
        size: of these, in bytes.
        readers: how many read it now.
        last_read: when it was last read, in UNIX seconds; where somebody reads it, now.
        expires: seconds without a reader after which it is deleted; ``None`` also for never.
        max_size: its limit in bytes; ``None`` also for none.
    """

    name: str
    queue: str
    account: str | None = None
    messages: int | None = None
    size: int | None = None
    readers: int | None = None
    last_read: float | None = None
    expires: float | None = None
    max_size: int | None = None

    @property
    def forgotten(self) -> bool:
        """Whether it holds messages, or may, and it is known that nobody reads it now."""
        return self.readers == 0 and self.messages != 0


class DurablePolicy:
    """How durable subscriptions are listed and removed on a broker.

    Arguments:
        room: what the room is there.
    """

    def __init__(self, room: RoomPolicy) -> None:
        self._room = room

    def subscriptions(
        self,
        settings: RoomSettings,  # noqa: ARG002 - for those that ask elsewhere
        broker: Broker,  # noqa: ARG002
        connection: Connection,  # noqa: ARG002
        management_url: str | None = None,  # noqa: ARG002
    ) -> Sequence[Subscription]:
        """All of the room, by name.

        Arguments:
            settings: the room, the timeouts and what to trust.
            broker: the one that the connection leads to.
            connection: connected.
            management_url: of RabbitMQ's management API. Default: its usual place.

        Raises:
            kchat.errors.Refused: this broker, or this account, cannot tell.
        """
        raise Refused(f"the durable subscriptions of {self._room.name} cannot be listed on this broker")

    def remove(self, connection: Connection, name: str, account: str | None) -> None:
        """Delete one with the messages that it holds.

        Arguments:
            connection: connected.
            name: as ``--durable`` takes it, or its queue's name.
            account: the connection's. Where the room has none of that name, the account's own is removed.

        Raises:
            kchat.errors.NotFound: there is none of that name.
            amqp.exceptions.AMQPError: it is not allowed, or something else is wrong.
        """
        from kchat.transports import durable_queue

        durable_queue.remove(self._room, connection.channel(), name, account)


def check(subscriptions: Sequence[Subscription], unknown: str = "") -> Outcome:
    """What the doctor says about a room's durable subscriptions: those that nobody reads are named.

    Arguments:
        subscriptions: all of the room.
        unknown: what to say of those of which it is not known whether anybody reads them. Default: nothing.
    """
    from kchat.transports.checks import note, ok

    if not subscriptions:
        return ok("no durable subscriptions")
    idle = [each for each in subscriptions if each.forgotten or (unknown and each.readers is None)]
    if not idle:
        return ok(f"{', '.join(each.name for each in subscriptions)}: read, or empty")
    named = "; ".join(f"{each.name} ({_state(each)})" for each in idle[:_NAMED])
    more = f"; and {len(idle) - _NAMED:,} more" if len(idle) > _NAMED else ""
    lead = "nobody reads" if any(each.forgotten for each in idle) else unknown
    return note(
        f"{lead}: {named}{more}",
        f"read it, or delete it with its messages: {shlex.join(['kchat', 'durable', 'remove', idle[0].name])}",
    )


def _state(subscription: Subscription) -> str:
    """What a subscription holds, and when it was read last, in words."""
    parts = []
    if subscription.messages is not None:
        parts.append(f"{subscription.messages:,} message{'' if subscription.messages == 1 else 's'}")
    if subscription.size is not None:
        parts.append(size(subscription.size))
    if subscription.last_read is not None:
        parts.append(f"last read {moment(subscription.last_read)}")
    if subscription.expires is not None:
        parts.append(f"expires after {duration(subscription.expires)}")
    return ", ".join(parts) or "it never expires"


def refuse(name: str, text: str, hint: str) -> SettingsError:
    """The error for a durable queue that cannot be as it is asked for."""
    return SettingsError(f"the durable queue {name!r}: {text}", hint=hint)
