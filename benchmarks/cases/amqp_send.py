"""Streams into RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pika

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.measure import Figures, Side

MANY, SOME = 100_000, 20_000
"""Lines for those who take some seconds to send a hundred thousand, and for those who take as long for fewer."""


@contextmanager
def routed(url: str, room: str) -> Iterator[None]:
    """The room as the tutorials declare it, with a queue that keeps the newest thousand messages."""
    connection = pika.BlockingConnection(pika.URLParameters(url + "?heartbeat=0"))
    channel = connection.channel()
    channel.exchange_declare(room, "fanout")
    limits = {"x-max-length": 1000, "x-overflow": "drop-head"}
    channel.queue_declare(room, exclusive=True, arguments=limits)
    channel.queue_bind(room, room)
    try:
        yield
    finally:
        channel.exchange_delete(room)
        connection.close()


def streamed(bench: Bench, count: int, command: Sequence[str]) -> Side:
    """A side that sends a file of lines."""
    number = bench.count(count)

    def side() -> Figures:
        run = bench.whole(command, stdin=bench.lines(number))
        return {
            "messages/s": number / run.seconds,
            "CPU µs a message": run.cpu / number * 1e6,
            "MiB": run.mib,
        }

    return side


@contextmanager
def stream(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Lines of standard input, a message each."""
    url, room = bench.amqp, bench.new_room()
    with routed(url, room):
        # A round takes half a minute, in which the machine may change: kchat stands amid those that it is held against.
        yield {
            "pika, none": streamed(bench, SOME, bench.peer("pika_stream", url, room, "unconfirmed")),
            "pika, confirms": streamed(bench, SOME, bench.peer("pika_stream", url, room, "confirmed")),
            "py-amqp, pipelined": streamed(bench, MANY, bench.peer("amqp_stream", url, room, "confirmed")),
            "kchat send -": streamed(
                bench, MANY, bench.kchat("send", "--quiet", "--url", url, "--room", room, "-")
            ),
            "py-amqp, none": streamed(bench, MANY, bench.peer("amqp_stream", url, room, "unconfirmed")),
            "kombu, confirms": streamed(bench, SOME, bench.peer("kombu_stream", url, room)),
            "amqp-publish (C), none": streamed(bench, MANY, ["amqp-publish", "-u", url, "-e", room, "-l"]),
        }


CASES = [
    Case(
        "amqp-stream",
        "a stream of lines into AMQP, each confirmed",
        stream,
        tuple(
            Bar("kchat send -", "messages/s", at_least=least, against=peer)
            for least, peer in ((4.0, "pika, confirms"), (0.8, "py-amqp, pipelined"), (0.7, "py-amqp, none"))
        ),
    )
]
