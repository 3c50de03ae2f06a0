"""A pseudo-terminal with a program in it: what it writes, when, and what it takes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.measure import SECONDS, Failed

_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A context manager; the program is killed at its end.

    Arguments:
        command: the program and its arguments.
        environment: all of it.
        folder: to run it in.
        columns: of the terminal.
        lines: likewise.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        columns: int = 80,
        lines: int = 24,
    ) -> None:
        self.started = time.perf_counter()
        self.written = bytearray()
        """What the program has written, as far as it was read."""
        self._pid, self._descriptor = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], list(command), {**environment, "TERM": "xterm-256color"})
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._descriptor)

    def type(self, keys: bytes) -> None:
        """Type keys."""
        os.write(self._descriptor, keys)

    def until(self, seen: Callable[[bytearray], bool], seconds: float = SECONDS) -> float:
        """Read until what was written has something in it; returns when that was, by ``time.perf_counter``.

        Raises:
            Failed: it did not come in time, or the program ended.
        """
        ends = time.perf_counter() + seconds
        while not seen(self.written):
            if not self._read(max(0.0, ends - time.perf_counter())):
                raise Failed(f"not seen: {bytes(self.written[-500:])!r}")
        return time.perf_counter()

    def watch(self, seconds: float) -> None:
        """Read what is written for this time."""
        ends = time.perf_counter() + seconds
        while (left := ends - time.perf_counter()) > 0:
            self._read(left)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._descriptor, 1 << 16)
        except OSError:
            return False
        self.written += data
        return bool(data)

    @property
    def cpu(self) -> float:
        """Seconds of processor time that the program has taken."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def mib(self) -> float:
        """Its resident memory."""
        return (
            int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
            * os.sysconf("SC_PAGE_SIZE")
            / (1 << 20)
        )
