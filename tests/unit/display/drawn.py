"""What a terminal makes of lines, for terminals that disagree about how wide characters are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

from wcwidth import wcwidth

Cells = Callable[[str], int]


def _newest(character: str) -> int:
    return 2 if "\U0001f1e6" <= character <= "\U0001f1ff" else max(0, wcwidth(character))


def _ambiguous(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) == "A" and _newest(character) else _newest(character)


def _emoji(character: str) -> int:
    is_symbol = unicodedata.category(character) in ("So", "Sm", "Po") and not character.isascii()
    return 2 if is_symbol else _newest(character)


def _widest(character: str) -> int:
    is_mark = unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
    return 1 if character.isascii() or is_mark else 2


WIDTHS: Mapping[str, Cells] = MappingProxyType(
    {
        terminal: lru_cache(maxsize=None)(cells)
        for terminal, cells in {
            "Unicode 17": _newest,
            "Unicode 14": lambda character: max(0, wcwidth(character, "14.0.0")),
            "ambiguous characters are wide": _ambiguous,
            "all symbols are wide": _emoji,
            "all but ASCII is wide, and marks stand by themselves": _widest,
        }.items()
    }
)
"""Terminals, as how many columns they give a character."""


def rows_drawn(output: str, columns: int, cells: Cells) -> list[str]:
    """The rows of a terminal after this output; what was overwritten at the right margin is left out.

    It knows newlines, colours and DEC private mode 7: wrapping at the margin.
    """
    rows, at, wraps = [""], 0, True
    for piece in re.findall(r"\x1b\[[?\d;]*[a-z]|\n|[^\x1b\n]+", output):
        if piece in ("\x1b[?7l", "\x1b[?7h"):
            wraps = piece.endswith("h")
        elif piece == "\n":
            rows.append("")
            at = 0
        elif piece.startswith("\x1b"):
            continue
        elif at + (wide := sum(map(cells, piece))) <= columns:
            rows[-1] += piece
            at += wide
        else:
            for character in piece:
                wide = cells(character)
                if at + wide > columns:
                    if not wraps:
                        continue
                    rows.append("")
                    at = 0
                rows[-1] += character
                at += wide
    assert wraps, "the terminal is left without wrapping"
    return rows
