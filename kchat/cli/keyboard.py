"""The keys of a display that has the whole screen: from the terminal on standard input, without echo, one by one."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

from kchat.transports.poller import new_poller

# Up to its last byte, what a special key or Alt and a key sends (ECMA-48, section 5.4; SS3 and ESC before one character).
_KEY = re.compile(rb"\x1b(?:\x1b?\[[0-?]*[ -/]*[@-~]|O.|[^\[O]|$)|.", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b(?:O|\[[0-?]*[ -/]*)\Z")
_LONGEST = 64  # bytes of a sequence, at most
_MOST = 4096  # bytes that are read at once

# What xterm, the Linux console, rxvt, screen and tmux send; modifiers may be in between, as in ESC [ 5 ; 2 ~.
_ENDINGS = {b"A": "up", b"B": "down", b"H": "home", b"F": "end"}
_NUMBERS = {b"1": "home", b"7": "home", b"4": "end", b"8": "end", b"5": "pageup", b"6": "pagedown"}
_PLAIN = {b"q": "q", b"Q": "q", b"\x0c": "redraw"}


class Keyboard:
    """A terminal's keys, while they are taken (:meth:`take`). Ctrl+C, Ctrl+Z, Ctrl+S and Ctrl+\\ keep their meaning.

    Where standard input is not a terminal there are no keys: whatever is typed may be for another process. If that is typed
    at the display's own terminal, it is not echoed all the same.

    Arguments:
        screen: the descriptor of the terminal that the display draws on.
        wake: called in another thread when a key was pressed.
    """

    def __init__(self, screen: int, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._before: list[Any] | None = None
        self._read = Event()
        self._rest = b""
        self._poll = new_poller()
        self.has_keys = False
        self.descriptor = screen
        with suppress(OSError, ValueError, AttributeError):  # standard input may be closed
            descriptor = sys.stdin.fileno()
            if os.isatty(descriptor):
                self.descriptor, self.has_keys = descriptor, True
                self._poll.register(descriptor, select.POLLIN)

    def take(self) -> None:
        """From now on nothing is echoed, and keys come one by one. In the background it stops the process: SIGTTOU."""
        if not self.has_keys and not _is_ours(self.descriptor):
            return
        with suppress(termios.error):
            self._before = self._before or termios.tcgetattr(self.descriptor)
            now = termios.tcgetattr(self.descriptor)
            now[3] &= ~termios.ECHO
            if self.has_keys:
                now[3] &= ~termios.ICANON
                now[6][termios.VMIN] = now[6][termios.VTIME] = 0  # reading never waits
            termios.tcsetattr(self.descriptor, termios.TCSANOW, now)

    def release(self) -> None:
        """Everything as it was. Does not wait for a stopped terminal. May be called twice, and from a signal handler."""
        before, self._before = self._before, None
        if before is not None and not _is_background(self.descriptor):
            with suppress(termios.error):  # the terminal may be gone
                termios.tcsetattr(self.descriptor, termios.TCSANOW, before)

    def notice(self) -> None:
        """In another thread, when there is something to read: wake the one that reads, and wait until it has."""
        self._read.clear()
        self._wake()
        self._read.wait()

    def pressed(self) -> list[str]:
        """The keys since the last call: ``q``, ``redraw``, ``up``, ``down``, ``pageup``, ``pagedown``, ``home``, ``end``."""
        data = b""
        if self.has_keys and self._before is not None:
            with suppress(OSError):  # the terminal is gone
                data = self._typed()
        self._read.set()
        if not data:
            return []
        data = self._rest + data
        found = _UNFINISHED.search(data[-_LONGEST:])
        self._rest = found.group() if found else b""
        data = data.removesuffix(self._rest)
        return [name for each in _KEY.findall(data) if (name := _name(each))]

    def _typed(self) -> bytes:
        """What was typed, up to the key that ends the display: the rest is for the shell."""
        data = b""
        # It is polled as well, since a program that is started elsewhere may have changed what take() has set.
        while len(data) < _MOST and self._poll.poll(0) and (byte := os.read(self.descriptor, 1)):
            data += byte
            if byte in b"qQ" and _KEY.findall(data[-_LONGEST:])[-1] == byte:
                break
        return data


def _name(key: bytes) -> str:
    if key in _PLAIN:
        return _PLAIN[key]
    if key[:2] not in (b"\x1b[", b"\x1bO"):
        return ""
    if key.endswith(b"~"):
        return _NUMBERS.get(key[2:-1].split(b";")[0], "")
    return _ENDINGS.get(key[-1:], "")


def _is_background(terminal: int) -> bool:
    """Whether another process has the terminal now, so that its settings must stay."""
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # not the controlling terminal, so it has no foreground process
        return False


def _is_ours(terminal: int) -> bool:
    """Whether it is the terminal that controls this process, and not one on which somebody else works."""
    try:
        return os.tcgetpgrp(terminal) > 0
    except OSError:
        return False
