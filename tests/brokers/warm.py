"""Runs of ``python -m kchat`` from a process that has loaded Python and the libraries: a third of the processor time.

Each run is a process of its own, forked, with its own environment, folder and standard streams; kchat itself is loaded anew
by each. Only what runs to its end by itself comes from here (``Commands.run_kchat``): what tests signal, kill or watch is
started as people start it. With ``KCHAT_TEST_COLD=1`` everything is.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

import kchat

READ_BY_PYTHON = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "COVERAGE_")
"""Beginnings of variables that are read while Python and the libraries start; where they differ, a run is started afresh."""

READ_LATER = ("PYTHON_KEYRING_BACKEND",)

USUAL = {
    "LANG": "C.UTF-8",
    "PYTHONPATH": str(Path(kchat.__file__).parents[1]),
}  # the kchat that the tests import
"""Such variables of a command's environment, unless a test wants others."""

SERVER = Path(__file__).with_name("warm_server.py")


def inherited() -> dict[str, str]:
    """Returns what the usual environment has of the tests' own."""
    return {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}


@cache
def has_pidfd() -> bool:
    """Returns whether the kernel gives file descriptors for processes: Linux 5.3 and newer."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Returns whether a run with this environment may be forked: a fresh Python would start in the same way."""
    heeded = {
        name: value
        for name, value in environment.items()
        if name.startswith(READ_BY_PYTHON) and name not in READ_LATER
    }
    loader = {name: value for name, value in inherited().items() if name.startswith(READ_BY_PYTHON)}
    return not os.environ.get("KCHAT_TEST_COLD") and has_pidfd() and heeded == loader | USUAL


class Run:
    """One forked run of ``kchat``; what `tests.brokers.processes.Process` uses of `subprocess.Popen`."""

    def __init__(self, pid: int, pidfd: int, ended: socket.socket, pipes: Sequence[IO[bytes] | None]) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._ended = ended
        self.stdin, self.stdout, self.stderr = pipes
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, minus a signal's number, or ``None`` while it runs."""
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            self._read_end()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Waits for its end and returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if self.returncode is None:
            if not select.select([self._ended], [], [], max(0.0, timeout))[0]:
                raise subprocess.TimeoutExpired("kchat", timeout)
            self._read_end()
        assert self.returncode is not None
        return self.returncode

    def _read_end(self) -> None:
        told = self._ended.recv(64)
        assert told, "the process that starts kchat has ended"
        self.returncode = int(told)
        self._ended.close()
        os.close(self._pidfd)

    def send_signal(self, number: int) -> None:
        """Sends it a signal if it runs."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Sends SIGKILL if it runs."""
        self.send_signal(signal.SIGKILL)


class Warm:
    """The process that has the libraries loaded, started with the usual variables."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        with theirs:
            # Pipes, as its children have: Python asks what its standard streams are when it starts.
            self._process = subprocess.Popen(
                [sys.executable, str(SERVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=inherited() | USUAL | {"KCHAT_TEST_CONTROL": str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                cwd="/",
            )

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, *, stdin: bool) -> Run:
        """Starts ``kchat`` with arguments.

        Arguments:
            arguments: of the command.
            environment: all of it.
            cwd: folder to run it in.
            stdin: whether it gets a pipe to write to; otherwise its input is empty.
        """
        ended, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        asked, asking = os.pipe()
        reading, to_write = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), None)
        to_read, writing = os.pipe()
        to_read_errors, writing_errors = os.pipe()
        theirs = (reading, writing, writing_errors, asked)
        fds = array.array("i", [*theirs, told.fileno()])
        self._control.sendmsg([b"run"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        told.close()
        for each in theirs:
            os.close(each)
        with os.fdopen(asking, "wb") as request:
            request.write(json.dumps([list(arguments), dict(environment), str(cwd)]).encode())
        ended.settimeout(60)
        answer, pidfds, _, _ = socket.recv_fds(ended, 64, 1)
        assert answer, "the process that starts kchat has ended"
        pipes = [
            None if to_write is None else os.fdopen(to_write, "wb", buffering=0),
            os.fdopen(to_read, "rb", buffering=0),
            os.fdopen(to_read_errors, "rb", buffering=0),
        ]
        return Run(int(answer), pidfds[0], ended, pipes)

    def end(self) -> None:
        """Ends it."""
        self._control.close()
        try:
            self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise


_warm: list[Warm] = []


def warm_process() -> Warm:
    """Returns the process to fork from, started at first use."""
    if not _warm:
        _warm.append(Warm())
    return _warm[0]


def end_warm() -> None:
    """Ends the process to fork from, if it was started."""
    while _warm:
        _warm.pop().end()
