"""Google Cloud Pub/Sub's emulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.amqp_send import streamed
from benchmarks.cases.start import repeated
from benchmarks.measure import Side

PROJECT = "kchat-bench"
LINES = 20_000
KCHAT, DIRECT = "kchat", "google-cloud-pubsub"


def topic(bench: Bench) -> str:
    """A room that is there."""
    assert bench.emulator.address
    room = bench.new_room()
    bench.whole(bench.kchat("send", "--url", f"pubsub://{PROJECT}", "--room", room, "the room is made"))
    return room


@contextmanager
def one_send(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """One message."""
    room = topic(bench)
    yield {
        KCHAT: repeated(bench, bench.kchat("send", "--url", f"pubsub://{PROJECT}", "--room", room, "hello")),
        DIRECT: repeated(bench, bench.peer("pubsub_send", PROJECT, room, "hello")),
    }


@contextmanager
def stream(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Lines of standard input, a message each."""
    room = topic(bench)
    where = ("--quiet", "--url", f"pubsub://{PROJECT}", "--room", room)
    yield {
        KCHAT: streamed(bench, LINES, bench.kchat("send", *where, "-")),
        DIRECT: streamed(bench, LINES, bench.peer("pubsub_stream", PROJECT, room)),
    }


CASES = [
    Case(
        "pubsub-once",
        "one message on Pub/Sub (emulator), whole process",
        one_send,
        (Bar(KCHAT, "s", at_most=1.1, against=DIRECT),),
    ),
    Case(
        "pubsub-stream",
        "a stream of lines into Pub/Sub (emulator), each confirmed",
        stream,
        (Bar(KCHAT, "messages/s", at_least=0.9, against=DIRECT),),
    ),
]
