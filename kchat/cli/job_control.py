"""A full-screen display: its keys, and restoring the screen while the process is stopped and when it is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from kchat.cli.keyboard import Keyboard

if TYPE_CHECKING:
    from kchat.display import FullScreen

_REDRAW, _END = b"\x0c", b"q"  # Ctrl+L


class Screen:
    """Holds a terminal for a display: takes keys, and restores everything when the process stops or ends.

    Arguments:
        display: draws on the screen.
        title: as for :meth:`kchat.display.Display.open`.
        descriptor: an open file on the terminal.
    """

    def __init__(self, display: FullScreen, title: str, descriptor: int) -> None:
        self._display = display
        self._title = title
        self._keyboard = Keyboard(descriptor)
        self._stop_asked = False
        self._continued = False

    def open(self) -> None:
        """Take the keyboard, then the screen. In the background, taking the keyboard stops the process."""
        if self._keyboard.take():
            self._display.hint = "q ends"
        self._display.open(self._title)

    def close(self) -> None:
        """Give both back; the keyboard first, because that does not block on a stopped terminal."""
        self._keyboard.close()
        self._display.close()

    def ended(self) -> bool:
        """Do what signals and keys have asked for since the last call; returns whether one of them was to end it.

        Called from the loop, between two things that the display does.
        """
        if self._stop_asked:
            self._stop_asked = False
            self._keyboard.give_back()
            self._display.suspend()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._continued = True
        if self._continued:
            self._continued = False
            self.open()
        keys = self._keyboard.keys()
        if _REDRAW in keys:
            self._display.redraw()
        return _END in keys

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the signals that stop, continue and kill a process."""
        if number == signal.SIGTSTP:
            self._stop_asked = True
        elif number == signal.SIGCONT:  # after a SIGSTOP too, during which the shell changed the terminal
            self._continued = True
        else:
            self._keyboard.give_back()
            self._display.suspend()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


@contextmanager
def full_screen(display: FullScreen, title: str, descriptor: int) -> Iterator[Screen]:
    """Open a display on a terminal, and close it at the end of the block, also after an error."""
    screen = Screen(display, title, descriptor)
    numbers = [signal.SIGTSTP, signal.SIGCONT, signal.SIGQUIT, signal.SIGHUP]
    ours = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup has it
    before = [signal.signal(number, screen.handle) for number in ours]
    try:
        screen.open()
        yield screen
    finally:
        screen.close()
        for number, handler in zip(ours, before, strict=True):
            signal.signal(number, handler)
