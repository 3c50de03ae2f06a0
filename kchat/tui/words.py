"""Links, mentions and highlighted words in a message's text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from kchat.display.links import find_links
from kchat.message.truncation import LONGEST, truncate, utf8_size
from kchat.message.unprintable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Sequence

TAB = " " * 4


class Part(NamedTuple):
    """A part of a text that is shown in another way.

    Attributes:
        start, end: where it is.
        link: the target, which is the part itself; empty for a mention or highlighted word.
    """

    start: int
    end: int
    link: str


def safe(text: str, *, total: int | None = None) -> str:
    """A message's text as the window shows it: cut, escaped, tabs as spaces, without newlines at its end.

    Arguments:
        text: as received.
        total: its size in bytes for the mark, where it is a part of something.
    """
    if len(text) * 4 > LONGEST:
        text = truncate(text, total=utf8_size(text) if total is None else total)
    if "\t" in text:
        text = text.replace("\t", TAB)
    return escape_unprintable(text).rstrip("\n")


class Highlights:
    """Finds one's name and the words that one wants to see.

    Arguments:
        name: one's username.
        words: further words.
    """

    def __init__(self, name: str, words: Sequence[str] = ()) -> None:
        kept = sorted({word.strip() for word in (name, *words) if word.strip()}, key=len, reverse=True)
        self._pattern = re.compile(rf"(?<!\w)@?(?:{'|'.join(map(re.escape, kept))})(?!\w)", re.IGNORECASE)

    def found_in(self, text: str) -> bool:
        """Whether there is one in a text."""
        return self._pattern.search(text) is not None

    def parts(self, text: str) -> list[Part]:
        """Links and highlighted words of a safe text, in order and apart from each other."""
        found = links(text)
        taken = [(part.start, part.end) for part in found]
        for word in self._pattern.finditer(text):
            if not any(start < word.end() and word.start() < end for start, end in taken):
                found.append(Part(word.start(), word.end(), ""))
        return sorted(found)


def links(text: str) -> list[Part]:
    """The links of a safe text. Each leads to exactly what is shown."""
    return [Part(start, end, text[start:end]) for start, end in find_links(text)]
