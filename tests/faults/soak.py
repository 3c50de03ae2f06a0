"""A soak: a stream through RabbitMQ for minutes, the broker killed and started every minute. `nox -s soak`.

A sender (`kchat send -`), a durable subscriber and a passing one run as processes. In the end the durable one has to have
everything, once and in order, and nobody's memory or file descriptors may have grown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ, start_rabbitmq

ROOM = "soak"
MEMORY_MARGIN = 8 * 1024 * 1024
"""Bytes of resident memory that a process may have more in the last third than in the second."""


@dataclass
class Samples:
    """What a process takes, seen every second."""

    pid: int
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Takes a sample."""
        folder = Path(f"/proc/{self.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        self.memory.append(pages * 4096)
        self.descriptors.append(len(list((folder / "fd").iterdir())))

    def problems(self) -> list[str]:
        """What has grown."""
        third = len(self.memory) // 3
        early, late = self.memory[third : 2 * third], self.memory[2 * third :]
        found = []
        if statistics.median(late) > statistics.median(early) + MEMORY_MARGIN:
            found.append("memory has grown")
        if max(self.descriptors[2 * third :]) > max(self.descriptors[: 2 * third]):
            found.append("file descriptors have grown")
        return found

    def __str__(self) -> str:
        third = len(self.memory) // 3
        parts = [self.memory[:third], self.memory[third : 2 * third], self.memory[2 * third :]]
        megabytes = " -> ".join(f"{statistics.median(part) / 1e6:.1f}" for part in parts)
        return f"memory {megabytes} MB, file descriptors {min(self.descriptors)} to {max(self.descriptors)}"


class Shown:
    """What a subscriber has shown, read as it comes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self.numbers: list[int] = []
        self._pipe = pipe
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            self.numbers.append(int(json.loads(line)["message"].partition(" ")[0]))

    @property
    def repeats(self) -> int:
        """How many came more than once."""
        return len(self.numbers) - len(set(self.numbers))

    @property
    def in_order(self) -> bool:
        """Whether they came in the order sent."""
        return all(before < after for before, after in zip(self.numbers, self.numbers[1:], strict=False))


class Feed:
    """Lines for a sender at a steady rate, made up for where it was held up."""

    def __init__(self, pipe: IO[bytes], rate: int, seconds: float) -> None:
        self.fed = 0
        self._pipe, self._rate, self._seconds = pipe, rate, seconds
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def _feed(self) -> None:
        began = time.monotonic()
        total = int(self._rate * self._seconds)
        while self.fed < total:
            due = min(total, int((time.monotonic() - began) * self._rate))
            if due > self.fed:
                lines = "".join(f"{number} {'x' * 60}\n" for number in range(self.fed, due))
                self._pipe.write(lines.encode())
                self._pipe.flush()
                self.fed = due
            time.sleep(0.02)
        self._pipe.close()


def main() -> int:
    """Runs the soak; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long; default 10")
    parser.add_argument("--rate", type=int, default=500, help="messages a second; default 500")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between restarts; default 60")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        rabbitmq = stack.enter_context(start_rabbitmq(Path(folder, "rabbitmq")))
        home = Path(folder, "home")
        home.mkdir()
        soak = Soak(rabbitmq, Commands(home), stack, options)
        soak.run()
        problems = soak.problems()
        print("", *soak.report(), *(f"PROBLEM: {each}" for each in problems), sep="\n")
        print("failed" if problems else "passed")
        return 1 if problems else 0


class Soak:
    """The processes, and what is seen of them.

    Arguments:
        rabbitmq: the broker to break.
        commands: starts processes in a home of their own.
        stack: ends them.
        options: of the command line.
    """

    def __init__(
        self, rabbitmq: RabbitMQ, commands: Commands, stack: ExitStack, options: argparse.Namespace
    ) -> None:
        self._rabbitmq, self._home, self._options = rabbitmq, commands.home, options
        self._environment, self._stack = commands.environment, stack
        self.away: list[float] = []
        self.listeners = {
            "durable subscriber": self._start("subscribe", "--mode", "json", "--durable", "archive"),
            "subscriber": self._start("subscribe", "--mode", "json"),
        }
        self.durable, self.passing = (Shown(each.stdout) for each in self.listeners.values() if each.stdout)
        until(lambda: all("listening" in self._log(number).read_text() for number in range(2)), 20)
        # RabbitMQ writes to the disk with a delay what is declared; that delay is not what is tested here.
        rabbitmq.evaluate("catch mnesia:sync_log().")
        self.sender = self._start("send", "-")
        processes = {**self.listeners, "sender": self.sender}
        self.samples = {name: Samples(process.pid) for name, process in processes.items()}

    def _log(self, number: int) -> Path:
        return self._home / f"{number}.log"

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log(len(list(self._home.glob("*.log")))).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "kchat", *arguments, "--url", self._rabbitmq.url, "--room", ROOM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                cwd=self._home,
            )
        self._stack.callback(process.wait, 10)
        self._stack.callback(process.terminate)
        return process

    def run(self) -> None:
        """Feeds the sender, restarts the broker, and looks, until the sender ends."""
        seconds, every = self._options.minutes * 60, self._options.every
        assert self.sender.stdin is not None
        self.feed = Feed(self.sender.stdin, self._options.rate, seconds)
        began = time.monotonic()
        # The first one comes in the middle of an interval, and none in the last few seconds.
        restart_at = every / 2
        while self.sender.poll() is None:
            now = time.monotonic() - began
            if restart_at <= now < seconds - 5:
                self._restart(now)
                restart_at += every
            self._look()
            time.sleep(1)
        self.took = time.monotonic() - began
        until(lambda: len(set(self.durable.numbers)) >= self.feed.fed, 60, raises=False)

    def _look(self) -> None:
        for each in self.samples.values():
            with suppress(FileNotFoundError, ProcessLookupError):  # the sender may just have ended
                each.look()

    def _restart(self, now: float) -> None:
        began = time.monotonic()
        self._rabbitmq.restart()
        self.away.append(time.monotonic() - began)
        seen = f"{self.feed.fed:,} fed, {len(self.durable.numbers):,} shown"
        print(f"{now:6.0f} s: restart {len(self.away)}, {self.away[-1]:.1f} s; {seen}", flush=True)

    @property
    def lost(self) -> int:
        """Messages that the durable subscriber has not."""
        return self.feed.fed - len(set(self.durable.numbers))

    def problems(self) -> list[str]:
        """Everything that is not as it should be."""
        found = [f"{name}: {what}" for name, each in self.samples.items() for what in each.problems()]
        if self.lost or self.durable.repeats or not self.durable.in_order:
            found.append("the durable subscriber has not everything, once and in order")
        if self.sender.returncode != 0:
            found.append(f"the sender ended with {self.sender.returncode}")
        found += [f"the {name} ended" for name, each in self.listeners.items() if each.poll() is not None]
        return found

    def report(self) -> Iterator[str]:
        """The figures, a line each."""
        fed, durable, passing = self.feed.fed, self.durable, self.passing
        yield f"{self.took:.0f} s, {fed:,} messages, {fed / self.took:.0f}/s, {len(self.away)} restarts (kill -9)"
        yield f"each took {min(self.away, default=0):.1f} to {max(self.away, default=0):.1f} s until RabbitMQ was ready"
        yield f"durable subscriber: {self.lost} lost, {durable.repeats} shown twice, in order: {durable.in_order}"
        missed = fed - len(set(passing.numbers))
        yield f"passing subscriber: {missed} missed, {passing.repeats} shown twice, in order: {passing.in_order}"
        for name, each in self.samples.items():
            yield f"{name}: {each}"
        yield self._log(2).read_text().splitlines()[-1]


def until(look: Callable[[], object], seconds: float, *, raises: bool = True) -> None:
    """Waits until something is true, up to a number of seconds."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            if raises:
                raise TimeoutError(f"not within {seconds:g} s")
            return
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
