"""Ctrl+Z while a display has the whole screen: the shell gets it back for as long as we are stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kchat.display import Display


class Suspension:
    """Stops this process when it was asked to, at a moment when the display is not in the middle of something.

    Arguments:
        display: gives the screen back before, and takes it again after.
        title: as for :meth:`kchat.display.Display.open`.
    """

    def __init__(self, display: Display, title: str) -> None:
        self._display = display
        self._title = title
        self._asked = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of SIGTSTP."""
        self._asked = True

    def stop_if_asked(self) -> None:
        """Stop, and come back when the shell says so (``fg``)."""
        if self._asked:
            self._asked = False
            self._display.close()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._display.open(self._title)


@contextmanager
def suspension(display: Display, title: str, *, on_screen: bool) -> Iterator[Suspension]:
    """Take care of SIGTSTP in the block, if the display is on the whole screen; else it stops us as it always does."""
    suspend = Suspension(display, title)
    before = signal.signal(signal.SIGTSTP, suspend.handle) if on_screen else None
    try:
        yield suspend
    finally:
        if before is not None:
            signal.signal(signal.SIGTSTP, before)
