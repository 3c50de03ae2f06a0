"""Message ids: UUID version 7 (RFC 9562), which sort by the time they were made.

The 48 bits of milliseconds are followed by a counter of 12 bits and 62 random bits: RFC 9562 section 6.2,
method 1. The counter begins anew at a random value below 2,048 in each millisecond, which leaves room for
2,048 ids and more; when it runs out, or the clock goes backwards, the ids run ahead of the clock. Within a
process every id is greater than the one before. Threads and forked children are safe.
"""

from __future__ import annotations

import os
import struct
import threading
import time

_COUNTER_END = 1 << 12
_COUNTER_START = (1 << 11) - 1

_AT_ONCE = 128
"""Random numbers of 64 bits for each call of the system, which takes as long as all the rest."""


class _Source:
    """What :func:`uuid7` remembers: time and counter of the last id, and random words not used yet."""

    __slots__ = ("_counter", "_lock", "_ms", "_words")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: a forked child must not repeat its parent's random words, nor inherit a held lock."""
        self._lock = threading.Lock()
        self._words: list[int] = []
        self._ms = -1
        self._counter = 0

    def next(self, ms: int) -> str:
        with self._lock:
            words = self._words
            if len(words) < 2:  # an id takes two at the most
                words += struct.unpack(f"={_AT_ONCE}Q", os.urandom(_AT_ONCE * 8))
            word = words.pop()
            if ms > self._ms:
                self._ms, self._counter = ms, words.pop() & _COUNTER_START
            elif self._counter < _COUNTER_END - 1:
                self._counter += 1
            else:
                self._ms, self._counter = self._ms + 1, words.pop() & _COUNTER_START
            ms, counter = self._ms, self._counter
        # The digit 7 is the version; 8, 9, a or b the variant: the bits 10 above the 62 random ones.
        return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - half the time of an f-string
            ms >> 16,
            ms & 0xFFFF,
            counter,
            word >> 48 & 0x3FFF | 0x8000,
            word & 0xFFFF_FFFF_FFFF,
        )


_source = _Source()
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_source.reset)


def uuid7(ms: int | None = None) -> str:
    """Make a new id.

    Arguments:
        ms: the time for it to carry, in milliseconds since 1970. Default now. A time before that of the last
            id does not make a smaller id.
    """
    return _source.next(time.time_ns() // 1_000_000 if ms is None else ms)
