"""The displays that tests run through: those of the registry, and what each says of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kchat.display import MODES
from kchat.plugins import Entry

LONGEST = 65536 + 200
"""Bytes: a message of 64 KiB, which is where they are cut, and what stands in front of it and behind."""


def without_aliases(entries: Iterable[Entry]) -> list[str]:
    """The names, one for each class: an alias is the same display."""
    return list({entry.path: entry.name for entry in reversed(list(entries))}.values())[::-1]


EVERY = without_aliases(map(MODES.entry, MODES))
"""With those of plug-ins that are installed here."""

BUILT_IN = without_aliases(MODES.built_in.values())


def row_of(mode: str) -> re.Pattern[str]:
    """How a message begins in that mode, where the output is not a terminal."""
    pattern = getattr(MODES[mode], "ROW", None)
    assert pattern is not None, (
        f"the class {MODES.entry(mode).path} of the mode {mode} has no ROW, a regular expression for how its rows begin: "
        "see kchat.display.Display"
    )
    return re.compile(pattern)


def longest_of(mode: str) -> int:
    """The most bytes that a message takes in that mode."""
    return int(getattr(MODES[mode], "LONGEST", LONGEST))
