"""``kchat send --after CMD`` and ``--wait-pid PID``: waits for the end of a command or of a process, to tell of it."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from kchat.errors import SettingsError
from kchat.transports.poller import new_poller

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""A shell's exit codes for a command that cannot be started (POSIX, Shell Command Language, 2.8.2)."""

_LONGEST = 200
"""Characters of a command line that are told."""

_LOOK = 0.2
"""Seconds between two looks, where the system does not tell that a process has ended."""


LARGEST_PID = (1 << 31) - 1
"""What a pid_t holds; no system has as many."""


class NotStarted(SettingsError):
    """The command cannot be started. ``code``: what a shell would end with."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Ended(NamedTuple):
    """How something ended.

    Attributes:
        what: its name, for people.
        seconds: how long it took.
        code: its exit code, as a shell has it: 128 and the signal's number where a signal ended it. None if not known.
        by_signal: whether a signal ended it.
    """

    what: str
    seconds: float
    code: int | None = None
    by_signal: bool = False

    @property
    def text(self) -> str:
        """As a message says it."""
        took = duration(self.seconds)
        if self.code is None:
            return f"{self.what}: ended after {took}"
        if self.code == 0:
            return f"{self.what}: done after {took} (exit code 0)"
        how = f"exit code {self.code}"
        if self.by_signal:
            with suppress(ValueError):  # one without a name
                how = f"killed by {signal.Signals(self.code - 128).name}, {how}"
        return f"{self.what}: failed after {took} ({how})"

    @property
    def extra(self) -> dict[str, object]:
        """For programs: further keys of the message's body."""
        known = {} if self.code is None else {"exit_code": self.code}
        return {**known, "seconds": round(self.seconds, 3)}


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 2 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for name, unit, less, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // part} {less}"
    return f"{whole} s"


def run(words: Sequence[str], label: str | None = None) -> Ended:
    """Run a command to its end, with this process's standard streams.

    Ctrl+C reaches it by itself, and not this process; SIGTERM and SIGHUP are passed on to it.

    Arguments:
        words: the command and its arguments; no shell sees them.
        label: its name, for people. Default: the command line.

    Raises:
        NotStarted: there is no such command, or it cannot be executed.
    """
    began = time.monotonic()
    with _signals_passed_on() as children:
        try:
            child = subprocess.Popen(words)
        except OSError as error:
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            raise NotStarted(f"cannot run {words[0]!r}: {error.strerror or error}", code) from error
        children.append(child)
        code = child.wait()
    seconds = time.monotonic() - began
    return Ended(label or _shown(words), seconds, code if code >= 0 else 128 - code, by_signal=code < 0)


def _shown(words: Sequence[str]) -> str:
    line = shlex.join(words)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


@contextmanager
def _signals_passed_on() -> Iterator[list[subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:  # a terminal sends that to both
            for child in children:
                child.send_signal(number)

    # Handlers end with the command's exec; what is ignored would stay so (execve(2)).
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if _is_heeded(number)]
    before = [signal.signal(number, pass_on) for number in numbers]
    try:
        yield children
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _is_heeded(number: int) -> bool:
    return signal.getsignal(number) is not signal.SIG_IGN  # nohup ignores SIGHUP


def wait_for(pid: int, label: str | None = None, waits: Callable[[], object] = bool) -> Ended:
    """Wait until a process has ended that is not this one's child, so that nobody tells its exit code.

    Arguments:
        pid: its id.
        label: its name, for people. Default: that of its program, and its id.
        waits: called when its end will not be missed.

    Returns:
        How long it ran, where the system tells when it began (Linux); else, how long it was waited for.

    Raises:
        kchat.errors.SettingsError: there is no such process.
    """
    if pid > LARGEST_PID:
        raise _no_process(pid)
    began, name = _beginning(pid)
    what = label or (f"process {pid}" if name is None else f"{name} (process {pid})")
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            raise _no_process(pid) from None
        except OSError:
            _look_for_end(pid, waits)  # an old kernel, or a sandbox
        else:
            with os.fdopen(descriptor):
                poll = new_poller()
                poll.register(descriptor, select.POLLIN)
                waits()
                poll.poll()
    else:
        _look_for_end(pid, waits)
    return Ended(what, _clock() - began)


def _no_process(pid: int) -> SettingsError:
    return SettingsError(f"there is no process {pid}", hint="it may have ended already")


def _look_for_end(pid: int, waits: Callable[[], object]) -> None:
    known = False
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            if not known:
                raise _no_process(pid) from None
            return
        except PermissionError:
            pass  # it is there, and somebody else's
        if not known:
            waits()
        known = True
        time.sleep(_LOOK)


def _clock() -> float:
    """Seconds since the machine was started, where the system tells that; else of any clock that is never set."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if number is None else time.clock_gettime(number)


def _beginning(pid: int) -> tuple[float, str | None]:
    """When a process began, by :func:`_clock`, and its program's name; now and None where that is not known."""
    try:
        # proc(5): the name, in parentheses, may hold anything; the 20th field behind it is the time, in clock ticks.
        head, _, rest = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        )
        return int(rest.split()[19]) / os.sysconf("SC_CLK_TCK"), head.partition("(")[2]
    except (OSError, ValueError, IndexError):
        return _clock(), None
