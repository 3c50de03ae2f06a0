"""Messages that arrive over AMQP: put together from frames, and read as far as is asked.

py-amqp reads all of a message's properties, and goes through a method's arguments one by one, before anybody can look at it.
A subscriber wants a delivery tag, an account and a body: what else there is stays as it came until somebody asks. And what
cannot be read ends nothing: anyone who can publish can send properties and routing keys of any bytes.

Frames: AMQP 0-9-1 section 4.2.3; a content's header: 4.2.6.1; ``basic.deliver``: 1.8.3.9.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Container
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import AMQPError, FrameSyntaxError, UnexpectedFrame
from amqp.serialization import decode_properties_basic

from kchat.message.bridged import HEADER as BRIDGED

from .bounds import KEPT_BODY, LARGEST_BODY, UNREADABLE, not_what_it_says
from .framing import NUMBER_HEADER

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_WITH_CONTENT = frozenset((spec.Basic.Deliver, spec.Basic.Return, spec.Basic.GetOk))

_ids = struct.Struct(">HH").unpack_from
_ids_size = 4
_tag_and_flag = struct.Struct(">Q?").unpack_from
_body_size = struct.Struct(">4xQ").unpack_from

_PROPERTIES_AT = 12
"""Where in a content header the properties begin, with two bytes of flags: behind class, weight and the body's size."""

_SHORT, _TABLE = -1, -4
_BEFORE_USER_ID = (
    (0x8000, _SHORT),  # content_type
    (0x4000, _SHORT),  # content_encoding
    (0x2000, _TABLE),  # headers
    (0x1000, 1),  # delivery_mode
    (0x0800, 1),  # priority
    (0x0400, _SHORT),  # correlation_id
    (0x0200, _SHORT),  # reply_to
    (0x0100, _SHORT),  # expiration
    (0x0080, _SHORT),  # message_id
    (0x0040, 8),  # timestamp
    (0x0020, _SHORT),  # type
)
"""Flags of the properties in front of ``user_id``, and their bytes; negative: the bytes of the length in front of them."""

_CONTENT_TYPE, _USER_ID, _MESSAGE_ID = 0x8000, 0x0010, 0x0080

_HEADERS_HIGH = 0x20
"""The flag of ``headers``, in the first of the two bytes of flags."""

_MORE_FLAGS = 0x01
"""In the second byte of flags: two more bytes of them follow, which AMQP 0-9-1 has no use for."""

_REPUBLISHED = re.compile(
    rb"x-(?:(?:first-|last-)?death|opt-deaths|received-from|(?:opt-)?shovel|delay)|" + BRIDGED.encode()
).search
"""Headers by which RabbitMQ says that it published a message again by itself. ``user_id`` is checked when a client
publishes, and not then: for dead letters (https://www.rabbitmq.com/docs/dlx#effects), federation
(https://www.rabbitmq.com/docs/federated-exchanges#details), shovels (``add-forward-headers``) and the plug-in for delayed
messages. And the one by which a bridge says so, whose account it bears."""
_NUMBER = NUMBER_HEADER.encode()
_LONGEST_NUMBER = 64
_LONGEST_TEXT = 4096

_UNREADABLE = (*UNREADABLE, OSError, AMQPError)


class Incoming(amqp.Message):
    """A message that arrived, whose properties are read when they are asked for."""

    position = None
    """A queue gives none, and a header that says so is anybody's. A stream's: :meth:`.history.HistoryPolicy.position_of`."""

    def __init__(self, method: tuple[int, int], arguments: bytes) -> None:
        # Without py-amqp's own, which sets what belongs to its way of putting messages together.
        self.frame_method = method
        self.frame_args = arguments
        self.channel: Any = None
        self.delivery_info: dict[str, Any] | None = None
        self.body = b""
        self.missing = 0
        """Bytes of the body that have not come yet."""
        self._header: bytes | None = None
        self._kept = bytearray()
        self._properties: dict[str, Any] | None = None

    def take(self, kind: int, payload: bytes) -> None:
        """Take the next of its frames.

        Raises:
            amqp.exceptions.UnexpectedFrame: it is not a frame of a content, or another comes first.
            amqp.exceptions.FrameSyntaxError: the body has a size that no broker takes, or goes on beyond it.
        """
        if kind == _BODY and self._header is not None:
            self.missing -= len(payload)
            if self.missing < 0:
                raise FrameSyntaxError("a message is longer than it says")
            if not self.missing and not self._kept:
                self.body = payload
                return
            if (room := KEPT_BODY - len(self._kept)) > 0:  # the rest of a huge one is read, and not kept
                self._kept += payload[:room]
            if not self.missing:
                self.body, self._kept = bytes(self._kept), bytearray()
        elif kind == _HEADER and self._header is None and len(payload) >= _PROPERTIES_AT + 2:
            self._header = payload
            (self.missing,) = _body_size(payload)
            if self.missing > LARGEST_BODY:
                raise FrameSyntaxError(f"a message of {self.missing:,} bytes; no broker takes that")
        else:
            raise UnexpectedFrame(f"a frame of type {kind} within a message")

    @property
    def header(self) -> bytes:
        """The content header, as it came."""
        return self._header or b""

    @property
    def properties_size(self) -> int:
        """The bytes of the properties and their flags."""
        return max(0, len(self.header) - _PROPERTIES_AT)

    @property
    def redelivered(self) -> bool:
        """Whether it was delivered before."""
        return bool(self.delivery_info and self.delivery_info["redelivered"])

    @property
    def properties(self) -> dict[str, Any]:
        """By py-amqp's names. None at all where one of them cannot be read: nothing in them is believed then."""
        if self._properties is None:
            try:
                self._properties = decode_properties_basic(self._header, _PROPERTIES_AT)[0]
            except _UNREADABLE:
                self._properties = {}
        return self._properties

    @property
    def number(self) -> tuple[str, int] | None:
        """Its sender's stream, and its place in that, where the sender gives numbers (:data:`.framing.NUMBER_HEADER`)."""
        header = self._header
        # What was delivered to another queue before comes without what belongs in front of it.
        if header is None or b"x-death" in header:
            return None
        value = self._header_text(_NUMBER, _LONGEST_NUMBER)
        if value is None:
            return None
        stream, _, place = value.partition(b".")
        if not place.isdigit() or len(place) > 15:
            return None
        return stream.decode("latin-1"), int(place)

    def text_header(self, name: str) -> str | None:
        """The header of that name, if it is a text, found without reading the others; ``None`` if it is not there."""
        value = self._header_text(name.encode(), _LONGEST_TEXT)
        return None if value is None else value.decode("utf-8", "replace")

    def _header_text(self, name: bytes, most: int) -> bytes | None:
        """The first ``most`` bytes of a header that is a long string (AMQP 0-9-1 section 4.2.5.5)."""
        header = self._header
        if header is None or not header[_PROPERTIES_AT] & _HEADERS_HIGH:
            return None
        at = header.find(bytes((len(name),)) + name + b"S", _PROPERTIES_AT)
        if at < 0:
            return None
        at += len(name) + 6
        return header[at : at + min(int.from_bytes(header[at - 4 : at], "big"), most)]

    @property
    def user_id(self) -> str | None:
        """The property of that name, found without reading those in front of it; ``None`` if it is not there."""
        return self._text(_USER_ID)

    @property
    def message_id(self) -> str | None:
        """The property of that name, likewise."""
        return self._text(_MESSAGE_ID)

    @property
    def content_type(self) -> str | None:
        """The property of that name, likewise."""
        return self._text(_CONTENT_TYPE)

    def _text(self, wanted: int) -> str | None:
        header, at = self._header, _PROPERTIES_AT + 2
        if header is None:
            return None
        flags = header[at - 2] << 8 | header[at - 1]
        if not flags & wanted or flags & _MORE_FLAGS:
            return None
        try:
            for flag, size in _BEFORE_USER_ID:
                if flag == wanted:
                    break
                if not flags & flag:
                    continue
                if size == _SHORT:
                    at += 1 + header[at]
                elif size == _TABLE:
                    at += 4 + int.from_bytes(header[at : at + 4], "big")
                else:
                    at += size
            end = at + 1 + header[at]
            return header[at + 1 : end].decode() if end <= len(header) else None
        except (IndexError, UnicodeDecodeError):
            return None

    def account(self, exchange: str) -> str | None:
        """The account that published it straight to an exchange, as a broker that checks ``user_id`` knows; else ``None``.

        RabbitMQ checks ``user_id`` when a client publishes. What another exchange passed on (a binding between exchanges, an
        alternate exchange) bears that exchange's name; what the broker published again bears a header that says so.
        Anybody may send such a header, and only makes their own message an unverified one.
        """
        header, info = self._header, self.delivery_info
        if header is None or info is None or info["exchange"] != exchange:
            return None
        # Found anywhere in the properties: a name in another place than the headers' is the publisher's own doing too.
        if header[_PROPERTIES_AT] & _HEADERS_HIGH and _REPUBLISHED(header, _PROPERTIES_AT):
            return None
        return self.user_id


def incoming_frames(
    connection: Any, callback: Callable[..., None]
) -> Callable[[tuple[int, int, bytes]], bool]:
    """What py-amqp's connection takes as ``frame_handler``: puts methods and their contents together.

    The callback takes a channel's number, a method by its class and number, its payload, and its content or ``None``. What
    this returns takes a frame, and returns whether a method was complete with it.
    """
    begun: dict[int, Incoming] = {}

    def on_frame(frame: tuple[int, int, bytes]) -> bool:
        kind, channel, payload = frame
        connection.bytes_recv += 1
        if kind == _HEARTBEAT:
            return False
        message = begun.get(channel)
        if message is None:
            if kind != _METHOD:
                raise UnexpectedFrame(f"a frame of type {kind} without a method in front of it")
            if len(payload) < _ids_size:
                raise FrameSyntaxError("a method without class and number")
            method = _ids(payload)
            if method in _WITH_CONTENT:
                if channel not in (connection.channels or ()):
                    raise UnexpectedFrame(f"a message on channel {channel}, which is not open")
                begun[channel] = Incoming(method, payload)
                return False
            callback(channel, method, payload, None)
            return True
        message.take(kind, payload)
        if message.missing > 0:
            return False
        del begun[channel]
        callback(channel, message.frame_method, message.frame_args, message)
        return True

    return on_frame


class QuickDelivery:
    """For a py-amqp channel: takes ``basic.deliver`` apart without going through its arguments one by one."""

    is_closing: bool
    auto_decode: bool
    _ALLOWED_METHODS_WHEN_CLOSING: Container[tuple[int, int]]
    _on_basic_deliver: Callable[..., None]

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """Hand a method over; py-amqp calls it."""
        if self.is_closing and method_sig not in self._ALLOWED_METHODS_WHEN_CLOSING:
            return  # py-amqp would log each, and a log that nobody has set up goes to standard error
        if method_sig != spec.Basic.Deliver or self.auto_decode:
            super().dispatch_method(method_sig, payload, content)  # type: ignore[misc]  # py-amqp's channel is the other base
            return
        # Behind class and number: consumer tag, delivery tag, redelivered, exchange, routing key.
        try:
            tag = 5 + payload[4]
            number, redelivered = _tag_and_flag(payload, tag)
            exchange = tag + 10
            routing_key = exchange + payload[tag + 9] + 1
        except (IndexError, struct.error) as error:
            raise not_what_it_says(method_sig) from error
        self._on_basic_deliver(
            payload[5:tag].decode("utf-8", "replace"),
            number,
            redelivered,
            payload[exchange : routing_key - 1].decode("utf-8", "replace"),
            payload[routing_key:].decode("utf-8", "replace"),
            content,
        )
