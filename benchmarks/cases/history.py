"""A room's history on RabbitMQ: what it costs to keep it, and how fast it is read."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.amqp_receive import COUNT, drained, filled
from benchmarks.cases.amqp_send import MANY, routed, streamed
from benchmarks.measure import Figures, Side

FEW, LOTS = "of 10,000", "of 1,000,000"
WITH, WITHOUT = "with a history", "without"
READ, LIVE = "from the history", "from a queue"


@contextmanager
def kept(bench: Bench, url: str, room: str, size: str) -> Iterator[None]:
    """A room whose history is switched on, and off again."""
    where = ("--url", url, "--room", room)
    bench.whole(bench.kchat("history", "on", *where, "--max-size", size))
    try:
        yield
    finally:
        bench.whole(bench.kchat("history", "off", "--yes", *where))


@contextmanager
def last(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The last fifty of much and of little."""
    url = bench.amqp
    rooms = {FEW: (bench.new_room(), 10_000), LOTS: (bench.new_room(), 1_000_000)}

    def side(room: str) -> Side:
        def run() -> Figures:
            done = subprocess.run(
                bench.drive("history_last", url, room, 50),
                env=bench.environment,
                cwd=bench.folder,
                capture_output=True,
                check=True,
                timeout=60,
            )
            return {"ms": float(done.stdout)}

        return run

    (few, few_count), (lots, lots_count) = rooms.values()
    with kept(bench, url, few, "1GiB"), kept(bench, url, lots, "1GiB"):
        for room, count in ((few, few_count), (lots, lots_count)):
            bench.whole(
                bench.kchat("send", "--quiet", "--url", url, "--room", room, "-"),
                stdin=bench.lines(bench.count(count)),
            )
        yield {FEW: side(few), LOTS: side(lots)}


@contextmanager
def publish(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """A stream of lines into a room, each confirmed."""
    url = bench.amqp
    rooms = bench.new_room(), bench.new_room()

    def side(room: str) -> Side:
        return streamed(bench, MANY, bench.kchat("send", "--quiet", "--url", url, "--room", room, "-"))

    with routed(url, rooms[0]), routed(url, rooms[1]), kept(bench, url, rooms[1], "64MiB"):
        yield {WITHOUT: side(rooms[0]), WITH: side(rooms[1])}


@contextmanager
def catch_up(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Everything that a history holds, and the same out of a durable queue."""
    count = bench.count(COUNT)
    with filled(bench) as queue, kept(bench, queue.url, queue.room, "1GiB"):
        queue.fill(bench, count)
        where = ("--quiet", "--url", queue.url, "--room", queue.room)
        read = bench.kchat("subscribe", *where, "--since", "1d", "--limit", str(count))

        def side() -> Figures:
            run = bench.whole(read)
            return {
                "messages/s": count / run.seconds,
                "CPU µs a message": run.cpu / count * 1e6,
                "MiB": run.mib,
            }

        yield {LIVE: drained(bench, queue, count, queue.listen(bench, "--limit", str(count))), READ: side}


CASES = [
    Case(
        "history-last",
        "the last 50 messages of a room's history on RabbitMQ, in a warm process",
        last,
        (
            Bar(LOTS, "ms", at_most=30),
            Bar(LOTS, "ms", at_most=1.5, against=FEW),
        ),
    ),
    Case(
        "history-send",
        "kchat send - into a room on RabbitMQ",
        publish,
        (Bar(WITH, "messages/s", at_least=0.6, against=WITHOUT),),
    ),
    Case(
        "history-read",
        "kchat subscribe on RabbitMQ into a pipe",
        catch_up,
        (Bar(READ, "messages/s", at_least=0.7, against=LIVE),),
    ),
]
