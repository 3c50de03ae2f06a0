"""Text for the rows of a terminal: how wide it is, names, and blocks of several lines.

What is unsafe in it is escaped by :mod:`kchat.message.unprintable`, what is too long is cut by
:mod:`kchat.message.truncation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from kchat.message.truncation import LONGEST, truncate, truncation_mark, utf8_size
from kchat.message.unprintable import escape, escape_unprintable

NAME_WIDTH = 32
"""The most columns of a terminal that a name takes."""

# A colon, or what looks like one, before a space ends the name for a reader: of "bob: I quit", for instance.
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
        return 1  # it may make the symbol in front wide
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
    """The most columns that any terminal gives a character: some draw Greek and Cyrillic wide, or marks by themselves."""
    from unicodedata import category

    if character.isascii():
        return 1
    return 1 if category(character) in ("Mn", "Me", "Cf") else 2


def width(text: str, cells: Callable[[str], int] = cells) -> int:
    """How many columns text from :func:`visible` takes in a terminal; sequences of emoji may take less.

    Arguments:
        text: safe text.
        cells: those of a character: :func:`cells`, the default, :func:`cautious_cells` or :func:`most_cells`.
    """
    return len(text) if text.isascii() else sum(map(cells, text))


def display_name(username: str | None, columns: int = NAME_WIDTH) -> str:
    r"""A name for a row of the display: in one line, short, and not to be mistaken for more than a name.

    Arguments:
        username: what the sender claims; None for nobody, who is ``?``.
        columns: the most columns that it may take; a longer one ends in ``…``. Default :data:`NAME_WIDTH`.

    Returns:
        The name, safe for a terminal, with single spaces, and with a colon that could be taken for its end
        escaped (``bob\x3a hello``). Empty names are ``""``, and somebody who claims to be ``?`` is ``\x3f``.
    """
    if username is None:
        return "?"
    # No name of this width is longer, with all the marks that it may have; and the cache holds no long ones.
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
    """The beginning of safe text, as much as fits the columns, counted as by :func:`width`."""
    if text.isascii():
        return text[: max(0, columns)]
    for end, character in enumerate(text):
        columns -= cells(character)
        if columns < 0:
            return text[:end]
    return text


def indent_block(text: str, indent: str = "", *, total: int | None = None) -> str:
    """A message's text for a display: limited, safe, without newlines at its end, its further lines indented.

    Arguments:
        text: the text as it came.
        indent: what each line but the first begins with. Default nothing.
        total: as for :func:`limit`.

    Returns:
        Text of at most :data:`LONGEST` bytes.
    """
    ending = ""
    if len(text) * 4 > LONGEST:
        total = utf8_size(text) if total is None else total
        cut = truncate(text, total=total)
        if cut is not text:
            # The mark is safe; what is in front of it may be ASCII, which is quickly seen to be safe.
            ending = truncation_mark(total)
            text = cut.removesuffix(ending)
    shown = escape_unprintable(text) + ending
    if "\n" in shown:
        shown = shown.rstrip("\n").replace("\n", "\n" + indent)
    if len(shown) * 4 > LONGEST:  # escapes are longer than what they stand for
        shown = truncate(shown, total=utf8_size(text) if total is None else total)
    return shown
