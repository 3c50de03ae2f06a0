"""The bot of ``kchat send --bot``: quotes from the package's list, with pauses, until it is stopped."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from kchat.cli.param_types import Read, read_seconds

if TYPE_CHECKING:
    from kchat.message import Message

_LOOK = 0.1
"""Seconds between two checks, in a pause, whether to stop."""


class Pause(NamedTuple):
    """How long to wait between two quotes: a random number of seconds from ``least`` to ``most``."""

    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.least:g}" if self.least == self.most else f"{self.least:g} to {self.most:g}"


def _pause(text: str) -> Pause:
    least, dots, most = text.partition("..")
    pause = Pause(read_seconds(least, zero=True), read_seconds(most if dots else least, zero=True))
    if pause.least > pause.most:
        raise ValueError(f"{text!r} is not a range from the shorter pause to the longer one")
    return pause


PAUSE = Read("pause", _pause)
"""Seconds, ``5``, or a range of them, ``1..10``."""


def posts(
    first: str | None, pause: Pause, count: int | None, stop: Callable[[], bool], *, as_authors: bool = False
) -> Iterator[str | Message | None]:
    """What the bot sends: the quotes in random order, again and again.

    Arguments:
        first: a message to begin with; None for none.
        pause: between two messages.
        count: number of quotes after which it ends. None for never.
        stop: called ten times a second; true ends a pause.
        as_authors: whether a quote's author is the sender of its message, instead of a name in its text.

    Yields:
        Messages, and ``None`` before each pause, so that the last one's confirmation is collected.
    """
    from random import uniform  # takes a while to load, and every send loads this module

    begun = False
    if first is not None:
        yield first
        begun = True
    for quote in _quotes(count):
        if begun:
            yield None
            until = time.monotonic() + uniform(*pause)  # noqa: S311 - no secret
            while not stop() and (left := until - time.monotonic()) > 0:
                time.sleep(min(left, _LOOK))
        yield _by_author(quote) if as_authors else quote
        begun = True


def _quotes(count: int | None) -> Iterator[str]:
    from importlib.resources import files
    from random import sample

    quotes = files("kchat").joinpath("data/quotes.txt").read_text("utf-8").splitlines()
    sent = 0
    while True:
        for quote in sample(quotes, len(quotes)):
            if sent == count:
                return
            yield quote
            sent += 1


def _by_author(quote: str) -> Message:
    """``Text (Author, Work)`` as a message of the author's."""
    from kchat.message import Message

    found = re.fullmatch(r"(.+) \(([^,()]+)(?:, .+)?\)", quote)
    assert found is not None, quote
    return Message.compose(found[2], found[1])
