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
from typing import TYPE_CHECKING, Any, Self

from benchmarks import measure
from tests.brokers.pubsub import Emulator, find_pubsub
from tests.brokers.rabbitmq import RabbitMQ, find_rabbitmq
from tests.brokers.redis import Redis, find_redis

if TYPE_CHECKING:
    from tests.brokers.clickhouse import ClickHouse

ROOT = Path(__file__).parents[1]
LINE = "line {:07d} of a log that somebody follows, of a usual length for one of its kind"
USERNAME = "ada"

_SETTLE = 10.0
"""How long a broker that has just started is left alone, in seconds: it is busy with itself."""

# kchat's own settings, and what would keep Python from keeping compiled modules, are left out.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")


class Bench:
    """One run of the benchmarks. A context manager: brokers and files go with it.

    Arguments:
        quick: a tenth of everything, to see that it works.
        python: the interpreter of the environment whose kchat is measured. Default: this one.
    """

    def __init__(self, *, quick: bool = False, python: str = sys.executable) -> None:
        self.quick = quick
        self._python = python
        self._brokers = self
        self.versions: dict[str, str] = {}
        """Of the brokers that were found."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kchat-bench-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, python: str) -> Bench:
        """The same run for the kchat of another environment: the same brokers and files."""
        other = Bench(quick=self.quick, python=python)
        other.folder, other._brokers, other._stack = self.folder, self, self._stack
        return other

    def count(self, number: int) -> int:
        """The number, or a tenth of it in a quick run."""
        return max(1, number // 10) if self.quick else number

    # ---- brokers, on this machine

    @cached_property
    def rabbitmq(self) -> RabbitMQ:
        """A RabbitMQ, found as the tests find one."""
        if self._brokers is not self:
            return self._brokers.rabbitmq
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
        if self._brokers is not self:
            return self._brokers.emulator
        return self._stack.enter_context(find_pubsub(self.new_folder("pubsub")))

    @cached_property
    def redis(self) -> Redis:
        """A Redis, found as the tests find one."""
        if self._brokers is not self:
            return self._brokers.redis
        return self._stack.enter_context(find_redis(self.new_folder("redis")))

    @cached_property
    def clickhouse(self) -> ClickHouse:
        """A ClickHouse, found as the tests find one."""
        if self._brokers is not self:
            return self._brokers.clickhouse
        from tests.brokers.clickhouse import find_clickhouse  # its driver is an extra

        found = self._stack.enter_context(find_clickhouse(self.new_folder("clickhouse")))
        ((version,),) = found.execute("SELECT version()")
        self.versions["ClickHouse"] = version
        return found

    # ---- names and files

    def new_room(self) -> str:
        """A room's name that no other run has."""
        return f"bench-{secrets.token_hex(4)}"

    def new_folder(self, name: str) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def lines(self, count: int, size: int | None = None) -> Path:
        """A file with that number of lines, of 82 bytes each or of ``size``."""
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
        """The whole environment of a measured process."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        home = str(self.folder)
        if "emulator" in self.__dict__:  # other cases need none
            kept["PUBSUB_EMULATOR_HOST"] = self.emulator.address
        if not self._script.exists():
            kept["PYTHONPATH"] = str(ROOT)  # not installed, but run from here
        return {**kept, "HOME": home, "XDG_STATE_HOME": home, "LANG": "C.UTF-8", "LOGNAME": USERNAME}

    def kchat(self, *arguments: str) -> list[str]:
        """A command line of kchat's, as it is installed."""
        return [*([str(self._script)] if self._script.exists() else self.python("-m", "kchat")), *arguments]

    def python(self, *arguments: str) -> list[str]:
        """A command line of the interpreter whose kchat is measured."""
        return [self._python, *arguments]

    @property
    def _script(self) -> Path:
        return Path(self._python).with_name("kchat")

    def peer(self, name: str, *arguments: str) -> list[str]:
        """A command line of one of the peers."""
        return [sys.executable, str(ROOT / "benchmarks/peers" / f"{name}.py"), *arguments]

    def drive(self, name: str, *arguments: object) -> list[str]:
        """A command line of one of the drivers."""
        return self.python(str(ROOT / "benchmarks/drive" / f"{name}.py"), *map(str, arguments))

    def whole(self, command: Sequence[str], **options: Any) -> measure.Whole:
        """Run a command to its end and measure all of it; options as of :func:`benchmarks.measure.whole`."""
        return measure.whole(command, self.environment, self.folder, **options)

    @contextmanager
    def running(self, command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs within the block, and is ended afterwards. Options as of :class:`subprocess.Popen`."""
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
        """A subscriber that is listening, and is ended after the block.

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
