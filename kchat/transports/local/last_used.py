"""When a queue was last used: by the clock on the wall, to be shown, and by the room's clock, for ``x-expires``.

A wall clock that is set forward by a month would delete everybody's durable queues, so both have to agree. The file has one
number for it, which older kchats read as UNIX seconds: so the seconds are whole there, and the fraction of a second is the
room's clock in hours, of 2**20. An older kchat's own fraction means nothing. It mostly reads as a time that the room's clock
has not come to, and then the queue does not expire before it is used again.
"""

from __future__ import annotations

import math
import sqlite3
import time

from . import clock

_HOUR = 3600.0

_PARTS = 1 << 20
"""Hours that fit: 119 years. A float of 1.8e9 seconds holds a fraction of 22 bits."""

_BRIEF = 2 * _HOUR
"""An ``x-expires`` up to this goes by the wall clock alone: hours are too coarse for it."""


def stamp(db: sqlite3.Connection, expires: float | None) -> float:
    """Now, as the file has it of a queue with that ``x-expires``, in seconds."""
    if expires is None or expires <= _BRIEF:
        return time.time()
    hours = min(int(clock.passed(db) / _HOUR), _PARTS - 1)
    return math.floor(time.time()) + hours / _PARTS


def is_over(db: sqlite3.Connection, used_at: float, expires: float) -> bool:
    """Whether a queue that was last used then has been unused for so many seconds, by both clocks.

    Arguments:
        db: the room.
        used_at: of :func:`stamp`.
        expires: seconds.
    """
    if time.time() - used_at < expires:
        return False
    if expires <= _BRIEF:
        return True
    hours = round((used_at - math.floor(used_at)) * _PARTS)
    return clock.passed(db) - (hours + 1) * _HOUR >= expires
