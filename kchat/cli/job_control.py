"""A full-screen display: its keys, and restoring the screen while the process is stopped and when it is killed."""

from __future__ import annotations

import os
import re
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from kchat.display import Display, FullScreen

_REDRAW, _END = b"\x0c", b"q"  # Ctrl+L
# What an arrow, a function key or Alt sends (ECMA-48, section 5.4; SS3 before one character; ESC before one).
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O]|$)", re.DOTALL)


class _Keyboard:
    """Takes the keys of the terminal behind a file descriptor; Ctrl+C, Ctrl+Z and Ctrl+S keep their meaning.

    They are not echoed. Without a terminal there are none.
    """

    def __init__(self, descriptor: int) -> None:
        self._terminal: int | None = None
        self._before: list[Any] | None = None
        # A separate file, so that nobody else's reads become non-blocking.
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        with suppress(OSError):  # not a terminal, or one that this process may write to but not open
            self._terminal = os.open(os.ttyname(descriptor), flags)

    def take(self) -> bool:
        """Stop the echo, and get keys as they are typed; returns whether that worked.

        In the background this stops the process until it is in the foreground: SIGTTOU.
        """
        if self._terminal is None:
            return False
        try:
            self._before = self._before or termios.tcgetattr(self._terminal)
            tty.setcbreak(self._terminal, termios.TCSANOW)
        except termios.error:
            return False
        return True

    def give_back(self) -> None:
        """Restore the terminal as it was before :meth:`take`. May be called twice, and does not block."""
        before, self._before = self._before, None
        if self._terminal is None or before is None:
            return
        with suppress(OSError):  # not the controlling terminal, so it has no foreground process
            if os.tcgetpgrp(self._terminal) != os.getpgrp():
                return  # another process has it now, and its settings must stay
        with suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(self._terminal, termios.TCSANOW, before)

    def keys(self) -> bytes:
        """What was typed since the last time, without the sequences of arrow and function keys."""
        if self._terminal is None or self._before is None:
            return b""
        try:
            typed = os.read(self._terminal, 65536)
        except OSError:  # nothing was typed, or the terminal is gone
            return b""
        return _SEQUENCE.sub(b"", typed)

    def close(self) -> None:
        """Give the terminal back, and close it."""
        self.give_back()
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None


class Screen:
    """Holds a terminal for a display: takes keys, and restores everything when the process stops or ends."""

    def __init__(self, display: FullScreen, title: str, descriptor: int) -> None:
        self._display = display
        self._title = title
        self._keyboard = _Keyboard(descriptor)
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
        """Do what signals and keys have asked for since the last call; returns whether one of them was to end it."""
        if self._stop_asked:
            self._stop_asked = False
            self._keyboard.give_back()
            self._display.suspend()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._continued = True
        keys = self._keyboard.keys()
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
            self._keyboard.give_back()
            self._display.suspend()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


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
