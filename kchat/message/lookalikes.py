"""Names that a person takes for another's: ``ada`` and ``"ada "``, or ``ada`` with a Cyrillic letter.

A broker compares names byte by byte, and people do not. So ``kchat invite`` refuses such names
(:func:`oddity`, :func:`looks_like`), and displays do not show as verified the name of one that somebody else has made:
:func:`is_plain`, :func:`spelled`.

The rules are those of Unicode's "highly restrictive" identifiers (UTS #39, section 5.2), without its tables: the script of
a letter is what its name in Unicode begins with.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Literal

_TOGETHER = (
    frozenset(("LATIN", "CJK", "HIRAGANA", "KATAKANA")),
    frozenset(("LATIN", "CJK", "HANGUL")),
    frozenset(("LATIN", "CJK", "BOPOMOFO")),
)
"""Scripts that people write together (UTS #39, section 5.2)."""

_SCRIPTS = {
    "KATAKANA-HIRAGANA": "KATAKANA",
    "IDEOGRAPHIC": "CJK",
    "ARABIC-INDIC": "ARABIC",
    "EXTENDED": "ARABIC",
    "MODIFIER": "",
}
"""Names that do not begin with a script's; of no script where that is empty."""

_LATIN = {
    **str.maketrans(
        "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421", "ABESIJKMHOPC"
    ),  # Cyrillic
    **str.maketrans(
        "\u0422\u0423\u0425\u04ae\u0430\u0435\u043e\u0440\u0456\u0455\u0458\u0441", "TYXYaeopisjc"
    ),
    **str.maketrans("\u0443\u0445\u04bb\u0501\u051b\u051d\u04af\u04cf", "yxhdqwyl"),
    **str.maketrans("\u0555\u0585\u0578\u057d\u0581\u0570", "Oonugh"),  # Armenian
    **str.maketrans(
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4", "ABEZHIKMNOPT"
    ),  # Greek
    **str.maketrans(
        "\u03a5\u03a7\u03bf\u03bd\u03b9\u03c1\u03b1\u03b3\u03ba\u03c5\u03f2\u03f3", "YXovipaykucj"
    ),
    **str.maketrans("\u0251\u0261\u0131\u0269\u0237", "agiij"),  # of Latin itself, small capitals too
    **str.maketrans("\u1d04\u1d0f\ua731\u1d20\u1d21\u1d22", "cosvwz"),
    **str.maketrans("0I1|", "Olll"),  # ASCII
}
"""Letters that look like these of Latin in most fonts (UTS #39, confusables)."""

_BLANK = "\u034f\u2800\ufffc\U00016fe4\U0001d159"
"""Not formatting characters, and nothing to see: a joiner, an empty Braille cell, a placeholder, a filler, a note's head."""

_QUOTES = str.maketrans("\u2018\u2019\u02bc\u2032\u00b4`", "''''''")


def normalised(name: str) -> str:
    """A name in Unicode's normal form C, in which equal text is equal bytes (UAX #15)."""
    return name if name.isascii() else _normalise("NFC", name)


def is_own_name(username: str, account: str) -> bool:
    """Whether a username is an account's own name, and nobody mistakes it for another.

    They may be in different normal forms: what an account's owner types looks the same in each.
    """
    return (username == account or normalised(username) == account) and is_plain(account)


def is_plain(name: str) -> bool:
    """Whether nobody mistakes a name for another one: :func:`oddity`."""
    return oddity(name) is None


@lru_cache(maxsize=1024)
def oddity(name: str) -> str | None:
    """Why somebody may mistake an account's name for another one; None if nobody would."""
    if not name or name != name.strip() or "  " in name:
        return "it is empty, or has a space where nobody sees it"
    if name.isascii() and name.isprintable():
        return _like_a_mark(name)
    # Sending needs neither of the two.
    from kchat.message.unprintable import escape_unprintable

    if (
        escape_unprintable(name, keep_newlines=False) != name
        or any(map(_is_hidden, name))
        or _has_doubled_mark(name)
    ):
        return "it has characters in it that nobody sees"
    if normalised(name) != name:
        return "it is not in Unicode's normal form C"
    if _normalise("NFKC", name) != name:
        return "it has letters in it that are another form of ordinary ones"
    scripts = {script for character in name if (script := _script(character))}
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        return f"it has letters of {' and '.join(sorted(script.capitalize() for script in scripts))}"
    return _like_a_mark(name)


def spelled(name: str) -> str:
    r"""A name in a form that nobody mistakes for another: unchanged, or with all but ASCII escaped, ``\u0430da``."""
    if is_plain(name):
        return name
    text = ascii(name)[1:-1]
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - before - len(inner)
    return r"\x20" * before + inner.replace("  ", r"\x20\x20") + r"\x20" * after


def looks_like(name: str, other: str) -> bool:
    """Whether two different names look the same, letter by letter, whatever the script, or differ by case alone."""
    return name != other and not set(likenesses(name)).isdisjoint(likenesses(other))


def likenesses(name: str) -> tuple[str, str]:
    """What a name has in common with those that look like it: its letters in lower case, and their shapes."""
    return f"={name.casefold()}", f"~{_skeleton(name)}"


def _like_a_mark(name: str) -> str | None:
    """Whether it looks like a mark that displays put after a name (:mod:`kchat.display.names`)."""
    return "it ends as if nobody had checked it" if name.endswith("?") or "(via " in name else None


def _skeleton(name: str) -> str:
    from unicodedata import category

    seen = [character for character in _normalise("NFKC", name) if not _is_hidden(character)]
    text = "".join("-" if category(character) == "Pd" else character for character in seen)
    # Twice: a Greek capital iota is an I, and an I an l.
    latin = text.translate(_QUOTES).translate(_LATIN).translate(_LATIN)
    return " ".join(latin.split()).casefold().replace("rn", "m")


def _is_hidden(character: str) -> bool:
    """Joiners and variation selectors too, which text needs and a name can do without."""
    if character.isascii():
        return False
    from unicodedata import category

    return category(character) in ("Cf", "Cc") or "\ufe00" <= character <= "\ufe0f" or character in _BLANK


def _has_doubled_mark(name: str) -> bool:
    """Whether a letter has the same mark twice, of which the second is drawn over the first (UTS #39, section 5.4)."""
    from unicodedata import category

    apart = _normalise("NFD", name)
    return any(one == two and category(one) == "Mn" for one, two in pairwise(apart))


def _script(character: str) -> str:
    """``LATIN``, ``CYRILLIC``, ...; empty for what belongs to none: ASCII digits, punctuation, marks, symbols."""
    from unicodedata import category
    from unicodedata import name as unicode_name

    if character in "0123456789" or not (character.isalpha() or category(character) == "Nd"):
        return ""
    word = unicode_name(character, "?").partition(" ")[0]
    return _SCRIPTS.get(word, word)


def _normalise(form: Literal["NFC", "NFD", "NFKC"], name: str) -> str:
    from unicodedata import normalize

    return normalize(form, name)
