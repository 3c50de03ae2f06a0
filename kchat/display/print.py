"""The modes ``print`` and ``simple``: ``Received <body>``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from kchat.display.escaping import display_name, indent_block, most_cells, width
from kchat.display.lines import WHOLE, Lines, in_room
from kchat.message.truncation import LONGEST
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from kchat.message import Message

_RECEIVED = "Received "


class Print(Lines):
    r"""The body as received, made safe for a terminal: bytes that are not text are shown as ``\xff``.

    The account follows, as in ``Received {...} (via guest)``, if the body does not begin with its name, or has another name
    as well. The viewer's own does not, as long as all share it. On a terminal, a ``?`` follows where the broker checks
    accounts, and has checked none.
    """

    ROW: ClassVar[str] = _RECEIVED

    def show(self, message: Message) -> None:
        """Add the body's line or lines."""
        body = message.body
        total = len(body)
        whole = not self._output.is_terminal and total <= WHOLE
        # What is too long is cut in block(), with a mark; together with a character broken by this cut.
        received = body if whole else body[: LONGEST + 4]
        text = indent_block(
            received.decode("utf-8", "backslashreplace"), self._indent, total=total, tabs=True, whole=whole
        )
        account = message.account
        self._names_shown.meet(account)
        behind = self._names_shown.mark(message.username, account)
        if account is None:
            behind = behind if self._output.is_terminal else ""
        elif not behind and not self._names_shown.is_shared(account) and not _names(body, account):
            behind = f" (via {display_name(account)})"
        lead = f"{_RECEIVED}{in_room(message)}"
        self._write(lead, width(lead, most_cells), text, behind)


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
