"""A terminal without a window: a pseudo-terminal with an emulator (pyte) behind it."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import threading
from typing import TextIO

import pyte


class Terminal:
    """Shows what is written to ``stream`` on ``screen``.

    Arguments:
        columns: the width of the terminal.
        lines: its height.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self._master, slave = os.openpty()
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self.screen = pyte.Screen(columns, lines)
        self._emulator = pyte.ByteStream(self.screen)
        self._raw = bytearray()
        self._arrived = threading.Condition()
        self._marks = 0
        self._set_size(columns, lines)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, columns: int, lines: int) -> None:
        """As when somebody drags the window's corner."""
        self._set_size(columns, lines)
        self.screen.resize(lines, columns)

    def raw(self) -> bytes:
        """All bytes that were written until now."""
        self._marks += 1
        mark = b"\x1b]999;%d\x07" % self._marks  # a command that no terminal knows
        os.write(self.stream.fileno(), mark)
        with self._arrived:
            if not self._arrived.wait_for(lambda: mark in self._raw, 10):
                raise TimeoutError("the terminal does not read")
            return bytes(self._raw)

    def rows(self) -> list[str]:
        """The screen's lines, without the spaces at their ends."""
        self.raw()
        return [line.rstrip() for line in self.screen.display]

    def close(self) -> None:
        """Close both ends. May be called twice."""
        if self.stream.closed:
            return
        self.stream.close()
        self._reader.join(30)
        os.close(self._master)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # Linux: the other end is closed
                return
            if not data:
                return
            with self._arrived:
                self._emulator.feed(data)
                self._raw += data
                self._arrived.notify_all()
