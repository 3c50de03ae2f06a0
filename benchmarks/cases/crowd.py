"""A room that fills: subscribers on AMQP, each a process, while somebody says a hundred things a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.amqp_latency import one_way
from benchmarks.measure import Figures, Side

RATE, SECONDS = 100, 8
SIZES = (1, 10, 25, 50)


@contextmanager
def crowd(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The same for one subscriber and for fifty, and fifty of bare py-amqp's: what the machine can do."""
    room, count = bench.new_room(), RATE * (2 if bench.quick else SECONDS)
    where = ("--url", bench.amqp, "--room", room)

    def side(size: int) -> Side:
        def run() -> Figures:
            subscribers = [bench.kchat("subscribe", *where)] * size
            return one_way(bench, bench.kchat("send", "--quiet", *where, "-"), subscribers, RATE, count)

        return run

    peers = [bench.peer("amqp_receive", bench.amqp, room)] * SIZES[-1]
    sender = bench.peer("amqp_stream", bench.amqp, room, "unconfirmed")
    yield {
        **{str(size): side(size) for size in SIZES},
        f"{SIZES[-1]}, py-amqp": lambda: one_way(bench, sender, peers, RATE, count),
    }


CASES = [
    Case(
        "amqp-crowd",
        f"1 to 50 subscriber processes on AMQP at {RATE} messages/s",
        crowd,
        (
            Bar("50", "p99 ms", at_most=50),
            # A subscriber's own messages are the same in number, so they cost it the same.
            Bar("50", "CPU µs a message", at_most=1.5, against="1"),
            Bar("50", "lost", at_most=0),
        ),
        rounds=3,
        by="subscribers",
        alone=True,
    )
]
