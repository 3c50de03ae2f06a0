"""What arrives over AMQP and cannot be read does not end the connection, for :mod:`kchat.transports.amqp`.

py-amqp decodes every text in a frame as UTF-8, and reads a message's properties before anybody can look at it; what it
cannot read it raises out of the loop. But a routing key or property of any bytes can be sent by whoever may publish, and
RabbitMQ cuts its own replies at 255 bytes, in the middle of a character.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from amqp.exceptions import AMQPError
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic

_HEADER_FRAME = 2
_BEFORE_PROPERTIES = 12
"""Bytes of a content header in front of the properties' flags (AMQP 0-9-1 section 4.2.6.1): class, weight, body size."""

_NO_PROPERTIES = b"\x00\x00"
_IDS = 4
"""Bytes in front of a method's arguments: its class and its number."""

_FIXED = {"B": 2, "o": 1, "l": 4, "L": 8, "T": 8}
"""Bytes of the arguments that are no text, by py-amqp's letters for them."""

_UNREADABLE = (
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    RecursionError,
    OSError,
    struct.error,
    AMQPError,
)


class LenientMethods:
    """For a py-amqp channel or connection: reads a method's arguments also where a text in them is no UTF-8."""

    _METHODS: Any

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """Hand a method over; py-amqp calls it."""
        try:
            super().dispatch_method(method_sig, payload, content)  # type: ignore[misc]  # py-amqp's
        except UnicodeDecodeError:
            mended = readable(self._METHODS[method_sig].args or "", payload)
            if mended == payload:  # it was not this text
                raise
            super().dispatch_method(method_sig, mended, content)  # type: ignore[misc]  # py-amqp's


def readable(arguments: str, payload: bytes) -> bytes:
    """A method's payload with what is no UTF-8 in its short strings replaced by ``?``.

    Arguments:
        arguments: the arguments' kinds, in py-amqp's letters.
        payload: of the method's frame.
    """
    pieces, start, bits = [payload[:_IDS]], _IDS, 0
    for kind in arguments:
        if kind == "b":  # eight of them share a byte
            size = 0 if bits % 8 else 1
            bits += 1
        else:
            bits = 0
            if kind == "s":
                size = 1 + payload[start]
            elif kind in _FIXED:
                size = _FIXED[kind]
            else:  # long strings and tables: of the broker's own, when the connection begins
                break
        piece = payload[start : start + size]
        pieces.append(_text(piece) if kind == "s" else piece)
        start += size
    return b"".join(pieces) + payload[start:]


def _text(piece: bytes) -> bytes:
    """A short string, its length in front, as UTF-8."""
    text = piece[1:].decode("utf-8", "replace").replace("\ufffd", "?").encode()
    return bytes((len(text),)) + text


def lenient_frames(connection: Any, callback: Callable[..., None]) -> Callable[[Any], Any]:
    """py-amqp's frame handler; a message with properties that cannot be read comes without any.

    Arguments:
        connection: whose frames they are.
        callback: takes methods.
    """
    handle: Callable[[Any], Any] = frame_handler(connection, callback)

    def on_frame(frame: tuple[int, int, bytes]) -> Any:
        kind, channel, payload = frame
        try:
            return handle(frame)
        except _UNREADABLE:
            if kind != _HEADER_FRAME or _can_be_read(payload):
                raise
        # Without any, nothing in them is believed either.
        return handle((kind, channel, payload[:_BEFORE_PROPERTIES] + _NO_PROPERTIES))

    return on_frame


def _can_be_read(payload: bytes) -> bool:
    try:
        decode_properties_basic(payload, _BEFORE_PROPERTIES)
    except _UNREADABLE:
        return False
    return True
