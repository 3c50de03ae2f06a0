"""The limits of a room's history on RabbitMQ: by arguments of its stream, which never change, or by a policy, which may.

https://www.rabbitmq.com/docs/streams#retention. Where a stream has both, the lower limit counts: so it is declared without
limits where a policy can be set, and with them where not, so that none is ever without. Who may not see a stream in the
management API finds its arguments by declaring it with others: RabbitMQ names one that differs (406), and changes nothing.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import amqp.exceptions

from kchat import errors
from kchat.message.amounts import duration, size

from . import policies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kchat.transports.protocols import Channel

    from .management import Management

KIND = {"x-queue-type": "stream"}
SEGMENT = "x-stream-max-segment-size-bytes"
SMALLEST_SEGMENT, _LARGEST_SEGMENT = 1 << 20, 64 << 20
_SEGMENTS = 8
"""Limits act when a segment is full, so a history has about this number of them."""

_PRIORITY = 1_000
"""Of the policy: one policy at most holds for a queue, the one with the highest priority."""

_DIFFERS = re.compile(r"inequivalent arg '([\w-]+)'.* current is (?:the value )?'([^']*)' of type '(\w+)'")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "D": 86_400, "M": 2_592_000, "Y": 31_536_000}
"""The units of a stream's age, as RabbitMQ counts them."""


class Limits(NamedTuple):
    """``None`` where there is no such limit.

    Attributes:
        keep: seconds that messages are kept.
        max_size: in bytes.
    """

    keep: float | None = None
    max_size: int | None = None

    def __str__(self) -> str:
        """``7d and 64 MiB``."""
        keep = "" if self.keep is None else duration(self.keep)
        most = "" if self.max_size is None else size(self.max_size)
        return " and ".join(filter(None, (keep, most))) or "none"

    @property
    def age(self) -> str | None:
        """The first one as RabbitMQ takes it, in whole seconds, at least one."""
        return None if self.keep is None else f"{max(1, round(self.keep))}s"

    def lower(self, other: Limits) -> Limits:
        """The lower one of each."""
        keep = [each for each in (self.keep, other.keep) if each is not None]
        most = [each for each in (self.max_size, other.max_size) if each is not None]
        return Limits(min(keep, default=None), min(most, default=None))

    def exceeds(self, other: Limits) -> bool:
        """Whether one of these limits is higher than the other's, or not there."""
        pairs = ((self.keep, other.keep), (self.max_size, other.max_size))
        return any(
            theirs is not None and (mine is None or round(mine) > max(1, round(theirs)))
            for mine, theirs in pairs
        )


def arguments(limits: Limits, *, limited: bool) -> dict[str, Any]:
    """With which a stream is declared.

    Arguments:
        limits: those wanted.
        limited: whether they are the stream's own, and not a policy's.
    """
    segment = min(max((limits.max_size or 0) // _SEGMENTS, SMALLEST_SEGMENT), _LARGEST_SEGMENT)
    made = KIND | {SEGMENT: segment}
    return made | ({"x-max-age": limits.age, "x-max-length-bytes": limits.max_size} if limited else {})


def limits_of(rules: Mapping[str, Any], prefix: str = "") -> Limits:
    """The limits in a stream's arguments, with the prefix ``x-``, or in a policy's definition."""
    age, most = rules.get(f"{prefix}max-age"), rules.get(f"{prefix}max-length-bytes")
    found = re.fullmatch(r"(\d{1,12})([smhDMY])", age) if isinstance(age, str) else None
    keep = float(found[1]) * _SECONDS[found[2]] if found else None
    return Limits(keep, most if isinstance(most, int) else None)


def declared(channel: Channel, stream: str) -> dict[str, Any]:
    """The arguments of a stream that is there.

    Raises:
        amqp.exceptions.AMQPError: this account may not declare it, or it is another kind of queue.
    """
    known: dict[str, Any] = dict(KIND)
    while True:
        try:
            channel.queue_declare(stream, durable=True, auto_delete=False, arguments=known)
        except amqp.exceptions.PreconditionFailed as error:
            found = _DIFFERS.search(str(error.reply_text))
            if found is None or found[1] in known:
                raise
            known[found[1]] = _as_declared(*found.groups())
        else:
            return known


def _as_declared(name: str, value: str, kind: str) -> str | int:
    """An argument as it was declared: of an age RabbitMQ 4.3 names the milliseconds, and takes no age without a unit."""
    if kind != "longstr":
        return int(value)
    return f"{int(value) // 1000}s" if name == "x-max-age" and value.isdecimal() else value


class Managed:
    """A stream as RabbitMQ's management API has it. Errors are those of :meth:`.management.Management.request`.

    Arguments:
        management: an administrator's, or a policymaker's, access.
        vhost: the stream's.
        stream: its name.
    """

    def __init__(self, management: Management, vhost: str, stream: str) -> None:
        self.vhost = vhost
        self._management = management
        self._stream = stream

    def set(self, limits: Limits) -> None:
        """Make these the limits of a policy for this stream alone, whether it is there or not."""
        pattern = "^" + re.sub(r"([^A-Za-z0-9_\x80-\U0010ffff])", r"\\\1", self._stream) + "$"
        body = {
            "pattern": pattern,
            "definition": {"max-age": limits.age, "max-length-bytes": limits.max_size},
            "apply-to": "queues",
            "priority": _PRIORITY,
        }
        self._management.request("PUT", "policies", self.vhost, self._stream, body=body)

    def forget(self) -> None:
        """Delete that policy, if it is there."""
        with suppress(errors.NotFound):
            self._management.request("DELETE", "policies", self.vhost, self._stream)

    @property
    def arguments(self) -> dict[str, Any]:
        """The stream's own."""
        found = self._management.get_object("queues", self.vhost, self._stream).get("arguments")
        return found if isinstance(found, dict) else {}

    @property
    def limits(self) -> Limits:
        """The limits that hold: its own, and those of policies."""
        found = limits_of(self.arguments, "x-")
        # What the stream itself tells of its policies is seconds old.
        for policy in policies.applying(self._management, self.vhost, self._stream, "streams")[0]:
            rules = policy.get("definition")
            found = found.lower(limits_of(rules if isinstance(rules, dict) else {}))
        return found
