"""What a page is told: events as JSON, and as frames of a server-sent event stream.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kchat.display.escaping import display_name
from kchat.display.names import unverified_suffix
from kchat.message import rfc3339
from kchat.message.truncation import truncate
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.message import Message

HEARTBEAT = b": here\nevent: here\ndata: {}\n\n"
"""A comment, by which proxies see that the connection is in use, and an event: scripts in a browser see no comments."""


def as_json(value: object) -> bytes:
    """JSON without spaces, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def as_object(message: Message, room: str, *, mark_unverified: bool) -> dict[str, Any]:
    """A message as pages and programs get it.

    ``username`` and ``text`` are as received; ``name``, ``mark`` and ``shown`` are safe to show as text: ``shown`` is there
    only where it differs from ``text``.

    Arguments:
        message: the message.
        room: its room.
        mark_unverified: whether a name that the broker has not checked is marked.
    """
    text = truncate(message.text)
    shown = escape_unprintable(text, keep_newlines=True, keep_tabs=True)
    found: dict[str, Any] = {
        "room": room,
        "id": message.id,
        "username": message.username,
        "account": message.account,
        "verified": message.verified,
        "name": display_name(message.username),
        "mark": unverified_suffix(message.username, message.account, mark_unverified=mark_unverified),
        "sent_at": None if message.sent_at is None else rfc3339.text(message.sent_at),
        "text": text,
    }
    if shown != text:
        found["shown"] = shown
    return found


def frame(event: str, value: object, *, retry: int | None = None) -> bytes:
    """One event. JSON has no line ends in it, which would end the frame.

    Arguments:
        event: its name.
        value: its data, as JSON.
        retry: milliseconds after which a page whose stream ends comes back. Default: as it did before.
    """
    head = f"event: {event}\n" if retry is None else f"retry: {retry}\nevent: {event}\n"
    return head.encode() + tail(value)


def tail(value: object) -> bytes:
    """The end of a frame, which all streams share."""
    return b"data: " + as_json(value) + b"\n\n"


def with_id(event: str, position: str, end: bytes) -> bytes:
    """A frame with the position that the stream is at behind it; ``end`` is of :func:`tail`."""
    return f"event: {event}\nid: {position}\n".encode() + end
