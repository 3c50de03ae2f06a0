"""A method whose texts cannot be read does not end the connection, for :mod:`kchat.transports.amqp.transport`.

py-amqp decodes every text in a method as UTF-8; what it cannot read it raises out of the loop. But RabbitMQ cuts its own
replies at 255 bytes, in the middle of a character, and returns a message under whatever routing key it had.
"""

from __future__ import annotations

from typing import Any

_IDS = 4
"""Bytes in front of a method's arguments: its class and its number."""

_FIXED = {"B": 2, "o": 1, "l": 4, "L": 8, "T": 8}
"""Bytes of the arguments other than texts, by py-amqp's letters for them."""


class LenientMethods:
    """For a py-amqp channel or connection: reads a method's arguments even if a text in them is not UTF-8."""

    _METHODS: Any

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """Hand a method over; py-amqp calls it."""
        try:
            super().dispatch_method(method_sig, payload, content)  # type: ignore[misc]  # py-amqp's
        except UnicodeDecodeError:
            readable_payload = readable(self._METHODS[method_sig].args or "", payload)
            if readable_payload == payload:  # it was not this text
                raise
            super().dispatch_method(method_sig, readable_payload, content)  # type: ignore[misc]  # py-amqp's


def readable(arguments: str, payload: bytes) -> bytes:
    """A method's payload with everything in its short strings that is not UTF-8 replaced by ``?``.

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
