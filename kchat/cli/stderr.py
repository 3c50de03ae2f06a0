"""Lines on standard error, made safe: they may hold text that came from a broker.

It never affects messages: :func:`guard_standard_error` puts a stream in front of it that cannot fail. If the reader is
gone, the disk full, the terminal closed or a pipe not emptied, lines are lost, and nothing else.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from kchat.transports.poller import new_poller

if TYPE_CHECKING:
    from kchat import events

PATIENCE = 1.0
"""Seconds to wait for a standard error that is blocked; after that, lines are dropped."""

_PIECE = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe reported as writable accepts without blocking (POSIX, ``write``)."""


class _NeverFails(io.RawIOBase):
    """The file descriptor of standard error to write to, in whatever state it is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._patience = PATIENCE

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal that is still there."""
        return os.isatty(self._descriptor)

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # the buffers that io gives
        """Write what can be written; returns the size of all data, as if all had been written."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            ends = monotonic() + self._patience
            waiting = new_poller()
            waiting.register(self._descriptor, select.POLLOUT)
            while rest and waiting.poll(int(max(0.0, ends - monotonic()) * 1000)):
                try:
                    rest = rest[os.write(self._descriptor, rest[:_PIECE]) :]
                except BlockingIOError:  # another process filled the pipe first
                    continue
            # A reader that did not read in that time is only waited for again after it has read.
            self._patience = 0.0 if rest else PATIENCE
        except OSError:
            pass
        return size


def guard_standard_error() -> None:
    """From now on nothing that is written to standard error can fail, block for long, or end up in another file.

    Called once, before anything is opened.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed by the parent process. The next file to be opened, maybe a room's, would get its number.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # characters that the terminal's encoding lacks are escaped
    if sys.stderr is not None and os.name != "nt":
        sys.stderr = io.TextIOWrapper(
            _NeverFails(sys.stderr.fileno()),
            encoding=sys.stderr.encoding,
            errors="backslashreplace",
            write_through=True,
        )


def can_show(text: str, stream: TextIO | None) -> bool:
    """Whether a stream's encoding has these characters."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class _Cursor:
    """Where the terminal's cursor is: behind what :func:`write_over` wrote, or at the beginning of a line."""

    in_line = False


_cursor = _Cursor()


def made_safe(text: object) -> str:
    """Text on one line, safe for a terminal, without passwords."""
    line = str(text)
    if "//" in line:
        from kchat.config.masking import mask

        line = mask(line)
    if not (line.isascii() and line.isprintable()):
        from kchat.message.unprintable import escape_unprintable  # takes a while to load

        line = escape_unprintable(line, keep_newlines=False)
    return line


def write_line(text: object) -> None:
    """Write one line to standard error."""
    line = made_safe(text)
    finish_line()
    _write(line + "\n")


def write_over(text: str) -> None:
    """Write text over the line of the terminal on which the cursor stands, and leave the line unfinished.

    Arguments:
        text: safe text, narrower than the terminal; empty to clear the line.
    """
    _write(f"\r\x1b[K{text}")
    _cursor.in_line = bool(text)


def finish_line() -> None:
    """End a line that :func:`write_over` has left unfinished, so that what comes next, from wherever, stands below it."""
    if _cursor.in_line:
        _cursor.in_line = False
        _write("\n")


def _write(text: str) -> None:
    if sys.stderr is not None:  # closed by the parent process
        sys.stderr.write(text)
        sys.stderr.flush()


def connection_teller(
    *, verbose: bool = False, several: bool = False, in_place: bool | None = None
) -> Callable[[events.Event], None]:
    """An ``on_event`` that says what happens to a connection: :class:`kchat.cli.connection_line.ConnectionLine`.

    What it needs is loaded when something happens, which is never in most runs.
    """
    told: list[Callable[[events.Event], None]] = []

    def tell(event: events.Event) -> None:
        if not told:
            from kchat.cli.connection_line import ConnectionLine

            told.append(ConnectionLine(verbose=verbose, several=several, in_place=in_place).tell)
        told[0](event)

    return tell


def line_writer(quiet: bool) -> Callable[[object], None]:
    """:func:`write_line`; with ``quiet``, a function that writes nothing."""
    return (lambda _text: None) if quiet else write_line
