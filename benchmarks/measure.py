"""Running sides in turn, and whole processes with what they took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import IO, NamedTuple

Figures = dict[str, float]
"""What one run of one side has shown, by name with its unit: ``{"messages/s": 31000.0}``."""

Side = Callable[[], Figures]

SECONDS = 180.0
"""How long one process may take."""

_LAUNCH = str(Path(__file__).parent / "launch.py")


class Failed(Exception):
    """A process ended with an error, or did not end."""


class Whole(NamedTuple):
    """What a whole process took, from its start to its end.

    Attributes:
        seconds: of time.
        cpu: seconds of processor time.
        mib: peak resident memory.
    """

    seconds: float
    cpu: float
    mib: float


class Samples(NamedTuple):
    """One figure of one side, over the rounds."""

    values: list[float]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def least(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.values)


Results = dict[str, dict[str, Samples]]
"""Side → figure → samples."""


def alternate(sides: Mapping[str, Side], rounds: int, say: Callable[[str], None]) -> Results:
    """Run the sides one after the other, several rounds, so that a machine that gets slower does so for all of them.

    Every second round goes backwards: none always comes after the same other.
    """
    results: Results = {name: {} for name in sides}
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in names:
            say(f"round {number + 1} of {rounds}: {name}")
            for figure, value in sides[name]().items():
                results[name].setdefault(figure, Samples([])).values.append(value)
    return results


def whole(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    stdin: Path | None = None,
    stdout: int | None = None,
    seconds: float = SECONDS,
) -> Whole:
    """Run a command to its end and measure all of it.

    Arguments:
        command: it and its arguments.
        environment: all of it.
        folder: to run it in.
        stdin: a file. Default nothing.
        stdout: a descriptor. Default a pipe that is read as fast as it fills.
        seconds: how long it may take.

    Raises:
        Failed: it ended with an error, or took too long.
    """
    report, report_end = os.pipe()
    source: IO[bytes] | int = stdin.open("rb") if stdin is not None else subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _LAUNCH, str(report_end), *command],
            stdin=source,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            pass_fds=[report_end],
            start_new_session=True,
        )
    finally:
        os.close(report_end)
        if not isinstance(source, int):
            source.close()
    said: list[bytes] = []
    readers = (
        [threading.Thread(target=_swallow, args=(process.stdout, None), daemon=True)]
        if process.stdout
        else []
    )
    readers.append(threading.Thread(target=_swallow, args=(process.stderr, said), daemon=True))
    for reader in readers:
        reader.start()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    finally:  # whatever happened, it has no more to do
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for reader in readers:
        reader.join(5)
    with os.fdopen(report) as told:
        text = told.read()
    figures: dict[str, float] = json.loads(text) if text else {}
    if figures.get("code") != 0:
        shown = b"".join(said).decode(errors="replace")[-1000:]
        raise Failed(f"{command[0]} {' '.join(command[1:4])} ...: exit {figures.get('code')}\n{shown}")
    return Whole(figures["seconds"], figures["cpu"], figures["mib"])


def _swallow(pipe: IO[bytes] | None, kept: list[bytes] | None) -> None:
    assert pipe is not None
    with pipe:
        while data := os.read(pipe.fileno(), 1 << 16):
            if kept is not None:
                kept.append(data)


def cpu_seconds(pid: int) -> float:
    """Processor time that a running process has used so far, to the nanosecond (Linux)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
