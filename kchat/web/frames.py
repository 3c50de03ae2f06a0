"""What a page is told: events as JSON, and as frames of a server-sent event stream.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from kchat.display.escaping import display_name
from kchat.display.names import unverified_suffix
from kchat.message import rfc3339
from kchat.message.truncation import truncate
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.message import Message

HEARTBEAT = b": here\n\n"
"""A comment, which pages ignore, and by which proxies see that the connection is in use."""


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


class Position(NamedTuple):
    """Where a stream is: the event's ``id``, which comes back in ``Last-Event-ID``.

    Attributes:
        epoch: of one run of the server.
        number: of the event in this run, over all rooms.
        milliseconds: when the message arrived, UNIX time.
        digest: of the message, by which it is found after the server was started again.
    """

    epoch: str
    number: int
    milliseconds: int
    digest: str

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}.{self.milliseconds}.{self.digest}"

    @classmethod
    def parse(cls, text: str | None) -> Position | None:
        """What the browser sends back; None for what is none, which anybody can send."""
        parts = (text or "")[:100].split(".")
        if len(parts) != 4 or not (parts[1].isascii() and parts[1].isdigit()):
            return None
        if not (parts[2].isascii() and parts[2].isdigit()):
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]), parts[3])


def digest(message: Message) -> str:
    """The same for a message each time that it is read, and no other's."""
    return blake2b(message.body, digest_size=9).hexdigest()


def frame(event: str, value: object, position: Position | None = None) -> bytes:
    """One event. JSON has no line ends in it, which would end the frame."""
    head = f"event: {event}\n" if position is None else f"event: {event}\nid: {position}\n"
    return head.encode() + b"data: " + as_json(value) + b"\n\n"
