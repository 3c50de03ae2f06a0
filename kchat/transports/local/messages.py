"""A message on its way out, as it is delivered, and as Kombu's :class:`~kombu.Message`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final

from kombu.transport import base
from kombu.utils.json import dumps as dump_any
from kombu.utils.json import loads as load_any

if TYPE_CHECKING:
    from .channel import Channel
    from .queues import SharedQueue

#: The columns of a delivery, in the order of :data:`Row`; ``{held}`` and so on come from the kind of queue.
COLUMNS = (
    "{held}, {redelivered}, m.exchange, m.routing_key, m.properties, {expires_at},"
    # Looking at the kind and length of a value reads none of it.
    " CASE WHEN typeof(m.body) = 'blob' AND length(m.body) <= {most} THEN m.body END, m.seq, m.published_at"
)

#: ``(held, redelivered, exchange, routing_key, properties, expires_at, body, seq, published_at)``.
#: ``held`` is the ``queued.id`` that an acknowledgement removes; below 0, the ``seq`` of history with its sign
#: turned, of which an acknowledgement has nothing to remove.
Row = tuple[int, int, str, str, str, "float | None", bytes, int, float]

#: Replaces a body that is over the reader's limit, or is not bytes: no message is missed silently.
_UNREADABLE = b"(kchat: a message whose body is too large to be read here, or damaged)"

PROPERTIES: Final = 4
EXPIRES_AT: Final = 5
BODY: Final = 6
_SEQ: Final = 7
_PUBLISHED_AT: Final = 8

#: The property that py-amqp has the application's headers in.
_HEADERS = "application_headers"

#: What stands before JSON with Kombu's own forms (bytes, times, decimals, UUIDs) in it.
_KOMBU_JSON = "kombu:"


class Outgoing:
    """A message as :meth:`.channel.Channel.prepare_message` makes it; it owns the properties that it is given."""

    __slots__ = ("body", "message_id", "rest", "timestamp")

    def __init__(self, body: bytes | str, properties: dict[str, Any], headers: dict[str, Any] | None) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        # The two properties that differ from message to message are kept apart; the rest is mostly the same
        # all the time, and then need not be encoded again.
        self.message_id: str | None = None
        self.timestamp: int | None = None
        if type(properties.get("message_id")) is str:
            self.message_id = properties.pop("message_id")
        if type(properties.get("timestamp")) is int:
            self.timestamp = properties.pop("timestamp")
        if headers:
            properties[_HEADERS] = headers
        self.rest = properties

    @property
    def properties(self) -> dict[str, Any]:
        """All basic properties, as they will be delivered."""
        properties = dict(self.rest)
        if self.message_id is not None:
            properties["message_id"] = self.message_id
        if self.timestamp is not None:
            properties["timestamp"] = self.timestamp
        return properties


class Encoder:
    """Writes a message's properties as text: JSON; where that has no form for a value, Kombu's, and marked so.

    Remembers what it wrote last: encoding the same properties for each message took as long as all else in
    publishing but SQLite.
    """

    def __init__(self) -> None:
        self._rest: dict[str, Any] = {}
        self._beginning = "{"

    def encode(self, message: Outgoing) -> str:
        """The properties' text."""
        rest, identifier, timestamp = message.rest, message.message_id, message.timestamp
        if rest != self._rest and not self._remember(rest):
            return _dump(message.properties)
        text = self._beginning
        if identifier is not None:
            text += f'"message_id":{encode_basestring_ascii(identifier)},'
        if timestamp is not None:
            text += f'"timestamp":{timestamp},'
        return text.rstrip(",") + "}"

    def _remember(self, rest: dict[str, Any]) -> bool:
        # Only what cannot change behind our back, and is equal only to what is written the same.
        if any(value is not None and type(value) not in (str, int) for value in rest.values()):
            return False
        self._rest = rest
        self._beginning = json.dumps(rest, separators=(",", ":"))[:-1] + ("," if rest else "")
        return True


def _dump(properties: dict[str, Any]) -> str:
    try:
        return json.dumps(properties, separators=(",", ":"))
    except TypeError:
        return _KOMBU_JSON + str(dump_any(properties))


def _load(text: str) -> dict[str, Any]:
    """The properties; empty if the text, which anybody may have written, is not valid."""
    try:
        loaded = load_any(text[len(_KOMBU_JSON) :]) if text.startswith(_KOMBU_JSON) else json.loads(text)
        properties = dict(loaded)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError):
        return {}
    if not isinstance(properties.get(_HEADERS, {}), dict):
        del properties[_HEADERS]
    return properties


def sound(row: tuple[Any, ...]) -> Row:
    """The row, with harmless values where there are some of other kinds than kchat writes."""
    held, redelivered, exchange, routing_key, properties, expires_at, body, seq, published_at = row
    if (
        type(body) is bytes
        and type(properties) is str
        and (expires_at is None or type(expires_at) is float)
        and type(redelivered) is int
        and type(exchange) is str
        and type(routing_key) is str
        and type(published_at) is float
    ):
        return row
    return (
        held,
        1 if redelivered else 0,
        exchange if isinstance(exchange, str) else "",
        routing_key if isinstance(routing_key, str) else "",
        properties if isinstance(properties, str) else "{}",
        expires_at if isinstance(expires_at, float) else None,
        body if isinstance(body, bytes) else _UNREADABLE,
        seq,
        published_at if isinstance(published_at, float) else 0.0,
    )


@dataclass(slots=True, eq=False, repr=False)
class Delivery:
    """A message as a consumer's callback gets it: the row, and what is read from it when asked for.

    Attributes:
        channel: that it came by.
        delivery_tag: what to acknowledge, from 1 on, counted by channel.
        consumer_tag: of the consumer; empty for ``basic_get``.
        queue: that it came from.
        row: all that the file has of it.
    """

    channel: Channel
    delivery_tag: int
    consumer_tag: str
    queue: SharedQueue
    row: Row
    _properties: dict[str, Any] | None = None

    @property
    def body(self) -> bytes:
        """As it was published."""
        return self.row[BODY]

    @property
    def properties(self) -> dict[str, Any]:
        """AMQP's basic properties; the headers are among them as ``application_headers``, if there are any."""
        properties = self._properties
        if properties is None:
            properties = self._properties = _load(self.row[PROPERTIES])
        return properties

    @property
    def headers(self) -> dict[str, Any]:
        """The application's headers."""
        headers: dict[str, Any] = self.properties.get(_HEADERS) or {}
        return headers

    @property
    def redelivered(self) -> bool:
        """Whether it was delivered before."""
        return bool(self.row[1])

    @property
    def came_at(self) -> float | None:
        """When it came to the room, by the room's clock, in UNIX seconds; it is looked for in the file."""
        return self.queue.came_at(self.row)

    @property
    def position(self) -> str:
        """Its number in the log, and when it was published: a file that was made anew begins to count again."""
        return f"{self.row[_SEQ]}-{self.row[_PUBLISHED_AT]!r}"

    @property
    def delivery_info(self) -> dict[str, Any]:
        """``consumer_tag``, ``delivery_tag``, ``redelivered``, ``exchange`` and ``routing_key``, as in AMQP."""
        return {
            "consumer_tag": self.consumer_tag,
            "delivery_tag": self.delivery_tag,
            "redelivered": self.redelivered,
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
    """What Kombu's consumers get: acknowledges itself, and decodes its payload."""

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
