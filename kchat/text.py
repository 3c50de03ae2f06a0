r"""Text that strangers sent, made safe for a terminal.

A terminal obeys what is in the text that it shows: escape sequences move the cursor, write to the clipboard,
rename the window; a carriage return hides what was there; bidirectional controls and invisible characters make
a text read as another. :func:`visible` leaves characters that one can see, spaces and newlines. The others are
shown as Python writes them: ``\x1b``, ``\u202e``, ``\U000e0041``. A backslash stays as it is.

Honest text needs some characters that cannot be seen by themselves. These stay:

- combining marks (accents, vowel signs), up to four behind a character; more become ``…``. With nothing but a
  space or an escape in front they are escaped, as they would change what stands there;
- one variation selector behind a character that has variants: an emoji, a digit (keycaps), a Han or Mongolian one;
- a joiner (U+200C, U+200D) between letters of Arabic and of the scripts of South and South East Asia, and U+200D
  between two emoji: families, professions.

Spaces of other kinds (no-break, ideographic, thin) become ordinary ones. ``\r\n`` is a newline. A tab is shown
as ``\t``. Private and unassigned characters are escaped: nobody knows what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache

LONGEST = 1 << 16
"""The most of a message that is shown, in bytes of UTF-8."""

NAME_WIDTH = 32
"""The most columns of a terminal that a name takes."""

_MOST_MARKS = 4

# What str.isprintable() lets pass though nobody sees it (Unicode's Default_Ignorable_Code_Point), or though it has
# no width: the second and third part of a Hangul syllable count as letters.
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_HANGUL_PARTS = "\u1161-\u11ff\ud7b0-\ud7ff"

# Printable text with one of these gets a closer look: the above; what could be a mark, being neither letter nor
# digit, with nothing in front to combine with; and a crowd of such.
_MAYBE_MARK = r"[^\w\x00-\x7f]"
_LOOK = re.compile(
    rf"[{_FILLERS}{_SELECTORS}{_HANGUL_PARTS}]|(?:^|(?<= )){_MAYBE_MARK}|{_MAYBE_MARK}{{{_MOST_MARKS + 1}}}"
)

_HAS_VARIANTS = re.compile(
    "[0-9#*\u00a9\u00ae\u1820-\u18aa\u203c-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003ffff]"
)
_EMOJI = re.compile("[\u203c-\u3299\U0001f000-\U0001faff]")
_JOINED = re.compile(
    "[\u0620-\u0dff\u0f00-\u109f\u1780-\u18aa\u1a20-\u1cff\ua840-\uabff\U00010a00-\U00011fff]"
)

# A colon, or what looks like one, before a space ends the name for a reader: of "bob: I quit", for instance.
_COLON = re.compile(
    "[:\u02d0\u02f8\u0589\u05c3\u0703\u0704\u1361\u16ec\u1803\u1809\u205a\u2236\u2982\ua789\ufe13\ufe55\uff1a](?= |$)"
)


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


def visible(text: str, *, keep_newlines: bool = True) -> str:
    r"""Make text safe for a terminal; this module's description says how.

    Arguments:
        text: anything, lone surrogates included.
        keep_newlines: whether newlines stay. Default yes; otherwise they are shown as ``\n``.

    Returns:
        Text of characters that one can see, spaces and newlines, that a second call leaves as it is.
    """
    if text.isprintable():
        if text.isascii() or _LOOK.search(text) is None:
            return text
    elif keep_newlines and text.isascii() and text.replace("\n", "").isprintable():
        return text
    text = text.replace("\r\n", "\n")
    if text.isascii():
        return text.translate(_CONTROLS if keep_newlines else _CONTROLS_AND_NEWLINE)
    return _escaped(text, keep_newlines=keep_newlines)


def _escaped(text: str, *, keep_newlines: bool) -> str:
    """The long way, character by character."""
    shown: list[str] = []
    base = ""  # what a mark would combine with; empty where there is nothing
    behind = 0  # marks and selectors behind it so far
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
        if kind is _Kind.SELECTOR and base and not behind and _HAS_VARIANTS.match(base):
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
    if _JOINED.match(base):
        return _JOINED.match(following) is not None
    return joiner == "\u200d" and _EMOJI.match(base) is not None and _EMOJI.match(following) is not None


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


def bytes_visible(data: bytes) -> str:
    r"""Bytes as text safe for a terminal: what is UTF-8 as that, the rest escaped (``\xff``)."""
    return visible(data.decode("utf-8", "backslashreplace"))


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


def name(username: str | None, columns: int = NAME_WIDTH) -> str:
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
    # No name of so many columns is longer, with all the marks that it may have; and the cache holds no long ones.
    return _name(username[: 8 * columns], columns, len(username) > 8 * columns)


@lru_cache(maxsize=1024)
def _name(username: str, columns: int, cut: bool) -> str:  # noqa: FBT001 - part of the cache's key
    username = username.replace("\u2800", " ")  # a Braille cell without dots
    shown = " ".join(visible(username, keep_newlines=False).split())
    if shown in ("", "?"):
        return r"\x3f" if shown else '""'
    shown = _COLON.sub(lambda found: escape(found.group()), shown)
    if not cut and width(shown, cautious_cells) <= columns:
        return shown
    return head(shown, columns - 1, cautious_cells) + "…"


def head(text: str, columns: int, cells: Callable[[str], int] = cells) -> str:
    """The beginning of safe text, as much as fits the columns, counted as by :func:`width`."""
    if text.isascii():
        return text[: max(0, columns)]
    for end, character in enumerate(text):
        columns -= cells(character)
        if columns < 0:
            return text[:end]
    return text


def mark(total: int) -> str:
    """The mark at the end of text that was cut: ``… [cut: 16.0 MiB in all]``. The total is in bytes."""
    for unit, symbol in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if total >= unit:
            return f"… [cut: {total / unit:.1f} {symbol} in all]"
    return f"… [cut: {total} bytes in all]"


def limit(text: str, max_bytes: int = LONGEST, *, total: int | None = None) -> str:
    """Cut text that is longer than may be shown.

    Arguments:
        text: the text.
        max_bytes: the most bytes of UTF-8 that the result has, its mark included. Default :data:`LONGEST`.
        total: the size to name in the mark, in bytes, where the text is a part of something. Default the text's.
    """
    if len(text) * 4 <= max_bytes:
        return text
    whole = size(text)
    if whole <= max_bytes:
        return text
    ending = mark(whole if total is None else total)
    data = text[:max_bytes].encode("utf-8", "surrogatepass")
    end = max(0, max_bytes - len(ending.encode()))
    while end and data[end] & 0xC0 == 0x80:  # not through the middle of a character
        end -= 1
    return data[:end].decode("utf-8", "surrogatepass") + ending


def size(text: str) -> int:
    """The bytes that text takes in UTF-8; counted piece by piece, as all at once could take a lot of memory."""
    if text.isascii():
        return len(text)
    return sum(
        len(text[i : i + LONGEST].encode("utf-8", "surrogatepass")) for i in range(0, len(text), LONGEST)
    )


def block(text: str, indent: str = "", *, total: int | None = None) -> str:
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
        total = size(text) if total is None else total
        cut = limit(text, total=total)
        if cut is not text:
            # The mark is safe; what is in front of it may be ASCII, which is quickly seen to be safe.
            ending = mark(total)
            text = cut.removesuffix(ending)
    shown = visible(text) + ending
    if "\n" in shown:
        shown = shown.rstrip("\n").replace("\n", "\n" + indent)
    if len(shown) * 4 > LONGEST:  # escapes are longer than what they stand for
        shown = limit(shown, total=size(text) if total is None else total)
    return shown
