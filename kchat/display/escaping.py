"""Text for the rows of a terminal: how wide it is, names, and blocks of several lines.

:mod:`kchat.message.unprintable` escapes what is unsafe, :mod:`kchat.message.truncation` truncates what is too long.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from kchat.message.truncation import LONGEST, truncate, truncation_mark, utf8_size
from kchat.message.unprintable import escape, escape_unprintable

TAB = 8
"""Columns from one tab stop of a terminal to the next."""

NAME_WIDTH = 32
"""Maximum width of a name in columns of a terminal."""

# To a reader, a colon (or a character that looks like one) before a space ends the name, as in "bob: I quit".
_COLON = re.compile(
    "[:\u02d0\u02f8\u0589\u05c3\u0703\u0704\u1361\u16ec\u1803\u1809\u205a\u2236\u2982\ua789\ufe13\ufe55\uff1a](?= |$)"
)


# Wide since Unicode 16, which Python's tables may not know yet, and the regional indicators, which most terminals draw
# wide though Unicode does not say so.
_WIDE = re.compile(
    "[\u2630-\u2637\u268a-\u268f\u4dc0-\u4dff\U0001d300-\U0001d356\U0001d360-\U0001d376\U0001f1e6-\U0001f1ff]"
)
_DRAWN = re.compile("[\u2026\u2500-\u259f\u2800-\u28ff]")
"""Boxes, blocks and Braille: people draw with them, and a drawing must not be broken early. And kchat's own ``…``."""


@lru_cache(maxsize=4096)
def cells(character: str) -> int:
    """How many columns a character takes in a terminal that knows Unicode 17 (UAX 11)."""
    from unicodedata import category, east_asian_width

    if character == "\ufe0f":
        return 1  # it may make the preceding symbol wide
    if category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in "WF" or _WIDE.match(character) else 1


@lru_cache(maxsize=4096)
def cautious_cells(character: str) -> int:
    """As :func:`cells`, but two for each symbol and punctuation mark: terminals disagree about many of them."""
    from unicodedata import category

    known = cells(character)
    unsure = known == 1 and not character.isascii() and category(character)[0] in "SPN"
    return 2 if unsure and not _DRAWN.match(character) else known


@lru_cache(maxsize=4096)
def most_cells(character: str) -> int:
    """Maximum width of a character in any terminal: some draw Greek and Cyrillic wide, or marks separately."""
    from unicodedata import category

    if character.isascii():
        return 1
    return 1 if category(character) in ("Mn", "Me", "Cf") else 2


def width(text: str, cells: Callable[[str], int] = cells) -> int:
    """Width of safe text in columns of a terminal; sequences of emoji may be narrower.

    Arguments:
        text: safe text.
        cells: those of a character: :func:`cells`, the default, :func:`cautious_cells` or :func:`most_cells`.
    """
    return len(text) if text.isascii() else sum(map(cells, text))


def display_name(username: str | None, columns: int = NAME_WIDTH) -> str:
    r"""A name for a row of the display: on one line, short, and nothing that a reader could mistake for text.

    Arguments:
        username: the name that the sender gave; None for no name, shown as ``?``.
        columns: maximum width in columns; a longer name ends in ``…``. Default :data:`NAME_WIDTH`.

    Returns:
        The name, safe for a terminal, with single spaces, and with a colon that looks like its end
        escaped (``bob\x3a hello``). An empty name is ``""``, and the name ``?`` is ``\x3f``.
    """
    if username is None:
        return "?"
    # A name of this width is not longer, with all possible marks; and the cache holds no long names.
    return _name(username[: 8 * columns], columns, len(username) > 8 * columns)


@lru_cache(maxsize=1024)
def _name(username: str, columns: int, cut: bool) -> str:  # noqa: FBT001 - part of the cache's key
    username = username.replace("\u2800", " ")  # a Braille cell without dots
    shown = " ".join(escape_unprintable(username, keep_newlines=False).split())
    if shown in ("", "?"):
        return r"\x3f" if shown else '""'
    shown = _COLON.sub(lambda found: escape(found.group()), shown)
    if not cut and width(shown, cautious_cells) <= columns:
        return shown
    return take_columns(shown, columns - 1, cautious_cells) + "…"


def take_columns(text: str, columns: int, cells: Callable[[str], int] = cells) -> str:
    """The beginning of a text that fits the columns, counted as by :func:`width`.

    Arguments:
        text: text that is safe for a terminal.
        columns: maximum width.
        cells: columns of a character other than ASCII. Default: what :func:`width` uses.
    """
    if text.isascii():
        return text[: max(0, columns)]
    for end, character in enumerate(text):
        columns -= cells(character)
        if columns < 0:
            return text[:end]
    return text


def expand_tabs(text: str, start: int = 0) -> str:
    """Spaces for the tabs of safe text, to where a terminal has its tab stops: at every eighth column.

    Arguments:
        text: safe text of one or more lines.
        start: columns that are already used in the first line. Default 0.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        *before, last = line.split("\t")
        column, pieces = start, []
        for piece in before:
            column += width(piece)
            gap = TAB - column % TAB
            column += gap
            pieces.append(piece + " " * gap)
        lines.append("".join(pieces) + last)
        start = 0
    return "\n".join(lines)


def indent_block(
    text: str, indent: str = "", *, total: int | None = None, tabs: bool = False, whole: bool = False
) -> str:
    r"""A message's text for a display: truncated, safe, without newlines at its end, all lines but the first indented.

    Arguments:
        text: the text as received.
        indent: put before each line but the first. Default nothing.
        total: as for :func:`kchat.message.truncation.truncate`.
        tabs: whether tabs stay, for a file or pipe, or for :func:`expand_tabs`. Default: they are shown as ``\t``.
        whole: whether it is not truncated. Default: it is.

    Returns:
        Text of at most :data:`LONGEST` bytes, unless it is to be whole.
    """
    ending = ""
    if len(text) * 4 > LONGEST and not whole:
        total = utf8_size(text) if total is None else total
        cut = truncate(text, total=total)
        if cut is not text:
            # The mark is safe; the text before it may be ASCII, which is quick to check.
            ending = truncation_mark(total)
            text = cut.removesuffix(ending)
    shown = escape_unprintable(text, keep_tabs=tabs) + ending
    if "\n" in shown:
        shown = shown.rstrip("\n").replace("\n", "\n" + indent)
    if len(shown) * 4 > LONGEST and not whole:  # escapes are longer than the characters that they replace
        shown = truncate(shown, total=utf8_size(text) if total is None else total)
    return shown
