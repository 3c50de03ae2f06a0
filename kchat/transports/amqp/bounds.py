"""How much a broker may send at once over AMQP, and what it may say, for :mod:`kchat.transports.amqp.transport`.

Nothing is believed of what answers at the port before the password is checked, and little after: a frame's size is
four bytes that anybody can write. AMQP 0-9-1 sections 4.2.3 (frames) and 1.4.2.6 (``connection.tune``).

A text that is not UTF-8 is no fault: RabbitMQ cuts its own replies at 255 bytes, in the middle of a character, and returns a
message under whatever routing key it had. py-amqp would raise that out of its loop.
"""

from __future__ import annotations

import struct
from typing import Any

from amqp import spec
from amqp.exceptions import AMQPError, FrameSyntaxError, UnexpectedFrame
from amqp.serialization import loads

FRAME_MAX = 128 * 1024
"""Bytes of the largest frame that this side takes, its header included: RabbitMQ's default, and the most that is agreed."""

FRAME_MIN = 4096
"""... and what every peer has to take: AMQP 0-9-1, ``frame-min-size``."""

LARGEST_BODY = 512 * 1024 * 1024
"""Bytes of the largest message that RabbitMQ can be told to take (https://www.rabbitmq.com/docs/configure#config-items)."""

KEPT_BODY = 16 * 1024 * 1024
"""Bytes of a body that are kept, which is what RabbitMQ takes as installed. Nothing is shown of a larger one."""

UNREADABLE = (
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    struct.error,
)
"""What parsing raises on a malformed method."""

_OTHERS = (spec.Connection.Blocked, spec.Connection.Unblocked, spec.Connection.Close)
"""Methods whose errors are the program's, or the broker's: what they raise is passed on."""

_IDS = 4
"""Bytes in front of a method's arguments: its class and its number."""

_FIXED = {"B": 2, "o": 1, "l": 4, "L": 8, "T": 8}
"""Bytes of the arguments other than texts, by py-amqp's letters for them."""


class CheckedMethods:
    """For a py-amqp channel or connection: a method is read before it is acted on, its texts as far as they are UTF-8."""

    _METHODS: Any

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """Hand a method over; py-amqp calls it.

        Raises:
            amqp.exceptions.FrameSyntaxError: it is malformed.
        """
        try:
            arguments = self._METHODS[method_sig].args or ""
            payload = readable(arguments, payload)
            loads(arguments, payload, _IDS)
        except (*UNREADABLE, OSError, AMQPError) as error:
            raise not_what_it_says(method_sig) from error
        super().dispatch_method(method_sig, payload, content)  # type: ignore[misc]  # py-amqp's


class BoundedConnection(CheckedMethods):
    """For a py-amqp connection: what a broker says about itself is checked, and its limits are within ours."""

    channels: Any
    frame_max: int
    transport: Any

    def on_inbound_method(self, channel_id: int, method_sig: Any, payload: bytes, content: Any) -> Any:
        """Hand a method to its channel, which exists; py-amqp calls it."""
        if self.channels is not None and channel_id not in self.channels:
            raise UnexpectedFrame(f"a method on channel {channel_id}, which is not open")
        return super().on_inbound_method(channel_id, method_sig, payload, content)  # type: ignore[misc]  # py-amqp's

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """As its base; what py-amqp's handshake cannot use is malformed, too."""
        try:
            super().dispatch_method(method_sig, payload, content)
        except UNREADABLE as error:
            if method_sig in _OTHERS:
                raise
            raise not_what_it_says(method_sig) from error

    def _on_tune(self, channel_max: int, frame_max: int, server_heartbeat: int, argsig: str = "BlB") -> None:
        if frame_max and frame_max < FRAME_MIN:
            raise FrameSyntaxError(
                f"the broker takes frames of {frame_max} bytes; AMQP's smallest are {FRAME_MIN}"
            )
        # 0 is "no limit". py-amqp would take whatever is asked for, and makes a buffer of that size.
        agreed = min(frame_max or FRAME_MAX, self.frame_max)
        super()._on_tune(channel_max, agreed, server_heartbeat, argsig)  # type: ignore[misc]  # py-amqp's
        self.transport.frame_max = agreed


def not_what_it_says(method_sig: tuple[int, int]) -> FrameSyntaxError:
    """A malformed method's error."""
    return FrameSyntaxError(f"the method {method_sig[0]}.{method_sig[1]} cannot be read")


def readable(arguments: str, payload: bytes) -> bytes:
    """A method's payload with what is not UTF-8 in its short strings replaced by ``?``; arguments in py-amqp's letters."""
    if "s" not in arguments:
        return payload
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
