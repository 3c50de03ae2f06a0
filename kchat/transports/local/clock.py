"""The room's own clock, by which history grows old: seconds that have passed, independent of its senders' clocks.

A sender's clock may be wrong, and be set back and forth while people talk. What a message says about its time is shown
and searched for, but deletes nothing. Time that passes is measured by the kernel since the machine was started
(``CLOCK_BOOTTIME``), which cannot be set; from one start to the next by the clock on the wall, and then a day counts
at most.
"""

from __future__ import annotations

import sqlite3
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

#: The longest that is believed to have passed between two starts of the machine, or where starts cannot be told apart.
DAY = 86400.0


class Reading(NamedTuple):
    """What the clocks show at a moment: on the wall (UNIX seconds), the kernel's, and since which start."""

    wall: float
    kernel: float
    boot: str

    def since(self, then: Reading) -> float:
        """Seconds that have certainly passed since an earlier reading."""
        if self.boot and self.boot == then.boot:
            return max(0.0, self.kernel - then.kernel)
        return min(max(0.0, self.wall - then.wall), DAY)


@lru_cache(maxsize=1)
def _boot() -> str:
    """What tells one start of this machine from all others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _kernel() -> float:
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if number is None else time.clock_gettime(number)


def read() -> Reading:
    """The clocks now."""
    return Reading(time.time(), _kernel(), _boot())


def start(db: sqlite3.Connection) -> None:
    """Let a room's clock begin, in the caller's transaction."""
    db.execute("INSERT INTO clock (passed, wall, kernel, boot) VALUES (0, ?, ?, ?)", read())


def passed(db: sqlite3.Connection) -> float:
    """Seconds on the room's clock, which began when the room was made."""
    seconds, *then = db.execute("SELECT passed, wall, kernel, boot FROM clock").fetchone()
    return float(seconds) + read().since(Reading(*then))


def save(db: sqlite3.Connection) -> None:
    """Write down what has passed, in the caller's transaction."""
    db.execute("UPDATE clock SET passed = ?, wall = ?, kernel = ?, boot = ?", (passed(db), *read()))
