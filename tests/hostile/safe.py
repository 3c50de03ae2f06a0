"""What safe text is, said in another way than :mod:`kchat.text` does it: by Unicode's categories alone."""

from __future__ import annotations

import re
import unicodedata

ROW = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2} ")
"""How a row of the mode ``plain`` begins."""

_JOINERS = "\u200c\u200d"
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"


def _is_selector(character: str) -> bool:
    return unicodedata.name(character, "").startswith(("VARIATION SELECTOR", "MONGOLIAN FREE VARIATION"))


def why_unsafe(text: str, *, newlines: bool = True) -> str:
    """What is wrong with text for a terminal; empty when nothing is."""
    marks = 0
    before = "\n"
    for position, character in enumerate(text):
        category = unicodedata.category(character)
        where = f"{character!a} ({category}) at {position}"
        after = text[position + 1 : position + 2] or "\n"
        if character == "\n":
            if not newlines:
                return f"a newline at {position}"
        elif character in _JOINERS:
            if before.isascii() or after.isascii() or before in _JOINERS or after in _JOINERS:
                return f"a joiner that joins nothing: {where}"
        elif _is_selector(character):
            if before in " \n" or unicodedata.category(before).startswith("M"):
                return f"a selector that selects nothing: {where}"
        elif character in _FILLERS or category[0] == "C" or (category[0] == "Z" and character != " "):
            return f"nobody can see {where}"
        elif category[0] == "M":
            marks += 1
            if marks > 4 or before in " \n":
                return f"a mark too many: {where}"
        if category[0] != "M" and character not in _JOINERS:
            marks = 0
        before = character
    return ""
