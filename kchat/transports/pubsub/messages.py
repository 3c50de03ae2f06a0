"""AMQP messages as Pub/Sub messages, and back.

The data of a Pub/Sub message is the body itself. AMQP's basic properties (AMQP 0-9-1 section 1.8) are attributes of the
same names; application headers are attributes of theirs. A header whose value is not text is JSON under
``<name>;json``. A header that would be taken for something else (``content_type``, ``goog...``) stands behind
``header.``. One that is longer than an attribute may be (Celery's ``argsrepr`` is) is in parts, ``<name>;1of3`` and so on.
A message that something else published comes out as it is: known attributes are properties, all others
headers.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from amqp.exceptions import ContentTooLarge, PreconditionFailed
from kombu.message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REQUEST = 10_000_000
"""Bytes of a publish request, and so of the largest message with all its attributes.

https://cloud.google.com/pubsub/quotas#resource_limits, also for the limits below.
"""

MAX_ATTRIBUTES = 100
MAX_KEY_BYTES = 256
MAX_VALUE_BYTES = 1024
MAX_ORDERING_KEY_BYTES = 1024

ROUTING_KEY = "routing_key"
"""The attribute with the routing key, which a direct exchange's queues filter by."""

_TEXT_PROPERTIES = (
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
_NUMBER_PROPERTIES = ("delivery_mode", "priority", "timestamp")
_RESERVED = frozenset((*_TEXT_PROPERTIES, *_NUMBER_PROPERTIES, ROUTING_KEY))
_HEADER = "header."
_JSON = ";json"
_PART = re.compile(r"(.+);([1-9]\d?)of([1-9]\d?)\Z", re.DOTALL)


class Outgoing(NamedTuple):
    """A message to be published.

    Attributes:
        body: the data.
        attributes: text by text.
        ordering_key: messages of one key are delivered in the order in which they were published. Default: by the
            exchange, see :mod:`kchat.transports.pubsub`.
    """

    body: bytes
    attributes: dict[str, str]
    ordering_key: str | None = None


class Delivery:
    """A message that arrived: its body as the bytes that came, neither decoded nor decompressed.

    Kombu's consumers get :meth:`to_kombu` of it.
    """

    __slots__ = ("body", "channel", "delivery_info", "delivery_tag", "headers", "properties")

    def __init__(
        self,
        channel: Any,
        body: bytes,
        attributes: Mapping[str, str],
        delivery_tag: int,
        delivery_info: dict[str, Any],
    ) -> None:
        self.channel = channel
        self.body = body
        self.properties, self.headers = from_attributes(attributes)
        self.properties["application_headers"] = self.headers
        self.delivery_tag = delivery_tag
        self.delivery_info = delivery_info

    @property
    def came_at(self) -> float | None:
        """When it was published, by the service's clock, in UNIX seconds."""
        found = self.delivery_info.get("publish_time")
        return found if isinstance(found, float) else None

    @property
    def position(self) -> str | None:
        """The service's own id of it, and when it was published: an emulator that was restarted gives its ids again."""
        found, published = self.delivery_info.get("message_id"), self.came_at
        return f"{found}-{published!r}" if found and published is not None else None

    @property
    def content_type(self) -> str | None:
        """The property of that name."""
        found = self.properties.get("content_type")
        return found if isinstance(found, str) else None

    def to_kombu(self) -> Message:
        """The message as Kombu's consumers know it, which decode and decompress when they are asked to."""
        return Message(
            body=self.body,
            channel=self.channel,
            delivery_tag=self.delivery_tag,
            content_type=self.properties.get("content_type"),
            content_encoding=self.properties.get("content_encoding"),
            delivery_info=self.delivery_info,
            properties=self.properties,
            headers=self.headers,
        )


def to_attributes(properties: Mapping[str, Any], headers: Mapping[str, Any]) -> dict[str, str]:
    """Properties and headers as attributes. What is ``None``, and properties that AMQP does not know, are left out.

    Raises:
        amqp.exceptions.PreconditionFailed: Pub/Sub takes no such attributes; the text says what is wrong.
    """
    attributes: dict[str, str] = {}
    for name in (*_TEXT_PROPERTIES, *_NUMBER_PROPERTIES):
        value = properties.get(name)
        if value is not None:
            attributes[name] = str(int(value)) if name in _NUMBER_PROPERTIES else str(value)
    for name, value in headers.items():
        key = name
        if name in _RESERVED or name.startswith(("goog", _HEADER)):
            key = _HEADER + name
        if isinstance(value, str) and not name.endswith(_JSON) and not _PART.match(name):
            attributes.update(_in_parts(key, value))
        else:
            attributes.update(_in_parts(key + _JSON, _as_json(name, value)))
    if len(attributes) > MAX_ATTRIBUTES:
        raise PreconditionFailed(
            f"{len(attributes)} properties and headers: Pub/Sub takes {MAX_ATTRIBUTES} attributes of a message"
        )
    for key, text in attributes.items():
        if not key or _size(key) > MAX_KEY_BYTES:
            raise PreconditionFailed(f"header {key!r}: Pub/Sub takes names of 1 to {MAX_KEY_BYTES} bytes")
        if _size(text) > MAX_VALUE_BYTES:
            raise PreconditionFailed(
                f"property or header {key!r} has {_size(text)} bytes: Pub/Sub takes {MAX_VALUE_BYTES}"
            )
    return attributes


def _in_parts(key: str, text: str) -> dict[str, str]:
    """A header as one attribute, or as several where it is longer than Pub/Sub's limit."""
    if len(text) <= MAX_VALUE_BYTES // 4 or _size(text) <= MAX_VALUE_BYTES:
        return {key: text}
    parts, rest = [], text.encode("utf-8", "surrogatepass")
    while rest:
        end = min(MAX_VALUE_BYTES, len(rest))
        while end < len(rest) and rest[end] & 0xC0 == 0x80:  # a character stays whole
            end -= 1
        parts.append(rest[:end].decode("utf-8", "surrogatepass"))
        rest = rest[end:]
    if len(parts) >= MAX_ATTRIBUTES:
        raise PreconditionFailed(
            f"header {key!r} has {_size(text):,} bytes: Pub/Sub takes {MAX_ATTRIBUTES} attributes of {MAX_VALUE_BYTES:,}"
        )
    return {f"{key};{number}of{len(parts)}": part for number, part in enumerate(parts, 1)}


def _as_json(name: str, value: object) -> str:
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError) as exc:
        raise PreconditionFailed(f"header {name!r} cannot be an attribute: {exc}") from exc


def _size(text: str) -> int:
    # Few are longer than that, and counting the bytes costs.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def from_attributes(attributes: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes as properties and headers. Anyone may have written them: nothing in them is an error."""
    properties: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    for key, text in _joined(attributes).items():
        if key in _TEXT_PROPERTIES:
            properties[key] = text
        elif key in _NUMBER_PROPERTIES:
            if text.isascii() and text.isdigit() and len(text) < 20:
                properties[key] = int(text)
            else:
                headers[key] = text
        elif key != ROUTING_KEY:
            name = key.removeprefix(_HEADER)
            try:
                headers[name.removesuffix(_JSON)] = json.loads(text) if name.endswith(_JSON) else text
            except (ValueError, RecursionError):
                headers[name] = text
    return properties, headers


def _joined(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """The same with what is in parts put together; parts of which some are missing stay as they are."""
    parts = [found for key in attributes if (found := _PART.match(key))]
    if not parts:
        return attributes
    whole = dict(attributes)
    for found in parts:
        key, count = found[1], int(found[3])
        names = [f"{key};{number}of{count}" for number in range(1, count + 1)]
        if found[2] == "1" and key not in whole and all(name in whole for name in names):
            whole[key] = "".join(whole.pop(name) for name in names)
    return whole


def check_size(size: int, topic_size: int) -> None:
    """Raise ``ContentTooLarge`` for a message, in bytes of protobuf, that no request to a topic can hold."""
    if size + topic_size + 8 > MAX_REQUEST:
        raise ContentTooLarge(
            f"a message of {size:,} bytes with its properties is larger than the {MAX_REQUEST:,} that Pub/Sub takes"
        )


def check_ordering_key(key: str) -> None:
    """Raise ``PreconditionFailed`` for an ordering key, and so a fanout exchange's routing key, that is too long."""
    if len(key) > MAX_ORDERING_KEY_BYTES // 4 and _size(key) > MAX_ORDERING_KEY_BYTES:
        raise PreconditionFailed(f"routing key: Pub/Sub takes {MAX_ORDERING_KEY_BYTES} bytes as ordering key")
