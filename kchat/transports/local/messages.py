"""A message on its way out, as it is delivered, and as Kombu's :class:`~kombu.Message`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from kombu.transport import base
from kombu.utils.json import dumps as dump_any
from kombu.utils.json import loads as load_any

if TYPE_CHECKING:
    from .channel import Channel

#: The columns of a delivery, in the order of :data:`Row`; ``{held}`` and so on come from the kind of queue.
COLUMNS = (
    "{held}, {redelivered}, m.exchange, m.routing_key, m.message_id, m.timestamp, m.properties, m.headers,"
    " {expires_at}, m.body"
)

#: ``(held, redelivered, exchange, routing_key, message_id, timestamp, properties, headers, expires_at, body)``.
#: ``held`` is the ``queued.id`` that an acknowledgement removes; below 0, the ``seq`` of history with its sign
#: turned, of which an acknowledgement has nothing to remove.
Row = tuple[int, int, str, str, "str | None", "int | None", "str | None", "str | None", "float | None", bytes]

EXPIRES_AT: Final = 8
BODY: Final = 9

_TIMESTAMP_LIMIT = 1 << 63

#: What stands before JSON with Kombu's own forms (bytes, times, decimals, UUIDs) in it.
_KOMBU_JSON = "kombu:"


class Outgoing:
    """A message as :meth:`.Channel.prepare_message` makes it, for :meth:`.Channel.basic_publish`.

    Arguments:
        body: the payload; text is encoded as UTF-8.
        properties: AMQP's basic properties, which this object now owns.
        headers: the application's headers.
    """

    __slots__ = ("body", "headers", "message_id", "rest", "timestamp")

    def __init__(self, body: bytes | str, properties: dict[str, Any], headers: dict[str, Any] | None) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = headers
        # The two properties that differ from message to message have columns; the rest is mostly the same
        # all the time, and need not be encoded again.
        self.message_id: str | None = None
        self.timestamp: int | None = None
        identifier = properties.get("message_id")
        if (
            type(identifier) is str and identifier.isascii()
        ):  # a lone surrogate fits into JSON, not into a column
            self.message_id = properties.pop("message_id")
        stamp = properties.get("timestamp")
        if type(stamp) is int and -_TIMESTAMP_LIMIT <= stamp < _TIMESTAMP_LIMIT:
            self.timestamp = properties.pop("timestamp")
        self.rest = properties

    @property
    def properties(self) -> dict[str, Any]:
        """All basic properties, as they will be delivered."""
        return _with_columns(dict(self.rest), self.message_id, self.timestamp)


def _with_columns(
    properties: dict[str, Any], message_id: str | None, timestamp: int | None
) -> dict[str, Any]:
    if message_id is not None:
        properties["message_id"] = message_id
    if timestamp is not None:
        properties["timestamp"] = timestamp
    return properties


def dump(mapping: dict[str, Any]) -> str:
    """Properties or headers as text: JSON; where that has no form for a value, Kombu's JSON, and marked so."""
    try:
        return json.dumps(mapping)
    except TypeError:
        return _KOMBU_JSON + str(dump_any(mapping))


def _load(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    if text.startswith(_KOMBU_JSON):
        return dict(load_any(text[len(_KOMBU_JSON) :]))
    return dict(json.loads(text))


class Delivery:
    """A message as a consumer's callback gets it: the row, and what is read from it when asked for.

    Attributes:
        channel: that it came by.
        delivery_tag (int): what to acknowledge, from 1 on, counted by channel.
        consumer_tag (str): of the consumer; empty for ``basic_get``.
        body (bytes): as it was published.
        row (Row): all that the file has of it.
    """

    __slots__ = ("body", "channel", "consumer_tag", "delivery_tag", "queue", "row")

    def __init__(self, channel: Channel, delivery_tag: int, consumer_tag: str, queue: Any, row: Row) -> None:
        self.channel = channel
        self.delivery_tag = delivery_tag
        self.consumer_tag = consumer_tag
        self.queue = queue
        self.row = row
        self.body = row[9]

    @property
    def properties(self) -> dict[str, Any]:
        """AMQP's basic properties."""
        return _with_columns(_load(self.row[6]), self.row[4], self.row[5])

    @property
    def headers(self) -> dict[str, Any]:
        """The application's headers."""
        return _load(self.row[7])

    @property
    def delivery_info(self) -> dict[str, Any]:
        """``consumer_tag``, ``delivery_tag``, ``redelivered``, ``exchange`` and ``routing_key``, as in AMQP."""
        return {
            "consumer_tag": self.consumer_tag,
            "delivery_tag": self.delivery_tag,
            "redelivered": bool(self.row[1]),
            "exchange": self.row[2],
            "routing_key": self.row[3],
        }

    @property
    def content_type(self) -> str | None:
        """The property of that name."""
        return self.properties.get("content_type")

    @property
    def content_encoding(self) -> str | None:
        """The property of that name."""
        return self.properties.get("content_encoding")


class Message(base.Message):
    """What Kombu's consumers get: acknowledges itself, and decodes its payload.

    Arguments:
        delivery: what came.
        channel: that it came by.
    """

    def __init__(self, delivery: Delivery, channel: Channel) -> None:
        properties = delivery.properties
        super().__init__(
            body=delivery.body,
            delivery_tag=delivery.delivery_tag,
            content_type=properties.get("content_type"),
            content_encoding=properties.get("content_encoding"),
            delivery_info=delivery.delivery_info,
            properties=properties,
            headers=delivery.headers,
            postencode="utf-8",
            channel=channel,
        )
