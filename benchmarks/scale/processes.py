"""Processes that take part: subscribers, a sender that keeps a pace; and what a process has used (Linux)."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from benchmarks.bench import LINE, Bench
from benchmarks.measure import Failed


class Heard(NamedTuple):
    """What all subscribers together have received so far.

    Attributes:
        delivered: messages.
        received: bytes in which they came, with AMQP's frames; 0 where nobody counts them.
    """

    delivered: int
    received: int


class Crowd(Protocol):
    """Subscribers that are listening."""

    pids: list[int]

    def heard(self) -> Heard:
        """What they have received so far."""


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a running process, those that have ended included, to the nanosecond.

    The clock's number is made as ``clock_getcpuclockid(3)`` makes it.
    """
    return time.clock_gettime((~pid << 3) | 2)


def machine_seconds() -> float:
    """Processor time that all processes of the machine have used since it started: ``/proc/stat``, proc_stat(5)."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise Failed(f"process {pid} has no memory any more")


class Many:
    """The subscribers of :mod:`benchmarks.drive.listen_many`, all in one process."""

    def __init__(self, process: subprocess.Popen[bytes], count: int) -> None:
        self._process, self._count = process, count
        self.pids = [process.pid]
        if self._line() != b"ready\n":
            raise Failed(f"not all of {count} subscribers could join")

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def heard(self) -> Heard:
        """See :class:`Crowd`.

        Raises:
            Failed: the broker has closed a connection.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(b"?\n")
        self._process.stdin.flush()
        told = json.loads(self._line() or b"{}")
        if told.get("connected") != self._count:
            raise Failed(f"of {self._count} subscribers, {told.get('connected', 0)} are still connected")
        return Heard(told["delivered"], told["bytes"])


class Processes:
    """``kchat subscribe``, each a process, which write their lines into one pipe.

    Arguments:
        lines: the pipe's end to read from; closed when all of them have closed theirs.
    """

    def __init__(self, lines: IO[bytes]) -> None:
        self.pids: list[int] = []
        self._count = 0
        self._reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._reader.start()

    def _read(self, lines: IO[bytes]) -> None:
        with lines:
            while data := os.read(lines.fileno(), 1 << 16):
                self._count += data.count(b"\n")

    def heard(self) -> Heard:
        """See :class:`Crowd`."""
        return Heard(self._count, 0)

    def join(self) -> None:
        """Wait until the last of them has closed its end."""
        self._reader.join(10)


@contextmanager
def many(bench: Bench, url: str, room: str, kind: str, count: int) -> Iterator[Crowd]:
    """Subscribers in one process, while the block runs."""
    with bench.running(
        bench.drive("listen_many", url, room, kind, count), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield Many(process, count)


@contextmanager
def processes(bench: Bench, url: str, room: str, count: int) -> Iterator[Crowd]:
    """As many ``kchat subscribe``, while the block runs."""
    command = bench.kchat("subscribe", "--url", url, "--room", room)
    read, write = os.pipe()
    with ExitStack() as stack:
        started = Processes(os.fdopen(read, "rb"))
        stack.callback(started.join)
        try:
            for _ in range(count):
                started.pids.append(stack.enter_context(bench.listening(command, write)).pid)
        finally:
            os.close(write)
        yield started


class Sender:
    """``kchat send -``, which is given lines at a pace by a thread.

    Arguments:
        process: it, with a pipe to its input.
        rate: lines a second.
    """

    def __init__(self, process: subprocess.Popen[bytes], rate: float) -> None:
        self.pid = process.pid
        self.sent = 0
        self._process, self._rate = process, rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        assert self._process.stdin is not None
        descriptor, began = self._process.stdin.fileno(), time.monotonic()
        try:
            while not self._stop.wait(max(0.0, began + self.sent / self._rate - time.monotonic())):
                os.write(descriptor, LINE.format(self.sent).encode() + b"\n")
                self.sent += 1
        except BrokenPipeError:
            pass  # it has ended, which :meth:`finish` tells

    def stop(self) -> None:
        """Give it no more lines."""
        self._stop.set()

    def finish(self, seconds: float = 60.0) -> None:
        """End its input, and wait until the last message is confirmed.

        Raises:
            Failed: it ends with an error, or does not end.
        """
        assert self._process.stdin is not None
        self.stop()
        self._thread.join(seconds)
        self._process.stdin.close()
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise Failed("kchat send does not end") from error
        if code:
            raise Failed(f"kchat send: exit {code}")


@contextmanager
def sender(bench: Bench, url: str, room: str, rate: float) -> Iterator[Sender]:
    """A sender, while the block runs; afterwards, all that it was given is confirmed."""
    command = bench.kchat("send", "--quiet", "--url", url, "--room", room, "-")
    with bench.running(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        started = Sender(process, rate)
        try:
            yield started
            started.finish()
        finally:
            started.stop()
