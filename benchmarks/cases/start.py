"""Commands from their start to their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.measure import Figures, Side

RUNS = 10
"""Runs that make one round; the round's figure is their median."""

SEND, TUTORIAL = "kchat send", "pika tutorial"


def repeated(bench: Bench, command: Sequence[str]) -> Callable[[], Figures]:
    """A side that runs a command several times."""

    def side() -> Figures:
        runs = [bench.whole(command) for _ in range(max(3, bench.count(RUNS)))]
        return {
            "s": median(run.seconds for run in runs),
            "CPU s": median(run.cpu for run in runs),
            "MiB": median(run.mib for run in runs),
        }

    return side


@contextmanager
def one_send(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """One message on AMQP."""
    url, room = bench.amqp, bench.new_room()
    bench.whole(bench.kchat("send", "--url", url, "--room", room, "the room is made"))
    yield {
        SEND: repeated(bench, bench.kchat("send", "--url", url, "--room", room, "hello")),
        TUTORIAL: repeated(bench, bench.peer("pika_send", url, room, "hello")),
        "kombu Producer": repeated(bench, bench.peer("kombu_send", url, room, "hello")),
        "amqp-publish (C)": repeated(bench, ["amqp-publish", "-u", url, "-e", room, "-b", "hello"]),
    }


@contextmanager
def helping(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """No message at all."""
    yield {"kchat --help": repeated(bench, bench.kchat("--help"))}


CASES = [
    Case(
        "send-once",
        "one message on AMQP, whole process",
        one_send,
        (
            Bar(SEND, "s", at_most=1.15, against=TUTORIAL),
            Bar(SEND, "MiB", at_most=1.3, against=TUTORIAL),
        ),
    ),
    Case("help", "kchat --help", helping, (Bar("kchat --help", "s", at_most=0.12),)),
]
