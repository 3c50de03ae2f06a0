"""Lines on standard error, made safe: they may hold text that came from a broker."""

from __future__ import annotations

import sys
from collections.abc import Callable


def speaker(quiet: bool) -> Callable[[object], None]:
    """A function that writes one line to standard error; with ``quiet``, one that does not."""

    def say(text: object) -> None:
        line = str(text)
        if "//" in line:
            from kchat.masking import mask

            line = mask(line)
        if not (line.isascii() and line.isprintable()):
            from kchat.text import visible  # takes a while to load

            line = visible(line, keep_newlines=False)
        if sys.stderr is not None:  # closed by whoever started us
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    return _silence if quiet else say


def _silence(_text: object) -> None:
    """Say nothing."""
