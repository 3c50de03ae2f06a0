"""The mode ``json``: one JSON object per line, in ASCII, for programs."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, ClassVar

from kchat.display.lines import WHOLE, Lines
from kchat.events import as_object
from kchat.message import rfc3339
from kchat.message.truncation import truncate

if TYPE_CHECKING:
    from kchat.events import Event
    from kchat.message import Message

_LONGEST_NAME = 1024
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Json(Lines):
    """An object with these keys, in this order:

    - ``username``, ``message``, ``id``, ``sent_at`` as in :class:`kchat.Message`, the time as on the wire;
    - ``received_at``: when kchat showed it, by this machine's clock, in the same form;
    - ``account``: the authenticated account, if the broker has checked it, or null;
    - ``verified``: true if ``username`` is the name of that account;
    - ``redelivered``: true if the broker has delivered the message before;
    - ``problem``: why the body is not a kchat message, or null;
    - ``room``: the room's name, where several are shown;
    - ``body_base64``: the body, if it is not text;
    - ``cut``: the body's size in bytes, if it is over 2 MiB: ``message`` is truncated, and other keys are left out;
    - the body's other keys. Those with a name from this list are in an object ``extra``, so that a sender can
      neither claim an account nor hide a problem.
    """  # noqa: D415 - ends in a list

    ROW: ClassVar[str] = r"\{"
    LONGEST: ClassVar[int] = 6 * WHOLE + 8192  # an escape such as \u00e4 has six bytes

    def show(self, message: Message) -> None:
        """Add the message's line."""
        sent_at = message.sent_at
        line: dict[str, object] = {
            "username": message.username,
            "message": message.text,
            "id": message.id,
            "sent_at": None if sent_at is None else rfc3339.text(sent_at),
            "received_at": rfc3339.now(),
            "account": message.account,
            "verified": message.verified,
            "redelivered": message.redelivered,
            "problem": message.problem,
        }
        if message.room is not None:
            line["room"] = message.room
        if len(message.body) > WHOLE:
            size = len(message.body)
            if message.username is not None:
                line["username"] = truncate(message.username, _LONGEST_NAME)
            line["message"] = truncate(message.text, total=size if message.problem else None)
            line["cut"] = size
        elif message.problem and not _is_text(message.body):
            line["body_base64"] = b64encode(message.body).decode()
        elif message.extra:
            ours = line.keys() | {"body_base64", "cut", "extra", "room"}
            line |= {key: value for key, value in message.extra.items() if key not in ours}
            if hidden := {key: value for key, value in message.extra.items() if key in ours}:
                line["extra"] = hidden
        self._output.write(f"{_encode(line)}\n")

    def event(self, event: Event) -> None:
        """Add an object for what happened to the connection: its ``type`` tells it from a message."""
        self._output.write(f"{_encode(as_object(event))}\n")


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
