"""The keyboard of a terminal with a full-screen display: keys are not echoed, and some of them have a meaning."""

from __future__ import annotations

import os
import re
import termios
from contextlib import suppress
from typing import Any

_LFLAG, _CC = 3, 6  # where tcgetattr has them
# What an arrow, a function key or Alt sends (ECMA-48, section 5.4; SS3 before one character; ESC before one).
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O]|$)", re.DOTALL)


class Keyboard:
    """Takes the keys of the terminal behind a file descriptor. Without a terminal it returns none.

    Ctrl+C, Ctrl+Z and Ctrl+S keep their meaning.

    Arguments:
        descriptor: an open file on the terminal.
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
            before = termios.tcgetattr(self._terminal)
            if self._before is None:
                self._before = before
            mode = termios.tcgetattr(self._terminal)
            mode[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN)
            mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
            termios.tcsetattr(self._terminal, termios.TCSANOW, mode)
        except termios.error:
            return False
        return True

    def give_back(self) -> None:
        """Restore the terminal as it was before :meth:`take`. May be called twice, and does not block."""
        before, self._before = self._before, None
        if self._terminal is None or before is None or self._is_background():
            return
        with suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(self._terminal, termios.TCSANOW, before)

    def _is_background(self) -> bool:
        """Whether another process has the terminal now, so that its settings must stay."""
        assert self._terminal is not None
        try:
            return os.tcgetpgrp(self._terminal) != os.getpgrp()
        except OSError:  # not the controlling terminal, so it has no foreground process
            return False

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
