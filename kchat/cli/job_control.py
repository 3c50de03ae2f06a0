"""A full-screen display: its keys, and restoring the screen while the process is stopped and when it is killed."""

from __future__ import annotations

import os
import re
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from kchat.display import Display, FullScreen

_REDRAW, _END = b"\x0c", b"q"  # Ctrl+L
# What an arrow, a function key or Alt sends (ECMA-48, section 5.4; SS3 before one character; ESC before one).
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O]|$)", re.DOTALL)


class Screen:
    """Holds a terminal for a display: takes keys, and restores everything when the process stops or ends.

    Keys are not echoed; Ctrl+C, Ctrl+Z and Ctrl+S keep their meaning. Without a terminal behind the descriptor there are
    none.
    """

    def __init__(self, display: FullScreen, title: str, descriptor: int) -> None:
        self._display, self._title = display, title
        self._stop_asked = self._continued = False
        self._before: list[Any] | None = None
        self._terminal: int | None = None
        # A separate file, so that nobody else's reads become non-blocking.
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        with suppress(OSError):  # not a terminal, or one that this process may write to but not open
            self._terminal = os.open(os.ttyname(descriptor), flags)

    def open(self) -> None:
        """Take the keyboard, then the screen. In the background, taking the keyboard stops the process: SIGTTOU."""
        if self._terminal is not None:
            import tty

            with suppress(termios.error):
                self._before = self._before or termios.tcgetattr(self._terminal)
                tty.setcbreak(self._terminal, termios.TCSANOW)
                self._display.hint = "q ends"
        self._display.open(self._title)

    def _give_back(self, leave: Callable[[], object]) -> None:
        """Restore the keyboard, which does not block on a stopped terminal, and then the screen. May be called twice."""
        before, self._before = self._before, None
        if self._terminal is not None and before is not None and not _is_background(self._terminal):
            with suppress(termios.error):  # the terminal may be gone
                termios.tcsetattr(self._terminal, termios.TCSANOW, before)
        leave()

    def close(self) -> None:
        """Give both back, and close the terminal."""
        self._give_back(self._display.close)
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    def _keys(self) -> bytes:
        """What was typed since the last time, without the sequences of arrow and function keys."""
        if self._terminal is None or self._before is None:
            return b""
        try:
            return _SEQUENCE.sub(b"", os.read(self._terminal, 65536))
        except OSError:  # nothing was typed, or the terminal is gone
            return b""

    def ended(self) -> bool:
        """Do what signals and keys have asked for since the last call; returns whether one of them was to end it."""
        if self._stop_asked:
            self._stop_asked = False
            self._give_back(self._display.suspend)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._continued = True
        keys = self._keys()
        if self._continued or _REDRAW in keys:
            self._continued = False
            self.open()
        return _END in keys

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the signals that stop, continue and kill a process."""
        if number == signal.SIGTSTP:
            self._stop_asked = True
        elif number == signal.SIGCONT:  # after a SIGSTOP too, during which the shell changed the terminal
            self._continued = True
        else:
            self._give_back(self._display.suspend)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _is_background(terminal: int) -> bool:
    """Whether another process has the terminal now, so that its settings must stay."""
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # not the controlling terminal, so it has no foreground process
        return False


@contextmanager
def opened(display: Display, title: str, descriptor: int) -> Iterator[Callable[[], bool]]:
    """Open a display; one on a whole screen gets the keys, and is closed at the end of the block, also after an error.

    What it yields is called between two things that the display does, and returns whether a key was to end it.
    """
    if not getattr(display, "live", False):
        display.open(title)
        yield lambda: False
        return
    screen = Screen(cast("FullScreen", display), title, descriptor)
    numbers = [signal.SIGTSTP, signal.SIGCONT, signal.SIGQUIT, signal.SIGHUP]
    ours = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup has it
    before = [signal.signal(number, screen.handle) for number in ours]
    try:
        screen.open()
        yield screen.ended
    finally:
        screen.close()
        for number, handler in zip(ours, before, strict=True):
            signal.signal(number, handler)
