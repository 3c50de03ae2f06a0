"""The parts of `attrition`: senders and durable subscribers as processes to be killed, and what they have told."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO, NamedTuple, Protocol

from kchat.message import rfc3339
from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until


class Patience(NamedTuple):
    """What a group's clients wait for, in seconds."""

    confirm_timeout: float
    heartbeat: float
    connect_timeout: float


USUAL = Patience(10.0, 10.0, 10.0)
"""Where no link is cut: a busy machine is not a fault."""

HURRIED = Patience(2.0, 1.0, 2.0)
"""Where links are cut: shorter than the silence, so that both ends notice."""

RATE = 400
"""Messages a second of one sender."""

START_SECONDS = 60.0
"""How long a process may take to do its first work; the machine is kept busy."""


def text_of(number: int) -> str:
    """The message that has this number in its sender's stream."""
    return f"{number} {'x' * 60}"


def number_of(text: str) -> int:
    """The reverse."""
    return int(text.partition(" ")[0])


class Process:
    """A process with its output in files, which stay when it is killed.

    Arguments:
        commands: what its environment is.
        name: of its files.
        command: its arguments after the interpreter.
        stdin: whether it gets a pipe to write to.
    """

    def __init__(self, commands: Commands, name: str, *command: str, stdin: bool = False) -> None:
        self.output = commands.home / f"{name}.out"
        self._errors = commands.home / f"{name}.err"
        with self.output.open("wb") as out, self._errors.open("wb") as err:
            self.popen = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=commands.environment,
                cwd=commands.home,
            )

    @property
    def said(self) -> str:
        """What it wrote on standard error."""
        return self._errors.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.popen.poll() is None

    def kill(self) -> None:
        """Ends it by ``kill -9``."""
        self.popen.kill()
        self.popen.wait(30)

    def end(self, seconds: float = START_SECONDS) -> int:
        """Asks it to end, waits for that, and returns the exit code; kills one that does not end."""
        self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9


class Stream(Protocol):
    """A sender of the numbers from 0 on, in a process to be killed."""

    process: Process
    username: str

    def begun(self) -> bool:
        """Whether it is in the middle of its work."""

    def confirmed(self) -> int:
        """How many numbers it reported as confirmed, from 0 on."""

    def has_repeated(self) -> bool:
        """Whether it has told of a lost connection, after which what was not confirmed is sent again."""

    def end(self) -> None:
        """Has it end by itself, everything sent."""


class _Sender:
    """What the two kinds of senders have in common."""

    process: Process

    def has_repeated(self) -> bool:
        """Whether it has lost its connection."""
        return "connection lost" in self.process.said


class TracedSender(_Sender):
    """A `attrition_sender`: it writes to a file what is confirmed, when it is."""

    def __init__(self, commands: Commands, url: str, room: str, username: str, patience: Patience) -> None:
        self.username = username
        self._trace = commands.home / f"{username}.confirmed"
        module = "tests.faults.attrition_sender"
        arguments = (url, room, username, str(self._trace), str(RATE), *map(str, patience))
        self.process = Process(commands, username, "-m", module, *arguments)

    def begun(self) -> bool:
        """Whether something was confirmed."""
        return self._trace.exists() and self._trace.stat().st_size > 0

    def confirmed(self) -> int:
        """How many were confirmed.

        Raises:
            AssertionError: their receipts did not come in the order sent.
        """
        if not self._trace.exists():
            return 0
        numbers = [int(line) for line in self._trace.read_text().split("\n")[:-1]]
        assert numbers == list(range(len(numbers))), f"{self.username}: receipts out of order"
        return len(numbers)

    def end(self) -> None:
        """Has it end by itself."""
        code = self.process.end()
        assert code == 0, f"{self.username} ended with {code}: {self.process.said}"


class CommandSender(_Sender):
    """A `kchat send -` that is fed lines. It confirms by its exit code: a killed one has confirmed nothing."""

    def __init__(self, commands: Commands, url: str, room: str, username: str, patience: Patience) -> None:
        self.username = username
        options = ["--url", url, "--room", room, "--username", username]
        options += ["--confirm-timeout", str(patience.confirm_timeout)]
        options += ["--connect-timeout", str(patience.connect_timeout)]
        self.process = Process(commands, username, "-m", "kchat", "send", "-", *options, stdin=True)
        assert self.process.popen.stdin is not None
        self._feed = Feed(self.process.popen.stdin)
        self._confirmed = 0

    def begun(self) -> bool:
        """Whether it has taken all lines so far: it is connected, then."""
        return self._feed.fed > 0 and self._feed.unread() == 0

    def confirmed(self) -> int:
        """How many were confirmed; 0 until it has ended by itself."""
        return self._confirmed

    def end(self) -> None:
        """Lets its input end."""
        self._feed.end()
        code = self.process.popen.wait(START_SECONDS)
        assert code == 0, f"{self.username} ended with {code}: {self.process.said}"
        self._confirmed = self._feed.fed


class Feed:
    """Lines for a sender, at `RATE`, made up for where it was held up."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.fed = 0
        self._pipe = pipe
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        with suppress(BrokenPipeError):  # it was killed
            while not self._ended.wait(0.02):
                due = int((time.monotonic() - began) * RATE) + 1
                self._pipe.write("".join(f"{text_of(each)}\n" for each in range(self.fed, due)).encode())
                self._pipe.flush()
                self.fed = due
        with suppress(BrokenPipeError):
            self._pipe.close()

    def unread(self) -> int:
        """How many bytes of it nobody has taken yet (pipe(7))."""
        with suppress(ValueError):  # closed
            return int.from_bytes(fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
        return 0

    def end(self) -> None:
        """Ends the input after what was fed."""
        self._ended.set()
        self._thread.join(START_SECONDS)


@dataclass
class Shown:
    """What one process of a durable subscriber has shown, in whole lines."""

    process: Process
    keys: list[tuple[str, int, bool]] = field(default_factory=list)
    """Sender, number, and whether the broker had delivered it before."""
    times: list[float] = field(default_factory=list)
    _read: int = 0

    def look(self) -> int:
        """Reads what has come since the last look, and returns how much there is in all."""
        with self.process.output.open("rb") as output:
            output.seek(self._read)
            whole = output.read().rpartition(b"\n")[0]
        if whole:
            self._read += len(whole) + 1
            for line in whole.split(b"\n"):
                message = json.loads(line)
                self.keys.append((message["username"], number_of(message["message"]), message["redelivered"]))
                received_at = rfc3339.parse(message["received_at"])
                assert received_at is not None
                self.times.append(received_at.timestamp())
        return len(self.keys)


class Reader:
    """A durable subscriber: `kchat subscribe --durable NAME`, as often as it is killed.

    Arguments:
        commands: starts it.
        url: of the broker.
        room: its room.
        name: of its durable queue.
        patience: what it waits for.
    """

    def __init__(self, commands: Commands, url: str, room: str, name: str, patience: Patience) -> None:
        self.name = name
        self._commands = commands
        self._options = ["--url", url, "--room", room, "--durable", name]
        self._options += ["--heartbeat", str(patience.heartbeat)]
        self._options += ["--connect-timeout", str(patience.connect_timeout), "--wait"]
        self.lives: list[Shown] = []
        self.start()
        wait_until(lambda: "listening" in self.process.said, START_SECONDS, lambda: self.process.said)

    def start(self) -> None:
        """Starts it, again."""
        name = f"{self.name}-{len(self.lives)}"
        command = ["-m", "kchat", "subscribe", "--mode", "json", *self._options]
        self.lives.append(Shown(Process(self._commands, name, *command)))

    @property
    def process(self) -> Process:
        """The one that runs."""
        return self.lives[-1].process

    def begun(self) -> bool:
        """Whether the one that runs has shown something."""
        return self.process.output.stat().st_size > 0

    def seen(self) -> set[tuple[str, int]]:
        """What was shown by all of them."""
        for each in self.lives:
            each.look()
        return {key[:2] for each in self.lives for key in each.keys}

    def longest_gap(self) -> float:
        """Seconds between two messages, at the most."""
        times = sorted(time for each in self.lives for time in each.times)
        return max((after - before for before, after in pairwise(times)), default=0.0)
