"""Python's line editor at a terminal, which it leaves as it was, also while the process is suspended."""

from __future__ import annotations

import os
import signal
import sys
import termios
from contextlib import suppress
from types import FrameType
from typing import Any


def has_editor() -> bool:
    """Whether this Python was built with :mod:`readline`."""
    try:
        import readline  # noqa: F401 - to see whether it is there
    except ImportError:
        return False
    return True


class LineEditor:
    """Asks for lines on standard input and output. Open it first: some shells leave the terminal to who was suspended.

    Arguments:
        prompt: stands before each line.
    """

    def __init__(self, prompt: str) -> None:
        import readline

        self._readline = readline
        self._prompt = prompt
        self._terminal = sys.stdin.fileno()
        self._before: list[Any] = []  # the terminal's settings, and those of the editor
        self._editing: list[Any] = []
        self._asks = False
        self._handlers: list[tuple[signal.Signals, Any]] = []

    def open(self) -> None:
        """Take note of the terminal, and of signals that stop and continue the process."""
        with suppress(termios.error):
            self._before = termios.tcgetattr(self._terminal)
        self._readline.set_pre_input_hook(self._note_settings)
        for number in (signal.SIGTSTP, signal.SIGCONT):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                self._handlers.append((number, signal.signal(number, self._handle)))

    def close(self) -> None:
        """Let go of them."""
        self._readline.set_pre_input_hook()
        while self._handlers:
            signal.signal(*self._handlers.pop())

    def ask(self) -> str:
        """The next line, without its end.

        Raises:
            EOFError: Ctrl+D on an empty line.
        """
        self._asks = True
        try:
            return input(self._prompt)
        finally:
            self._asks = False

    def _note_settings(self) -> None:
        with suppress(termios.error):
            self._editing = termios.tcgetattr(self._terminal)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTSTP:
            self._set(self._before)
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._asks:  # after a SIGSTOP, too
            self._set(self._editing)
            sys.stdout.write(f"{self._prompt}{self._readline.get_line_buffer()}")
            sys.stdout.flush()

    def _set(self, settings: list[Any]) -> None:
        if self._asks and settings:
            with suppress(termios.error):  # the terminal may be gone
                termios.tcsetattr(self._terminal, termios.TCSANOW, settings)
