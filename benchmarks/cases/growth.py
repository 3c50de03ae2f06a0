"""How cost grows with the size of messages, on AMQP and in an embedded room. No bars: plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Case
from benchmarks.cases.amqp_receive import DURABLE
from benchmarks.cases.local import ROOM, place, url_of
from benchmarks.measure import Figures, Side

SIZES = {"64": 40_000, "1024": 30_000, "16384": 6_000, "131072": 1000, "1048576": 150}
"""Bytes of a message's text → how many of them."""


def there_and_back(bench: Bench, where: tuple[str, ...], size: str) -> Side:
    """A side that sends a file of lines, and then reads them all from a lasting queue."""
    count = bench.count(SIZES[size])

    def side() -> Figures:
        listen = bench.kchat("subscribe", *where, "--durable", DURABLE)
        bench.whole([*listen, "--idle-timeout", "0.1"])
        sent = bench.whole(bench.kchat("send", *where, "-"), stdin=bench.lines(count, int(size)))
        read = bench.whole([*listen, "--limit", str(count)])
        return {
            "sent/s": count / sent.seconds,
            "read/s": count / read.seconds,
            "sender MiB": sent.mib,
            "subscriber MiB": read.mib,
        }

    return side


@contextmanager
def amqp(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """On RabbitMQ."""
    where = ("--quiet", "--url", bench.amqp, "--room", bench.new_room())
    yield {size: there_and_back(bench, where, size) for size in SIZES}


@contextmanager
def local(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """In an embedded room."""
    assert ROOM
    where = place(url_of(bench.new_folder("local") / "room.db"))
    yield {size: there_and_back(bench, where, size) for size in SIZES}


CASES = [
    Case("amqp-size", "AMQP: messages of 64 bytes to 1 MiB", amqp, rounds=3, by="bytes"),
    Case("local-size", "embedded room: messages of 64 bytes to 1 MiB", local, rounds=3, by="bytes"),
]
