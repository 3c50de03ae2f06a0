"""``kchat stats --watch``: the report drawn again as messages come."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from kchat.cli.job_control import opened
from kchat.cli.shutdown import shutdown_by_signal
from kchat.errors import KchatError, SettingsError
from kchat.transports.waker import Waker

if TYPE_CHECKING:
    from kchat.archive.stats import Stats

_SHARE = 8
"""Reading takes at most one part of the time in so many, whatever interval was asked for."""


class Reading:
    """The figures, read again only where they may have changed.

    Arguments:
        read: them as they are now.
        version: something small that changes when they may have.
    """

    def __init__(self, read: Callable[[], Stats], version: Callable[[], object]) -> None:
        self._read, self._version = read, version
        self._last: tuple[object, Stats] | None = None

    def __call__(self) -> Stats:
        """The figures; the same object where nothing has changed."""
        version = self._version()  # first, so that what comes meanwhile is read the next time
        if self._last is None or self._last[0] != version:
            self._last = version, self._read()
        return self._last[1]


def watch_archive(read: Callable[[], Stats], seconds: float, color: bool | None) -> int:
    """Draw the figures again and again, until q, Ctrl+C or SIGTERM. Returns the exit code.

    Arguments:
        read: the figures as they are now. Its first error is raised; later ones are shown, and it is tried again.
        seconds: from one reading to the next one.
        color: True, False, or None for what the terminal says.

    Raises:
        kchat.errors.SettingsError: standard output is not a terminal that can be drawn on.
    """
    if sys.stdout is None or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        raise SettingsError("--watch draws on a terminal, and standard output is not one")
    from kchat.archive.terminal.live import LiveReport

    with shutdown_by_signal() as stop, closing(Waker()) as waker:
        display = LiveReport(sys.stdout, color=color)
        display.update(read())
        stop.graceful, stop.wake = True, waker.wake
        with opened(cast("Any", display), "", sys.stdout.fileno(), waker.wake) as (ended, keyboard):
            keys = () if keyboard is None else (keyboard.descriptor,)
            due = time.monotonic() + seconds
            while not stop() and not ended():
                if (left := due - time.monotonic()) <= 0:
                    begun = time.monotonic()
                    try:
                        display.update(read())
                    except KchatError as error:
                        display.fail(str(error))
                    due = time.monotonic() + max(seconds, _SHARE * (time.monotonic() - begun))
                    continue
                waker.wait(left, *keys)
                display.draw()
    return 0
