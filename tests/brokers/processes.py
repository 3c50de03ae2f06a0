"""Commands as real processes: started, read line by line, signalled, and ended with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from tests.brokers.wait import Deadline, soon
from tests.brokers.warm import USUAL, Run, Warm, can_be_forked, warm_process

Stream = Literal["stdout", "stderr"]

SECONDS = 60.0
"""How long a test waits for a line or an exit unless it says otherwise. A start takes about 0.2 s on a quiet machine."""

# All that a command gets of the tests' own environment. What kchat itself reads (KCHAT_*, RABBITMQ_*,
# NO_COLOR, XDG_*, PUBSUB_EMULATOR_HOST) is passed on by a test on purpose, or not at all.
INHERITED = (
    "PATH",
    "LD_LIBRARY_PATH",
    "SYSTEMROOT",
    "TMPDIR",
    "COVERAGE_PROCESS_START",
    "COVERAGE_PROCESS_CONFIG",
)


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


class Process:
    """A running command whose output is read as it comes.

    Arguments:
        command: the command and its arguments.
        environment: all of it.
        cwd: folder to run it in.
        stdin: whether it gets a pipe to write to; otherwise its input is empty.
        warm: forks it, if it is ``python -m kchat``. Default: it is started afresh.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        *,
        stdin: bool = False,
        warm: Warm | None = None,
    ) -> None:
        self.command = list(command)
        self._popen: subprocess.Popen[bytes] | Run
        if warm is not None:
            self._popen = warm.run(self.command[3:], environment, cwd, stdin=stdin)
        else:
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                cwd=cwd,
                bufsize=0,
            )
        self._came = threading.Condition()
        self._raw: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._open = 2
        self._read_lines = 0
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=("stdout", self._popen.stdout), daemon=True),
            threading.Thread(target=self._read, args=("stderr", self._popen.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Stream, pipe: IO[bytes]) -> None:
        while data := os.read(pipe.fileno(), 65536):
            with self._came:
                self._raw[stream] += data
                self._came.notify_all()
        with self._came:
            self._open -= 1
            self._came.notify_all()

    # ---- what it wrote

    def raw(self, stream: Stream = "stdout") -> bytes:
        """Returns all bytes that came so far."""
        with self._came:
            return bytes(self._raw[stream])

    @property
    def stdout(self) -> str:
        """What came on standard output so far."""
        return self.raw("stdout").decode(errors="replace")

    @property
    def stderr(self) -> str:
        """What came on standard error so far."""
        return self.raw("stderr").decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """The whole lines that came on standard output so far, without their newlines."""
        return self.raw("stdout").decode(errors="replace").split("\n")[:-1]

    def wait_for(self, word: str, stream: Stream = "stderr", seconds: float = SECONDS) -> str:
        """Waits for a word on one stream and returns what came there so far.

        Raises:
            AssertionError: it did not come in time, or the command ended without it.
        """
        wanted = word.encode()
        self._wait(lambda: wanted in self._raw[stream], f"{word!r} on {stream}", seconds)
        return self.raw(stream).decode(errors="replace")

    def wait_for_lines(self, count: int, seconds: float = SECONDS) -> list[str]:
        """Waits for a number of whole lines on standard output and returns all that are there.

        Raises:
            AssertionError: they did not come in time, or the command ended without them.
        """
        self._wait(lambda: self._raw["stdout"].count(b"\n") >= count, f"{count} lines", seconds)
        return self.lines

    def read_line(self, seconds: float = SECONDS) -> str:
        """Waits for the next line on standard output and returns it; each is returned once.

        Raises:
            AssertionError: it did not come in time, or the command ended without it.
        """
        line = self.wait_for_lines(self._read_lines + 1, seconds)[self._read_lines]
        self._read_lines += 1
        return line

    def _wait(self, seen: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = Deadline(soon(seconds))
        with self._came:
            while not seen():
                if not self._open:
                    raise AssertionError(f"ended without {what}{self._told()}")
                if not self._came.wait(deadline.left) and not seen():
                    raise AssertionError(f"no {what} within {seconds:g} s{self._told()}")

    def _told(self) -> str:
        """Says what the command was and what it wrote; called with the lock held."""
        out, err = (self._raw[name][-2000:].decode(errors="replace") for name in ("stdout", "stderr"))
        return f": {self.command}, exit {self._popen.poll()}\n--- stdout\n{out}\n--- stderr\n{err}"

    # ---- what is done to it

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def write(self, data: str | bytes) -> None:
        """Writes to its standard input at once.

        Raises:
            BrokenPipeError: it closed its input or ended.
        """
        assert self._popen.stdin is not None, "started without stdin=True"
        rest = memoryview(data.encode() if isinstance(data, str) else data)
        while rest:
            rest = rest[self._popen.stdin.write(rest) :]

    def close_stdin(self) -> None:
        """Ends its standard input."""
        assert self._popen.stdin is not None, "started without stdin=True"
        self._popen.stdin.close()

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        self._popen.send_signal(number)

    def interrupt(self) -> None:
        """Sends what Ctrl+C sends."""
        self.signal(signal.SIGINT)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.signal(signal.SIGTERM)

    def pause(self) -> None:
        """Stops it by SIGSTOP, as Ctrl+Z would; nothing of it runs until `resume`."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused process go on."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it by ``kill -9`` and returns when it is gone."""
        self._popen.kill()
        self._popen.wait(60)

    def wait(self, seconds: float = SECONDS) -> int:
        """Waits for it to end by itself, its output read to the end, and returns the exit code.

        A signal's exit code is minus its number.

        Raises:
            AssertionError: it still runs after that time.
        """
        deadline = Deadline(soon(seconds))
        try:
            code = self._popen.wait(deadline.left)
        except subprocess.TimeoutExpired:
            with self._came:
                raise AssertionError(f"still runs after {seconds:g} s{self._told()}") from None
        for reader in self._readers:
            reader.join(max(1.0, deadline.left))
        return code

    def end(self) -> None:
        """Kills it if it runs, and closes its pipes."""
        self.kill()
        for reader in self._readers:
            reader.join(30)
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()


class Commands:
    """Starts commands for one test, in a home of its own, and ends those that still run.

    Arguments:
        home: an empty folder: ``HOME``, the XDG folders and the working directory are in it.
        environment: added to every command's environment. Default none.
        interpreter: the Python for them. Default the tests' own.
    """

    def __init__(
        self, home: Path, environment: Mapping[str, str] | None = None, interpreter: str = sys.executable
    ) -> None:
        self.home = home
        self.interpreter = interpreter
        self.environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.environment |= {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_DATA_HOME": str(home / "data"),
            "TZ": "UTC",
            "LOGNAME": "tester",
            **USUAL,
        } | dict(environment or {})
        self._started: list[Process] = []

    def kchat(self, *arguments: str, stdin: bool = False, env: Mapping[str, str] | None = None) -> Process:
        """Starts ``python -m kchat`` with these arguments and returns the running process."""
        return self.start([self.interpreter, "-m", "kchat", *arguments], stdin=stdin, env=env)

    def python(self, script: str | Path, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Starts a Python script, a file or the text of one, with the same interpreter."""
        given = [str(script)] if isinstance(script, Path) else ["-c", script]
        return self.start([self.interpreter, *given, *arguments], env=env)

    def start(
        self, command: Sequence[str], *, stdin: bool = False, env: Mapping[str, str] | None = None
    ) -> Process:
        """Starts any command.

        Arguments:
            command: it and its arguments.
            stdin: whether the test will write to it.
            env: added to its environment. Default nothing.
        """
        process = Process(command, {**self.environment, **(env or {})}, self.home, stdin=stdin)
        self._started.append(process)
        return process

    def run_kchat(
        self,
        *arguments: str,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> Result:
        """Runs ``python -m kchat`` to its end, in a process that need not load the libraries (`tests.brokers.warm`).

        Arguments:
            arguments: of the command.
            stdin: what it reads. Default an empty input.
            env: added to its environment. Default nothing.
            seconds: how long it may take.

        Raises:
            AssertionError: it did not end in time.
        """
        environment = {**self.environment, **(env or {})}
        own = self.interpreter == sys.executable
        process = Process(
            [self.interpreter, "-m", "kchat", *arguments],
            environment,
            self.home,
            stdin=stdin is not None,
            warm=warm_process() if own and can_be_forked(environment) else None,
        )
        self._started.append(process)
        if stdin is not None:
            process.write(stdin)
            process.close_stdin()
        code = process.wait(seconds)
        return Result(code, process.stdout, process.stderr)

    def end(self) -> None:
        """Ends every command that still runs."""
        for process in self._started:
            process.end()
