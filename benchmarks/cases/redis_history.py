"""A room's history on Redis: what it costs to keep it, and how fast it is read."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.amqp_send import SOME, streamed
from benchmarks.cases.history import WITH, WITHOUT
from benchmarks.measure import Figures, Side
from kchat import Settings
from kchat.client.connection import connect

FEW, LOTS = "of 1,000", "of 100,000"


@contextmanager
def kept(url: str, room: str, size: int) -> Iterator[None]:
    """A room whose history is switched on, and off again."""
    settings = Settings.resolve(url=url, room=room)
    policy = settings.transport.history(room)
    connection, _ = connect(settings, purpose="bench")
    try:
        policy.switch_on(connection.channel(), max_size=size)
        yield
        policy.switch_off(connection.channel())
    finally:
        settings.transport.close(connection)


@contextmanager
def last(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The last fifty of much and of little."""
    url, few, lots = bench.redis.url, bench.new_room(), bench.new_room()

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

    with kept(url, few, 1 << 30), kept(url, lots, 1 << 30):
        for room, count in ((few, 1_000), (lots, 100_000)):
            bench.whole(
                bench.kchat("send", "--quiet", "--url", url, "--room", room, "-"),
                stdin=bench.lines(bench.count(count)),
            )
        yield {FEW: side(few), LOTS: side(lots)}


@contextmanager
def publish(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """A stream of lines into a room, each confirmed before the next."""
    url, without, within = bench.redis.url, bench.new_room(), bench.new_room()

    def side(room: str) -> Side:
        return streamed(bench, SOME, bench.kchat("send", "--quiet", "--url", url, "--room", room, "-"))

    with kept(url, within, 64 << 20):
        yield {WITHOUT: side(without), WITH: side(within)}


CASES = [
    Case(
        "redis-history-last",
        "the last 50 messages of a room's history on Redis, in a warm process",
        last,
        (
            Bar(LOTS, "ms", at_most=30),
            Bar(LOTS, "ms", at_most=1.5, against=FEW),
        ),
    ),
    Case(
        "redis-history-send",
        "kchat send - into a room on Redis",
        publish,
        (Bar(WITH, "messages/s", at_least=0.5, against=WITHOUT),),
    ),
]
