"""What the endpoints take and give, as JSON Schema (2020-12), which OpenAPI 3.1 uses as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kchat.web.options import Limits

Schema = dict[str, Any]

MESSAGE_ID = "^[0-9A-Za-z-]{8,64}$"


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, optional: tuple[str, ...] = (), description: str = "") -> Schema:
    found: Schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }
    return found | ({"description": description} if description else {})


def _text(description: str, *, nullable: bool = False, **more: Any) -> Schema:
    return {"type": ["string", "null"] if nullable else "string", "description": description, **more}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


_ROOM = _text("The room's name.", minLength=1)


def schemas(limits: Limits) -> dict[str, Schema]:
    """All of them by name, those of events last.

    Arguments:
        limits: the server's, which the schemas name.
    """
    return {**_session(limits), **_messages(limits), **_others(), **_events()}


def _session(limits: Limits) -> dict[str, Schema]:
    room = _object(
        {
            "name": _ROOM,
            "history": _flag("Whether the room itself keeps messages."),
            "connected": _flag("Whether the server can read the room now."),
            "people": {
                "description": "Who is here; null for one who may not read.",
                "oneOf": [ref("People"), {"type": "null"}],
            },
        }
    )
    return {
        "Session": _object(
            {
                "username": _text(
                    "The name in what the caller sends; empty for one who reads without a link."
                ),
                "account": _text(
                    "The caller's account at the broker; null for the host's own.", nullable=True
                ),
                "may_read": _flag("Whether the caller sees messages."),
                "may_send": _flag("Whether the caller can send messages."),
                "until": _text("When the invitation ends, RFC 3339, UTC; null for never.", nullable=True),
                "rooms": {"type": "array", "items": room},
                "limits": _object(
                    {
                        "message_bytes": _count(
                            f"Maximum size of a text in UTF-8: {limits.message_bytes} bytes."
                        )
                    }
                ),
            },
            description="Who the caller is, and what is open to it.",
        ),
        "Link": _object(
            {
                "secret": _text("What stands after the # of the link."),
                "browser": _text(
                    "A random text of the browser's own, by which it can repeat the exchange for ten minutes if the answer"
                    " was lost on its way."
                ),
            },
            ("browser",),
        ),
        "DeviceLink": _object(
            {
                "link": _text("Opens the page once, as the same guest."),
                "secret": _text("What stands after its #."),
                "until": _text("Until when it can be opened, RFC 3339, UTC."),
            }
        ),
    }


def _messages(limits: Limits) -> dict[str, Schema]:
    message = {
        "room": _ROOM,
        "id": _text("The sender's id of the message; null if it has none.", nullable=True),
        "username": _text("The sender's name as received."),
        "account": _text("The account that the broker has authenticated.", nullable=True),
        "verified": _flag("Whether the broker checked that the account is the username."),
        "name": _text("The username, safe to show as text."),
        "mark": _text("What to show after the name of one that is not verified; empty if nothing."),
        "sent_at": _text("RFC 3339, UTC.", nullable=True),
        "text": _text("The text as received, truncated to 64 KiB."),
        "shown": _text("The text, safe to show as text; only where it differs."),
    }
    new = {
        "text": _text(
            f"Not only white space; at most {limits.message_bytes} bytes of UTF-8.",
            minLength=1,
            maxLength=limits.message_bytes,
            pattern=r"\S",
        ),
        "id": _text(
            "The caller's own id of the message. Default: a new UUIDv7.", nullable=True, pattern=MESSAGE_ID
        ),
    }
    receipt = {
        "id": _text("The id of the message."),
        "sent_at": _text("RFC 3339, UTC."),
        "routed": {
            "type": ["boolean", "null"],
            "description": "Whether the broker had a subscriber for it; null where the broker does not tell.",
        },
    }
    return {
        "Message": _object(message, ("shown",)),
        "Messages": _object(
            {
                "messages": {"type": "array", "items": ref("Message")},
                "more": _flag("Whether there may be older ones."),
                "first": _text(
                    "Where the first of them is; there if there is one. Give it as `before` for those before."
                ),
            },
            ("first",),
            "Oldest first.",
        ),
        "NewMessage": _object(new, ("id",)),
        "Receipt": _object(receipt, description="The broker has the message."),
    }


def _others() -> dict[str, Schema]:
    return {
        "Error": _object(
            {"error": _text("What is wrong, in a sentence."), "hint": _text("What to do.")}, ("hint",)
        ),
        "Health": _object({"status": {"enum": ["ok", "unavailable"]}}),
    }


EVENTS = {
    "hello": ("Session", "The first event: who the caller is."),
    "message": ("Message", "A message. The only event with an `id`."),
    "live": ("Live", "What was said before has been given; what follows is new."),
    "missed": ("Missed", "Messages are or may be missing here."),
    "connection": ("Connection", "The server's connection to the broker is lost, or is back."),
    "people": ("People", "Who is here has changed."),
    "here": ("Here", "The stream is alive: every 20 seconds, with a comment."),
    "slow": ("Ending", "The last event: too much waited for this reader. Connect again with the last `id`."),
    "closing": ("Ending", "The last event: the server is being restarted. Connect again with the last `id`."),
    "revoked": ("Ending", "The last event: the invitation has ended. Do not connect again."),
}
"""The events of a stream: name → the schema of their data, and what they say."""


def _events() -> dict[str, Schema]:
    person = _object(
        {
            "name": _text("Safe to show as text."),
            "mark": _text("As of a message."),
            "account": _text("The person's account at the broker.", nullable=True),
        }
    )
    return {
        "Live": _object(
            {"resumed": _flag("Whether the stream goes on from the event that the caller named.")}
        ),
        "Here": _object({}, description="Nothing: scripts in a browser see no comments."),
        "Missed": _object(
            {
                "room": _ROOM,
                "text": _text("What is missing, in a sentence."),
                "count": _count("How many messages, where that is known."),
            },
            ("count",),
        ),
        "Connection": _object(
            {
                "room": _ROOM,
                "connected": _flag("Whether the server can read the room now."),
                "text": _text("What has happened, in a sentence; it may be empty."),
            }
        ),
        "People": _object(
            {
                "room": _ROOM,
                "count": _count("How many people are here."),
                "more": _flag("Whether there are more than were counted."),
                "people": {"type": "array", "items": person},
            }
        ),
        "Ending": _object({"text": _text("Why the stream ends, in a sentence.")}),
    }
