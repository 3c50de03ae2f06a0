"""A command for each message, and recordings, on RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count as numbers

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.amqp_receive import DURABLE, Queue, drained, filled
from benchmarks.cases.amqp_send import routed
from benchmarks.measure import Figures, Side

COMMANDS = 2000
MANY, FEW = 150_000, 50_000
EXEC, FOUR, PEER = "kchat, --exec cat", "kchat, --exec cat --jobs 4", "amqp-consume (C)"
RECORD, REPLAY = "kchat record", "kchat replay"


@contextmanager
def commands(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Messages of a queue, with a command for each, beside a program in C that does the same."""
    number = bench.count(COMMANDS)
    with filled(bench) as queue:
        run = queue.listen(bench, "--limit", str(number), "--exec", "cat")
        consume = ["amqp-consume", "-u", queue.url, "-q", queue.name, "-p", "2", "-c", str(number), "cat"]
        yield {
            EXEC: drained(bench, queue, number, run),
            FOUR: drained(bench, queue, number, [*run, "--jobs", "4"]),
            PEER: drained(bench, queue, number, consume),
        }


def taped(bench: Bench, queue: Queue, number: int, ending: str = "") -> Side:
    """A side that records all of a queue, each batch on the disk before it is acknowledged."""
    folder, names = bench.new_folder("recordings"), numbers()
    where = ("--quiet", "--url", queue.url, "--room", queue.room, "--durable", DURABLE)

    def side() -> Figures:
        path = folder / f"{next(names)}.jsonl{ending}"
        figures = drained(
            bench, queue, number, bench.kchat("record", str(path), *where, "--limit", str(number))
        )()
        size = path.stat().st_size
        path.unlink()
        return {**figures, "bytes a message": size / number}

    return side


@contextmanager
def record(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """A queue into a file."""
    many, few = bench.count(MANY), bench.count(FEW)
    with filled(bench) as queue:
        yield {
            f"{RECORD}, a third": taped(bench, queue, few),
            RECORD: taped(bench, queue, many),
            f"{RECORD}, .gz": taped(bench, queue, many, ".gz"),
        }


@contextmanager
def replay(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """A file into a room, each message confirmed."""
    url, room, folder = bench.amqp, bench.new_room(), bench.new_folder("recordings")

    def recorded(number: int, ending: str = "") -> str:
        path = folder / f"{number}.jsonl{ending}"
        with filled(bench) as queue:
            queue.fill(bench, number)
            where = ("--quiet", "--url", url, "--room", queue.room, "--durable", DURABLE)
            bench.whole(bench.kchat("record", str(path), *where, "--limit", str(number)))
        return str(path)

    def side(number: int, path: str) -> Side:
        command: Sequence[str] = bench.kchat(
            "replay", path, "--no-delay", "--quiet", "--url", url, "--room", room
        )

        def run() -> Figures:
            done = bench.whole(command)
            return {
                "messages/s": number / done.seconds,
                "CPU µs a message": done.cpu / number * 1e6,
                "MiB": done.mib,
            }

        return run

    many, few = bench.count(MANY), bench.count(FEW)
    with routed(url, room):
        yield {
            f"{REPLAY}, a third": side(few, recorded(few)),
            REPLAY: side(many, recorded(many)),
            f"{REPLAY}, .gz": side(many, recorded(many, ".gz")),
        }


CASES = [
    Case(
        "exec",
        "a command for each message of a durable queue",
        commands,
        (Bar(EXEC, "messages/s", at_least=0.5, against=PEER),),
    ),
    Case(
        "record",
        "a durable queue of RabbitMQ into a file, each batch on the disk before it is acknowledged",
        record,
        (
            Bar(RECORD, "messages/s", at_least=20_000),
            Bar(f"{RECORD}, .gz", "messages/s", at_least=20_000),
            Bar(RECORD, "MiB", at_most=1.1, against=f"{RECORD}, a third"),
        ),
        rounds=3,
        alone=True,
    ),
    Case(
        "replay",
        "a file into RabbitMQ without delay, each message confirmed",
        replay,
        (
            Bar(REPLAY, "messages/s", at_least=20_000),
            Bar(f"{REPLAY}, .gz", "messages/s", at_least=20_000),
            Bar(REPLAY, "MiB", at_most=1.1, against=f"{REPLAY}, a third"),
        ),
        rounds=3,
        alone=True,
    ),
]
