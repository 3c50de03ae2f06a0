"""What safe text is, said in another way than :mod:`kchat.message.unprintable` does it: by Unicode's categories alone."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

_JOINERS = "\u200c\u200d"
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"


_MANY = ("CJK UNIFIED IDEOGRAPH", "HANGUL SYLLABLE", "TANGUT IDEOGRAPH")


def is_one_of_many(character: str) -> bool:
    """Whether it is one of a hundred thousand letters that Unicode tells apart by nothing but their numbers."""
    return unicodedata.category(character) == "Lo" and unicodedata.name(character, "").startswith(_MANY)


@cache
def characters() -> tuple[str, ...]:
    """Every character that Unicode has given to something, and an eleventh of those that are one of many.

    Left out are the private and the unassigned: more than a million, all alike.
    """
    assigned = (
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character) not in ("Cn", "Co", "Cs")
    )
    return tuple(each for each in assigned if not ord(each) % 11 or not is_one_of_many(each))


@cache
def _is_selector(character: str) -> bool:
    return unicodedata.name(character, "").startswith(("VARIATION SELECTOR", "MONGOLIAN FREE VARIATION"))


def why_unsafe(text: str, *, newlines: bool = True, tabs: bool = False) -> str:
    """What is wrong with text for a terminal, or with ``tabs`` for a file; empty when nothing is."""
    if tabs:
        text = text.replace("\t", " ")
    if text.isascii() and (text.replace("\n", "") if newlines else text).isprintable():
        return ""
    marks = 0
    before = "\n"
    for position, character in enumerate(text):
        if _is_seen(character):
            marks, before = 0, character
            continue
        is_mark = _is_mark(character)
        marks = marks + 1 if is_mark else marks if character in _JOINERS else 0
        if is_mark and (marks > 4 or before in " \n"):
            return f"a mark too many at {position}"
        after = text[position + 1 : position + 2] or "\n"
        if not is_mark and (wrong := _why(before, character, after)) and not (newlines and character == "\n"):
            return f"{wrong}: {character!a} at {position}"
        before = character
    return ""


@cache
def _is_seen(character: str) -> bool:
    """Whether it is safe wherever it stands."""
    depends = _is_mark(character) or _is_selector(character) or character in _JOINERS
    return not depends and not _why("", character, "")


@cache
def _is_mark(character: str) -> bool:
    is_mark = unicodedata.category(character)[0] == "M"
    return is_mark and not _is_selector(character) and character not in _FILLERS


def _why(before: str, character: str, after: str) -> str:
    if character in _JOINERS:
        nothing = before.isascii() or after.isascii() or before in _JOINERS or after in _JOINERS
        return "a joiner that joins nothing" if nothing else ""
    if _is_selector(character):
        return "a selector that selects nothing" if before in " \n" or _is_mark(before) else ""
    category = unicodedata.category(character)
    unseen = character in _FILLERS or category[0] == "C" or (category[0] == "Z" and character != " ")
    return f"nobody can see {category}" if unseen else ""
