"""The modes ``print`` and ``simple``: ``Received <body>``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kchat.display.lines import INDENT, Lines
from kchat.display.names import doubt
from kchat.text import LONGEST, block

if TYPE_CHECKING:
    from kchat.message import Message

_RECEIVED = "Received "


class Print(Lines):
    r"""The body as it came, made safe for a terminal: what is no text is shown as ``\xff``.

    Behind it stands the account, as in ``Received {...} (via guest)``, where it is neither the name in the body nor the
    account of whoever looks on. On a terminal so does a ``?`` where nothing was checked.
    """

    def show(self, message: Message) -> None:
        """Add the body's line or lines."""
        body = message.body
        total = len(body)
        # What is too long is cut in block(), with a mark; together with a character broken by this cut.
        text = block(body[: LONGEST + 4].decode("utf-8", "backslashreplace"), INDENT, total=total)
        behind = ""
        if message.account is None or message.account != self._own:
            unchecked = self._unchecked and self._output.is_terminal
            behind = doubt(message.username, message.account, unchecked=unchecked)
        if behind and self._color:
            behind = f"\x1b[2m{behind}\x1b[0m"
        self._output.write(f"{_RECEIVED}{self._fit(text, len(_RECEIVED))}{behind}\n")
