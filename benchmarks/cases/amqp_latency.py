"""From the moment a line is written into a sender to the moment it comes out of a subscriber."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.measure import Failed, Figures, Side, cpu_seconds

RATE, SECONDS = 500, 6

QUIET = 5.0
"""Seconds without a line after which what has not come is lost. Pauses between lines are of half a second at most."""


def one_way(
    bench: Bench,
    sender: Sequence[str],
    subscribers: Sequence[Sequence[str]],
    rate: float,
    count: int,
    *,
    quiet: float = QUIET,
    patience: float = 60.0,
) -> Figures:
    """Send lines at a pace while the subscribers show them to one reader.

    Returns how old the lines were by then, how many were lost, and what a message cost each subscriber in processor time.

    Raises:
        Failed: nothing came, or no end of it.
    """
    expected = count * len(subscribers)
    with ExitStack() as stack:
        shown, show = os.pipe()
        reader = bench.drive("stamp", expected, expected // 10, quiet)
        stamp = stack.enter_context(bench.running(reader, stdin=shown, stdout=subprocess.PIPE))
        os.close(shown)
        listening = [stack.enter_context(bench.listening(subscriber, show)) for subscriber in subscribers]
        os.close(show)
        before = sum(cpu_seconds(process.pid) for process in listening)
        pace = stack.enter_context(bench.running(bench.drive("pace", rate, count), stdout=subprocess.PIPE))
        stack.enter_context(bench.running(sender, stdin=pace.stdout, stdout=subprocess.DEVNULL))
        seconds = count / rate + patience
        try:
            told = stamp.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired as error:
            raise Failed(f"nothing came in {seconds:.0f} s, or it did not end") from error
        figures: Figures = json.loads(told)
        used = sum(cpu_seconds(process.pid) for process in listening) - before
        figures["CPU µs a message"] = used / expected * 1e6
    figures["lost"] = expected - figures.pop("lines")
    return figures


@contextmanager
def amqp(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """500 messages a second, which leaves everybody time."""
    url, room, count = bench.amqp, bench.new_room(), RATE * (2 if bench.quick else SECONDS)
    where = ("--url", url, "--room", room)
    kchat = bench.kchat("send", "--quiet", *where, "-"), [bench.kchat("subscribe", *where)]
    peers = bench.peer("amqp_stream", url, room, "unconfirmed"), [bench.peer("amqp_receive", url, room)]
    yield {
        "kchat": lambda: one_way(bench, *kchat, RATE, count),
        "py-amqp": lambda: one_way(bench, *peers, RATE, count),
    }


CASES = [
    Case(
        "amqp-latency",
        f"one way on AMQP at {RATE} messages/s, sender to display",
        amqp,
        (
            Bar("kchat", "p50 ms", at_most=1.5, against="py-amqp"),
            Bar("kchat", "p99 ms", at_most=2.0, against="py-amqp"),
            Bar("kchat", "lost", at_most=0),
        ),
    )
]
