"""Rooms without a broker, beside the SQLite that they are made of."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.amqp_latency import one_way
from benchmarks.cases.amqp_send import MANY, streamed
from benchmarks.measure import Figures, Side, cpu_seconds

READ = 200_000
HISTORY = 1_000_000
IDLE_SECONDS = 5.0
ROOM = "bench"
CROWDS = (1, 10, 50)


def url_of(path: Path) -> str:
    """A room's URL; its file may grow."""
    return f"local://{path}?history_max_bytes={4 << 30}"


def place(url: str) -> tuple[str, ...]:
    """Options of both commands."""
    return ("--quiet", "--url", url, "--room", ROOM)


def fill(bench: Bench, url: str, count: int) -> None:
    """Send ``count`` messages."""
    bench.whole(bench.kchat("send", *place(url), "-"), stdin=bench.lines(count))


@contextmanager
def stream(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Lines of standard input into a file that is new each time.

    Of ``kchat send -`` many share a commit; by kchat's library with a commit each is there for comparison.
    """

    def fresh(command: Sequence[str]) -> Side:
        def side() -> Figures:
            path = str(bench.new_folder("local") / "room.db")
            return streamed(bench, MANY, [word.replace("PATH", path) for word in command])()

        return side

    yield {
        "kchat, a commit each": fresh(bench.drive("send_each", "local://PATH", ROOM)),
        "kchat send -": fresh(bench.kchat("send", *place("local://PATH"), "-")),
        "sqlite3, a commit each": fresh(bench.peer("sqlite_stream", "PATH")),
    }


@contextmanager
def read(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The messages that a room holds, into a pipe."""
    path, count = bench.new_folder("local") / "room.db", bench.count(READ)
    fill(bench, url_of(path), count)
    commands = {
        "kchat subscribe": bench.kchat(
            "subscribe", *place(url_of(path)), "--last", str(count), "--limit", str(count)
        ),
        "sqlite3 and json": bench.peer("sqlite_read", str(path), str(count)),
    }

    def side(command: Sequence[str]) -> Side:
        def run() -> Figures:
            done = bench.whole(command)
            return {"messages/s": count / done.seconds, "CPU µs a message": done.cpu / count * 1e6}

        return run

    yield {name: side(command) for name, command in commands.items()}


@contextmanager
def history(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The last ten of many messages, and of very many, in a warm process: its start would hide the difference."""
    sizes = [bench.count(HISTORY) // 100, bench.count(HISTORY)]
    urls = [url_of(bench.new_folder("local") / "room.db") for _ in sizes]
    for size, url in zip(sizes, urls, strict=True):
        fill(bench, url, size)

    def side(url: str) -> Side:
        def run() -> Figures:
            command = bench.drive("first_last", url, ROOM)
            done = subprocess.run(
                command, env=bench.environment, cwd=bench.folder, capture_output=True, check=True, timeout=60
            )
            return {"ms": float(done.stdout) * 1000}

        return run

    yield {FEW: side(urls[0]), LOTS: side(urls[1])}


FEW, LOTS = "of 10,000", "of 1,000,000"


@contextmanager
def latency(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """One way, and what a subscriber costs that nobody says anything to."""
    where = place(url_of(bench.new_folder("local") / "room.db"))
    listen = bench.kchat("subscribe", "--url", where[2], "--room", ROOM)

    def at(rate: float, count: int) -> Side:
        return lambda: one_way(bench, bench.kchat("send", *where, "-"), [listen], rate, bench.count(count))

    def idle() -> Figures:
        with bench.listening(listen, subprocess.DEVNULL) as process:
            time.sleep(1)
            before, start = cpu_seconds(process.pid), time.monotonic()
            time.sleep(IDLE_SECONDS)
            used = cpu_seconds(process.pid) - before
            return {"% of a core": 100 * used / (time.monotonic() - start)}

    # As a log is followed, and as people talk.
    yield {"100 a second": at(100, 600), "2 a second": at(2, 20), "idle": idle}


@contextmanager
def crowd(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """A stream into a room with one subscriber, and with fifty.

    Two that read fill the cores of a small machine, and then a sender's rate says how many they are and no more. So it is
    held to its rate while they are there and are stopped (SIGSTOP), which leaves it a core, and to its processor time a
    message while ten read; the others that read are shown.
    """

    def side(size: int, *, stopped: bool) -> Side:
        def run() -> Figures:
            url = url_of(bench.new_folder("local") / "room.db")
            with ExitStack() as stack:
                for _ in range(size):
                    listen = bench.kchat("subscribe", "--url", url, "--room", ROOM)
                    process = stack.enter_context(bench.listening(listen, subprocess.DEVNULL))
                    if stopped:
                        os.kill(process.pid, signal.SIGSTOP)
                return streamed(bench, MANY // 2, bench.kchat("send", *place(url), "-"))()

        return run

    yield {
        **{str(size): side(size, stopped=True) for size in CROWDS},
        **{f"{size} that read": side(size, stopped=False) for size in CROWDS},
    }


CASES = [
    Case(
        "local-stream",
        "a stream of lines into an embedded room, each confirmed once committed",
        stream,
        (
            Bar("kchat send -", "messages/s", at_least=0.5, against="sqlite3, a commit each"),
            Bar("kchat send -", "messages/s", at_least=20_000),
        ),
    ),
    Case(
        "local-read",
        "one subscriber reading a room's history into a pipe",
        read,
        (Bar("kchat subscribe", "messages/s", at_least=100_000),),
    ),
    Case(
        "local-history",
        "the last 10 messages of an embedded room, in a process that has read it before",
        history,
        (Bar(LOTS, "ms", at_most=50), Bar(LOTS, "ms", at_most=1.5, against=FEW)),
        alone=True,
    ),
    Case(
        "local-latency",
        "one way in an embedded room; an idle subscriber",
        latency,
        (
            *(Bar(f"{rate} a second", "p50 ms", at_most=5) for rate in (100, 2)),
            *(Bar(f"{rate} a second", "lost", at_most=0) for rate in (100, 2)),
            Bar("idle", "% of a core", at_most=0.5),
        ),
    ),
    Case(
        "local-crowd",
        "a stream into an embedded room with 1 to 50 subscribers",
        crowd,
        (
            Bar("50", "messages/s", at_least=0.8, against="1"),
            # A rate that falls by a fifth is a message that costs a quarter more.
            Bar("10 that read", "CPU µs a message", at_most=1.25, against="1 that read"),
        ),
        rounds=3,
        by="subscribers",
        alone=True,
    ),
]
