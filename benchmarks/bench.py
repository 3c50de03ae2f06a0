"""What the cases share: the brokers, started when the first case wants them; commands; files of lines."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from benchmarks import measure
from tests.brokers.pubsub import Emulator, find_pubsub
from tests.brokers.rabbitmq import RabbitMQ, find_rabbitmq

ROOT = Path(__file__).parents[1]
SCRIPT = Path(sys.executable).with_name("kchat")
LINE = "line {:07d} of a log that somebody follows, of a usual length for one of its kind"
USERNAME = "ada"

_SETTLE = 10.0
"""Seconds that a broker which has just started is left alone: it is busy with itself."""

# kchat's own settings, and what would keep Python from keeping compiled modules, are left out.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")


class Bench:
    """One run of the benchmarks. A context manager: brokers and files go with it.

    Arguments:
        quick: a tenth of everything, to see that it works.
    """

    def __init__(self, *, quick: bool = False) -> None:
        self.quick = quick
        self.versions: dict[str, str] = {}
        """Of the brokers that were found."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kchat-bench-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def count(self, number: int) -> int:
        """So many, or a tenth of it in a quick run."""
        return max(1, number // 10) if self.quick else number

    # ---- brokers, on this machine

    @cached_property
    def rabbitmq(self) -> RabbitMQ:
        """A RabbitMQ, found as the tests find one."""
        found = self._stack.enter_context(find_rabbitmq(self.new_folder("rabbitmq")))
        self.versions["RabbitMQ"] = ".".join(map(str, found.version))
        if not self.quick:
            time.sleep(_SETTLE)
        return found

    @cached_property
    def amqp(self) -> str:
        """The URL of a virtual host of its own."""
        return self.rabbitmq.url_for(self._stack.enter_context(self.rabbitmq.new_vhost()))

    @cached_property
    def emulator(self) -> Emulator:
        """A Pub/Sub emulator, found as the tests find one."""
        return self._stack.enter_context(find_pubsub(self.new_folder("pubsub")))

    # ---- names and files

    def new_room(self) -> str:
        """A room's name that no other run has."""
        return f"bench-{secrets.token_hex(4)}"

    def new_folder(self, name: str) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def lines(self, count: int, size: int | None = None) -> Path:
        """A file of so many lines, of 82 bytes each or of ``size``."""
        path = self.folder / f"{count}x{size}.txt"
        if not path.exists():
            with path.open("w") as file:
                for number in range(count):
                    line = LINE.format(number)
                    file.write((line if size is None else line.ljust(size, ".")[:size]) + "\n")
        return path

    # ---- commands

    @property
    def environment(self) -> dict[str, str]:
        """All that a measured process gets of it."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        home = str(self.folder)
        if "emulator" in self.__dict__:  # other cases need none
            kept["PUBSUB_EMULATOR_HOST"] = self.emulator.address
        if not SCRIPT.exists():
            kept["PYTHONPATH"] = str(ROOT)  # not installed, but run from here
        return {**kept, "HOME": home, "XDG_STATE_HOME": home, "LANG": "C.UTF-8", "LOGNAME": USERNAME}

    def kchat(self, *arguments: str) -> list[str]:
        """A command line of kchat's, as it is installed."""
        return [*([str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "kchat"]), *arguments]

    def peer(self, name: str, *arguments: str) -> list[str]:
        """A command line of one of the peers."""
        return [sys.executable, str(ROOT / "benchmarks/peers" / f"{name}.py"), *arguments]

    def drive(self, name: str, *arguments: object) -> list[str]:
        """A command line of one of the drivers."""
        return [sys.executable, str(ROOT / "benchmarks/drive" / f"{name}.py"), *map(str, arguments)]

    def whole(self, command: Sequence[str], **options: Any) -> measure.Whole:
        """Run a command to its end and measure all of it; options as of :func:`benchmarks.measure.whole`."""
        return measure.whole(command, self.environment, self.folder, **options)

    @contextmanager
    def running(self, command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs meanwhile, ended afterwards. Options as of :class:`subprocess.Popen`."""
        process = subprocess.Popen(command, env=self.environment, cwd=self.folder, **options)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    @contextmanager
    def listening(self, command: Sequence[str], stdout: int) -> Iterator[subprocess.Popen[bytes]]:
        """A subscriber that runs meanwhile, from when it says that it is listening.

        Raises:
            measure.Failed: it ended without that.
        """
        with self.running(command, stdout=stdout, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if b"listening" in line:
                    break
            else:
                raise measure.Failed(f"{command[:4]} ended before it was listening")
            yield process
