"""Any AMQP name as a Pub/Sub id, and back.

Pub/Sub takes 3 to 255 of ``A-Z a-z 0-9 - _ . ~ + %``, beginning with a letter and not with ``goog``
(https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names). AMQP takes any 255 bytes. So:

* A name that Pub/Sub takes stays as it is.
* Of any other, each byte of its UTF-8 that Pub/Sub does not take, and each ``%``, is written as ``%XX``.
* What then still begins wrongly, or is too short, gets ``x%%`` in front.
* What is too long is cut and ends in ``%%`` and 128 bits of the name's SHA-256.

``%%`` occurs in nothing else that is written here, and a legal name that looks like an escaped one is
escaped itself, so two names never share an id. An id that was not cut can be turned back.
"""

from __future__ import annotations

import hashlib
import re

MAX_ID = 255
"""Characters that an id may have."""

_LEGAL = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}\Z")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~+")
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")
_PREFIX = "x%%"
_QUEUE_PREFIX = "queue%%"
_HASH = 32


def to_id(name: str) -> str:
    """The id of the topic of exchange ``name``, or of the subscription of queue ``name``.

    Arguments:
        name: any string but the empty one.

    Raises:
        ValueError: when the name is empty or no Unicode text (a lone surrogate).
    """
    if _LEGAL.match(name) and not _looks_written_here(name):
        return name
    escaped = _escape(name)
    return _fitted(escaped if _LEGAL.match(escaped[:MAX_ID]) else _PREFIX + escaped, name)


def from_id(identifier: str) -> str | None:
    """The name behind an id; ``None`` when the id holds only a hash of it."""
    marked = identifier.startswith(_PREFIX)
    escaped = identifier[len(_PREFIX) :] if marked else identifier
    if (marked and "%%" in escaped) or re.search(rf"%%[0-9a-f]{{{_HASH}}}\Z", escaped):
        return None
    name = _unescape(escaped)
    return name if name is not None and to_id(name) == identifier else identifier


def queue_topic_id(queue: str) -> str:
    """The id of the topic that stands for the default exchange's binding to ``queue``.

    No exchange can have it, so an exchange and a queue of one name do not meet.

    Raises:
        ValueError: as :func:`to_id`.
    """
    return _fitted(_QUEUE_PREFIX + _escape(queue), queue)


def _escape(name: str) -> str:
    if not name:
        raise ValueError("an empty name has no Pub/Sub id")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in name.encode())


def _unescape(escaped: str) -> str | None:
    try:
        raw = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), escaped.encode("ascii"))
        return raw.decode()
    except UnicodeError:
        return None


def _looks_written_here(name: str) -> bool:
    """Whether some other name might be given this very id."""
    if "%%" in name:
        return True
    return "%" in name and (plain := _unescape(name)) is not None and _escape(plain) == name


def _fitted(identifier: str, name: str) -> str:
    if len(identifier) <= MAX_ID:
        return identifier
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH]
    # A cut may not leave half an escape, which with the hash's %% would read as another one.
    kept = re.sub(r"%[0-9A-F]?\Z", "", identifier[: MAX_ID - _HASH - 2])
    return f"{kept}%%{digest}"
