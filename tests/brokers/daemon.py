"""A server process that a test starts, kills and starts again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class Daemon:
    """A command that runs until it is ended, in a process group of its own, its output in a file.

    Where the machine has ``setpriv``, the kernel ends the command when the tests are themselves killed.

    Arguments:
        command: the command and its arguments.
        log: file that its output is appended to.
        environment: all of it. Default that of the tests.
    """

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        setpriv = shutil.which("setpriv")
        self._command = [*([setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []), *command]
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "never started"
        return self._process.pid

    def start(self) -> None:
        """Starts the command; nothing happens where it runs."""
        if self.running:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process itself; nothing happens where it has ended."""
        if self.running:
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Waits for the process to end and returns its exit code.

        Raises:
            subprocess.TimeoutExpired: not within that time.
        """
        assert self._process is not None, "never started"
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Ends the process and all of its group by SIGKILL, and returns when it is gone."""
        if not self.running:
            return
        os.killpg(self.pid, signal.SIGKILL)
        self.wait(60)
