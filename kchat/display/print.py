"""The modes ``print`` and ``simple``: ``Received <body>``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from kchat.display.escaping import display_name, indent_block
from kchat.display.lines import Lines
from kchat.display.names import unverified_suffix
from kchat.message.truncation import LONGEST
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.message import Message

_RECEIVED = "Received "


class Print(Lines):
    r"""The body as received, made safe for a terminal: bytes that are not text are shown as ``\xff``.

    The account follows, as in ``Received {...} (via guest)``, if it is not the viewer's and the body does not begin
    with its name, or has another name as well. On a terminal, a ``?`` follows if the broker has checked no account.
    """

    ROW: ClassVar[str] = _RECEIVED

    def show(self, message: Message) -> None:
        """Add the body's line or lines."""
        body = message.body
        total = len(body)
        # What is too long is cut in block(), with a mark; together with a character broken by this cut.
        text = indent_block(
            body[: LONGEST + 4].decode("utf-8", "backslashreplace"), self._indent, total=total
        )
        behind = ""
        if message.account is None or message.account != self._own:
            mark_unverified = self._mark_unverified and self._output.is_terminal
            behind = unverified_suffix(message.username, message.account, mark_unverified=mark_unverified)
            if message.account is not None and not behind and not _names(body, message.account):
                behind = f" (via {display_name(message.account)})"
        self._write(_RECEIVED, len(_RECEIVED), text, behind)


def _names(body: bytes, username: str) -> bool:
    """Whether a reader of the body sees the same username as a program: at its beginning, and no other.

    JSON may have a key twice, of which the last counts, and may write any character as an escape.
    """
    quoted = json.dumps(username, ensure_ascii=False)
    if quoted != f'"{escape_unprintable(username, keep_newlines=False)}"':
        return False
    beginnings = tuple(
        f'{{"username":{space}{quoted}'.encode("utf-8", "surrogatepass") for space in ("", " ")
    )
    if not body.startswith(beginnings):
        return False
    if b"\\" not in body and body.count(b'"username"') == 1:
        return True  # no other key is, or is written, like it
    keys: list[str] = []

    def note_keys(pairs: list[tuple[str, object]]) -> None:
        keys[:] = [key for key, _ in pairs]  # those of the outermost object come last

    json.JSONDecoder(object_pairs_hook=note_keys).decode(body.decode())
    return keys.count("username") == 1
