"""What travels on a Redis channel: Kombu's envelope, or any other bytes that were published."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

from kombu.compression import decompress
from kombu.serialization import loads as decode
from kombu.transport import virtual
from kombu.utils.json import loads

#: What Kombu wraps a body into; see ``prepare_message`` of its virtual channel.
_KEYS: Final = {"body", "content-type", "content-encoding", "headers", "properties"}

#: What Kombu's JSON hooks raise on a value that is not of the type that it says.
_NOT_ITS_TYPE: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)

_LARGE: Final = 1 << 20
_MOST_VALUES: Final = 100_000
"""Above this size, in bytes, JSON is checked before it is parsed: values take many times their size, and an emoji makes all
of a text four times as large. Kombu's envelopes are ASCII, with a handful of values; bodies are in base 64."""


def unwrap(data: bytes) -> dict[str, Any]:
    """What was published, with its body as bytes: Kombu's envelope, or a bare one around any other body."""
    return _kombus(data) or {
        "body": data,
        "content-type": None,
        "content-encoding": None,
        "headers": {},
        "properties": {"delivery_info": {}},
    }


def _kombus(data: bytes) -> dict[str, Any] | None:
    # Kombu's serialiser leaves no spaces before the brace; a foreign body is most often none, and need not be parsed.
    if not data.startswith(b"{"):
        return None
    if len(data) > _LARGE and (not data.isascii() or sum(map(data.count, (b",", b"[", b"{"))) > _MOST_VALUES):
        return None
    try:
        envelope = loads(data.decode())
        if not isinstance(envelope, dict) or not envelope.keys() >= _KEYS:
            return None
        properties = envelope["properties"]
        # Every publisher of Kombu's sets it, and hardly anybody else.
        if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
            return None
        info, headers = properties.setdefault("delivery_info", {}), envelope["headers"]
        if not isinstance(info, dict) or not isinstance(headers, dict | None):
            return None
        encoding = properties.pop("body_encoding", None)
        body = envelope["body"]
        if body is None:
            envelope["body"] = b""
        elif encoding == "base64":
            envelope["body"] = b64decode(body, validate=True)
        elif isinstance(body, str):
            envelope["body"] = body.encode("utf-8", "surrogatepass")
        else:
            return None
    except _NOT_ITS_TYPE:
        return None
    envelope["headers"] = headers or {}
    return envelope


class Message(virtual.Message):
    """A message whose body is what came: Kombu's inflates one with a ``compression`` header, however large, on arrival.

    Arguments:
        payload: the envelope.
        channel: that it came by.
    """

    body: bytes

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        payload = {**payload, "body": payload.get("body") or ""}
        super().__init__({**payload, "headers": {}}, channel=channel, **kwargs)
        self._raw = payload
        self.headers = payload.get("headers") or {}

    def _decode(self) -> Any:
        # A caller that asks for the decoded payload wants it decompressed as well.
        compression = self.headers.get("compression")
        body = decompress(self.body, compression) if compression else self.body
        return decode(body, self.content_type, self.content_encoding, accept=self.accept)

    def serializable(self) -> dict[str, Any]:
        """What goes back to the server when it is requeued."""
        # Kombu takes the compression's name away, since for it the body is no longer compressed.
        return {**super().serializable(), "headers": dict(self.headers)}
