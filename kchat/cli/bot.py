"""The bot of ``kchat send --bot``: quotes from the package's list, with pauses, until it is stopped."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
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
    """What the bot sends: a first message, if there is one, and quotes in random order, ``count`` or without end.

    ``None`` comes before each pause, so that the last message's confirmation is collected; a true ``stop()``, called ten
    times a second, ends the pause. With ``as_authors``, a quote's author is the sender of its message.
    """
    from kchat.chance import between  # takes a while to load, and every send loads this module

    for number, text in enumerate(chain([] if first is None else [first], islice(_quotes(), count))):
        if number:
            yield None
            until = time.monotonic() + between(*pause)
            while not stop() and (left := until - time.monotonic()) > 0:
                time.sleep(min(left, _LOOK))
        yield _by_author(text) if as_authors and text is not first else text


def _quotes() -> Iterator[str]:
    from importlib.resources import files
    from random import SystemRandom

    quotes = files("kchat").joinpath("data/quotes.txt").read_text("utf-8").splitlines()
    while True:
        yield from SystemRandom().sample(quotes, len(quotes))


def _by_author(quote: str) -> Message:
    """``Text (Author, Work)`` as a message of the author's."""
    from kchat.message import Message

    found = re.fullmatch(r"(.+) \(([^,()]+)(?:, .+)?\)", quote)
    assert found is not None, quote
    return Message.compose(found[2], found[1])
