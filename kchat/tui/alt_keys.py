"""Alt+Enter and Alt+1 to Alt+9 as most terminals send them: an escape before the key's character (xterm's metaSendsEscape).

Textual knows them only from terminals with kitty's keyboard protocol. It takes the former for Enter, and the digits for the
characters that the option key of a Mac makes.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS


class AltKey(NamedTuple):
    """A key by Textual's name, as its own table has keys."""

    value: str


SEQUENCES = {
    "\x1b\r": AltKey("alt+enter"),
    "\x1b\n": AltKey("alt+enter"),
    **{f"\x1b{digit}": AltKey(f"alt+{digit}") for digit in "123456789"},
}
"""What terminals send."""


def know_alt_keys() -> None:
    """Have Textual know them, in this process."""
    table = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    for sequence, key in SEQUENCES.items():
        table[sequence] = (key,)
