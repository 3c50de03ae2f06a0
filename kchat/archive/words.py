"""The most frequent words of texts: :func:`most_frequent`. Only for ``kchat stats --words``, which reads all texts.

A word is what spaces and punctuation separate, casefolded, in Unicode's form NFC, with apostrophes and hyphens in it:
``don't``, ``re-read``. It begins with a letter and has 3 to 40 characters. Web addresses and mentions (``@ada``) do not
count, nor do the function words of English, which would come first in every room. Writing that does not separate its words,
such as Chinese, is counted in whole phrases.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from unicodedata import normalize

SHORTEST, LONGEST = 3, 40
"""Characters of a word."""

MOST_WORDS = 200_000
"""Different words that are counted at a time: some 30 MB. Beyond that, rare ones are left out as :class:`Words` says."""

# Marks belong to the letter before them, but are no \w to Python: accents, Hebrew points, Arabic and Indic vowel signs.
_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u064b-\u0670"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0eff\u0f71-\u0fbc\u102b-\u109f\u17b4-\u17d3"
)
_WORD = re.compile(
    rf"https?://\S+|www\.\S+|@[\w{_MARKS}.-]+|(?<!\w)([^\W\d_][\w{_MARKS}]*(?:['-][\w{_MARKS}]+)*)"
).findall

_TOGETHER = 100_000
"""Characters that are looked at together; a text is not divided."""

_FUNCTION_WORDS = """
about after all also and any are aren't because been before being but can can't could couldn't did
didn't does doesn't doing don't down each few for from get gets getting going got had has hasn't
have haven't having her here here's hers him his how i'd i'll i'm i've into isn't it'll it's its
just let let's like more most much must mustn't myself nor not now off once one only other our
ours out over own really same she she'd she's should shouldn't some still such than that that's the
their theirs them then there there's these they they'd they'll they're they've this those through
too under until very was wasn't way we'd we'll we're we've well were weren't what what's when where
which while who who's whom why will with won't would wouldn't yes yet you you'd you'll you're you've
your yours yourself
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Of English, as they stand in texts; those of fewer letters are too short anyway."""


class Words:
    """Counts words.

    Of more than :data:`MOST_WORDS` different words, the rare half is forgotten, and counted anew where it comes again: lossy
    counting (Manku and Motwani, "Approximate Frequency Counts over Data Streams", 2002, section 4.2). That happens where
    messages are full of random letters; the most frequent words are never among them.

    Arguments:
        most: different words at a time. Default: :data:`MOST_WORDS`.
    """

    def __init__(self, most: int = MOST_WORDS) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def add(self, texts: Iterable[str]) -> None:
        """Count the words of some texts."""
        together = "\n".join(texts).casefold().replace("\u2019", "'")
        # Normalised after casefolding, which takes some letters apart.
        found = _WORD(normalize("NFC", together))
        self._counts.update(word for word in found if SHORTEST <= len(word) <= LONGEST)
        if len(self._counts) > self._most:
            kept = self._counts.most_common(self._most // 2)
            least = kept[-1][1]
            self._counts = Counter({word: many for word, many in kept if many > least} or dict(kept))

    def most_frequent(self, most: int) -> list[tuple[str, int]]:
        """The most frequent words and how often; those of the same number in the order of their code points."""
        counts = [(word, many) for word, many in self._counts.items() if word not in FUNCTION_WORDS]
        return sorted(counts, key=lambda item: (-item[1], item[0]))[:most]


def most_frequent(texts: Iterable[str], most: int) -> list[tuple[str, int]]:
    """The most frequent words of texts and how often each is there; by that, then by the word.

    Arguments:
        texts: of messages; they are read once, some at a time.
        most: words to return.
    """
    words, some, characters = Words(), [], 0
    for text in texts:
        some.append(text)
        characters += len(text)
        if characters > _TOGETHER:
            words.add(some)
            some, characters = [], 0
    words.add(some)
    return words.most_frequent(most)
