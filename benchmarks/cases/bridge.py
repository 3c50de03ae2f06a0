"""A bridge from one room on RabbitMQ to another, both with a durable queue; the first one's is filled beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.amqp_receive import DURABLE, filled
from benchmarks.measure import Figures, Side

COUNT = 50_000


@contextmanager
def from_queue_to_queue(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Confirmed by the one and acknowledged to the other, whole processes."""
    count = bench.count(COUNT)
    with filled(bench) as source, filled(bench) as target:
        command = bench.drive("bridge", source.url, source.room, target.room, DURABLE, count)

        def side() -> Figures:
            target.purge()
            source.fill(bench, count)
            run = bench.whole(command)
            return {
                "messages/s": count / run.seconds,
                "CPU µs a message": run.cpu / count * 1e6,
                "MiB": run.mib,
            }

        yield {"kchat bridge": side}


CASES = [
    Case(
        "bridge",
        "a bridge from RabbitMQ to RabbitMQ, confirmed on both sides",
        from_queue_to_queue,
        (Bar("kchat bridge", "messages/s", at_least=10_000),),
    ),
]
