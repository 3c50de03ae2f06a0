r"""Makes text from strangers safe for a terminal.

A terminal obeys the text that it shows: escape sequences move the cursor, write to the clipboard,
rename the window; a carriage return hides what was there; bidirectional controls and invisible characters make
a text look like another. :func:`escape_unprintable` keeps visible characters, spaces and newlines. The others are
shown as Python writes them: ``\x1b``, ``\u202e``, ``\U000e0041``. A backslash stays as it is.

Honest text needs some characters that are invisible alone. These stay:

- combining marks (accents, vowel signs), up to four after a character; more become ``…``. With nothing before them but
  a space or an escape they are escaped, since they would change that;
- one variation selector after a character that has variants: an emoji, a digit (keycaps), a Han or Mongolian one;
- a joiner (U+200C, U+200D) between letters of Arabic and of the scripts of South and South East Asia, and U+200D
  between two emoji: families, professions.

Spaces of other kinds (no-break, ideographic, thin) become ordinary ones. ``\r\n`` is a newline. A tab is shown
as ``\t``, unless tabs are kept. Private and unassigned characters are escaped: nobody knows what they look like.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

_MOST_MARKS = 4

# Printable to str.isprintable(), but invisible (Unicode's Default_Ignorable_Code_Point) or without width: the second
# and third part of a Hangul syllable count as letters.
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_HANGUL_PARTS = "\u1161-\u11ff\ud7b0-\ud7ff"

# Printable text with one of these is looked at character by character: the above; a possible mark, neither letter nor
# digit, with nothing before it to combine with; and many of these in a row.
_MAYBE_MARK = r"[^\w\x00-\x7f]"
_LOOK = re.compile(
    rf"[{_FILLERS}{_SELECTORS}{_HANGUL_PARTS}]|(?:^|(?<= )){_MAYBE_MARK}|{_MAYBE_MARK}{{{_MOST_MARKS + 1}}}"
)

# Compiled when they are first used: only text with such characters needs them.
_HAS_VARIANTS = (
    "[0-9#*\u00a9\u00ae\u1820-\u18aa\u203c-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U0001f000-\U0001faff\U00020000-\U0003ffff]"
)
_EMOJI = "[\u203c-\u3299\U0001f000-\U0001faff]"
_JOINED = "[\u0620-\u0dff\u0f00-\u109f\u1780-\u18aa\u1a20-\u1cff\ua840-\uabff\U00010a00-\U00011fff]"


class _Kind(Enum):
    SEEN = "one can see it"
    SPACE = "a space of any kind"
    NEWLINE = "a newline"
    MARK = "combines with what is in front"
    SELECTOR = "picks a variant of what is in front"
    JOINER = "joins what is in front to what follows"
    UNSAFE = "all the rest"


@lru_cache(maxsize=4096)
def _kind(character: str) -> _Kind:
    from unicodedata import category  # clean text, the most of it, never needs it

    general = category(character)
    if character == "\n":
        return _Kind.NEWLINE
    if character in "\u200c\u200d":
        return _Kind.JOINER
    if general == "Zs":
        return _Kind.SPACE
    if re.match(f"[{_SELECTORS}]", character):
        return _Kind.SELECTOR
    if not character.isprintable() or re.match(f"[{_FILLERS}]", character):
        return _Kind.UNSAFE
    if general in ("Mn", "Mc", "Me") or re.match(f"[{_HANGUL_PARTS}]", character):
        return _Kind.MARK
    return _Kind.SEEN


def escape_unprintable(text: str, *, keep_newlines: bool = True, keep_tabs: bool = False) -> str:
    r"""Make text safe for a terminal; this module's description says how. A second call does not change it.

    Arguments:
        text: anything, lone surrogates included.
        keep_newlines: whether newlines stay. Default yes; otherwise they are shown as ``\n``.
        keep_tabs: whether tabs stay, with newlines: for a display that knows where they lead to. Default no.
    """
    if text.isprintable():
        if text.isascii() or _LOOK.search(text) is None:
            return text
    elif keep_newlines and text.isascii() and text.replace("\n", "").isprintable():
        return text
    text = text.replace("\r\n", "\n")
    if keep_tabs and "\t" in text:
        parts = text.split("\t")
        return "\t".join(escape_unprintable(part, keep_newlines=keep_newlines) for part in parts)
    if text.isascii():
        return text.translate(_CONTROLS if keep_newlines else _CONTROLS_AND_NEWLINE)
    return _escaped(text, keep_newlines=keep_newlines)


def _escaped(text: str, *, keep_newlines: bool) -> str:
    """Escape text character by character."""
    shown: list[str] = []
    base = ""  # the character that a mark would combine with, if any
    behind = 0  # number of marks and selectors after it so far
    for following, character in enumerate(text, 1):
        kind = _kind(character)
        if kind is _Kind.SEEN:
            shown.append(character)
            base, behind = character, 0
            continue
        if kind is _Kind.MARK and base:
            behind += 1
            if behind <= _MOST_MARKS:
                shown.append(character)
            elif behind == _MOST_MARKS + 1:
                shown.append("…")
            continue
        if kind is _Kind.SELECTOR and base and not behind and re.match(_HAS_VARIANTS, base):
            shown.append(character)
            behind += 1
            continue
        if kind is _Kind.JOINER and base and _joins(base, character, text[following : following + 1]):
            shown.append(character)
            continue
        base, behind = "", 0
        if kind is _Kind.SPACE:
            shown.append(" ")
        elif kind is _Kind.NEWLINE and keep_newlines:
            shown.append("\n")
        else:
            shown.append(escape(character))
    return "".join(shown)


def _joins(base: str, joiner: str, following: str) -> bool:
    if re.match(_JOINED, base):
        return re.match(_JOINED, following) is not None
    return (
        joiner == "\u200d" and re.match(_EMOJI, base) is not None and re.match(_EMOJI, following) is not None
    )


def escape(character: str) -> str:
    r"""Any character as Python writes it in a string: ``\n``, ``\x1b``, ``\u202e``, ``\U000e0041``."""
    code = ord(character)
    if character in "\t\n\r":
        return {"\t": r"\t", "\n": r"\n", "\r": r"\r"}[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_CONTROLS_AND_NEWLINE = {code: escape(chr(code)) for code in (*range(0x20), 0x7F)}
_CONTROLS = {code: shown for code, shown in _CONTROLS_AND_NEWLINE.items() if code != ord("\n")}
