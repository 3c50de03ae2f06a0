"""A queue's arguments: what a subscription can do, and what is refused at the declaration. No I/O.

=============================  ======================================================================================
argument                       on Pub/Sub
=============================  ======================================================================================
``x-message-ttl``              honoured: what is older is dropped when it is delivered, by this machine's clock and
                               the time of publication; the service itself drops it after 10 minutes at the earliest
``x-expires``                  honoured, rounded up to a day, the shortest that Pub/Sub has
``x-history-since``            honoured where the topic retains messages
``x-history-after``            likewise, and else ignored: see :class:`kchat.transports.pubsub.history.After`
``x-queue-type``,              accepted: a subscription is replicated, whatever they say. ``stream`` is refused
``x-queue-mode`` and the like
``x-max-priority``,            refused: Pub/Sub has nothing of the kind
``x-max-length``,
``x-dead-letter-exchange``,
... (:data:`LACKS`)
=============================  ======================================================================================

Times are milliseconds, as on RabbitMQ (https://www.rabbitmq.com/docs/ttl).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from amqp.exceptions import PreconditionFailed

from .errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST_EXPIRY = timedelta(days=1)
"""https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period"""

SHORTEST_RETENTION = timedelta(minutes=10)
LONGEST_RETENTION = timedelta(days=31)
"""https://cloud.google.com/pubsub/docs/subscription-properties#message_retention"""

LACKS: Final[Mapping[str, str]] = {
    "x-max-priority": "has no priorities",
    "x-max-length": "does not limit a queue's length, only the age of its messages (x-message-ttl)",
    "x-max-length-bytes": "does not limit a queue's length, only the age of its messages (x-message-ttl)",
    "x-dead-letter-exchange": "moves no message to another exchange",
    "x-dead-letter-routing-key": "moves no message to another exchange",
    "x-delivery-limit": "does not count deliveries",
    "x-single-active-consumer": "has no exclusive consumers",
    "x-history-last": "cannot begin with the last messages by their number, only by time",
}

TTL_LABEL: Final = "kchat-ttl"
EXPIRES_LABEL: Final = "kchat-expires"
"""Labels of a subscription, in milliseconds: other connections find them there."""


class Times(NamedTuple):
    """How long a queue keeps its messages, and how long it lasts without consumers; ``None`` where that is not said.

    Attributes:
        ttl: of a message, in milliseconds.
        expires: of the queue, in milliseconds.
    """

    ttl: int | None = None
    expires: int | None = None

    @classmethod
    def of_labels(cls, labels: Mapping[str, str]) -> Times:
        """What a subscription's labels say."""
        ttl, expires = labels.get(TTL_LABEL, ""), labels.get(EXPIRES_LABEL, "")
        return cls(_digits(ttl), _digits(expires))

    def labels(self) -> dict[str, str]:
        """As a subscription's labels."""
        given = ((TTL_LABEL, self.ttl), (EXPIRES_LABEL, self.expires))
        return {label: str(value) for label, value in given if value is not None}


def read(queue: str, arguments: Mapping[str, Any]) -> Times:
    """Check a queue's arguments.

    Arguments:
        queue: its name, for errors.
        arguments: as declared.

    Raises:
        kchat.transports.pubsub.errors.NotSupported: Pub/Sub cannot do one of them.
        amqp.exceptions.PreconditionFailed: a value makes no sense.
    """
    for argument, why in LACKS.items():
        # False and 0 ask for nothing; but "the last 0 messages" do.
        asked = arguments.get(argument)
        if asked or (asked is not None and argument == "x-history-last"):
            raise NotSupported(f"queue {queue!r}: Pub/Sub {why} ({argument})")
    if arguments.get("x-queue-type") == "stream":
        raise NotSupported(f"queue {queue!r}: Pub/Sub has no streams (x-queue-type)")
    ttl = _milliseconds(queue, arguments, "x-message-ttl")
    expires = _milliseconds(queue, arguments, "x-expires")
    if ttl == 0:
        raise NotSupported(f"queue {queue!r}: on Pub/Sub every message takes some time (x-message-ttl is 0)")
    if expires == 0:
        raise PreconditionFailed(f"queue {queue!r}: x-expires has to be more than 0")
    if ttl is not None and timedelta(milliseconds=ttl) > LONGEST_RETENTION:
        raise NotSupported(
            f"queue {queue!r}: Pub/Sub keeps messages for {LONGEST_RETENTION.days} days at most (x-message-ttl)"
        )
    return Times(ttl, expires)


def _milliseconds(queue: str, arguments: Mapping[str, Any], argument: str) -> int | None:
    value = arguments.get(argument)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**15:
        raise PreconditionFailed(f"queue {queue!r}: {argument} is {value!r}, not a time in milliseconds")
    return int(value)


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def is_expired(times: Times, attributes: Mapping[str, str], age: float) -> bool:
    """Whether a message is too old to be delivered, by its queue's TTL or its own ``expiration``.

    Arguments:
        times: of the queue.
        attributes: of the message.
        age: of the message, in seconds.
    """
    own = _digits(attributes.get("expiration", ""))
    limits = [limit for limit in (times.ttl, own) if limit is not None]
    return bool(limits) and age * 1000 > min(limits)
