"""Streams out of RabbitMQ, from a lasting queue that is filled beforehand, so that nobody waits for a sender."""

from __future__ import annotations

import os
import pty
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pika

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.measure import Failed, Figures, Side

COUNT = 50_000
DURABLE = "bench"
PLAIN, RICH = "plain, on a terminal", "rich, on a terminal"


class Queue:
    """The durable queue of ``kchat subscribe --durable``, which peers read too."""

    def __init__(self, bench: Bench) -> None:
        self.url, self.room = bench.amqp, bench.new_room()
        self.name = f"kchat.{self.room}.{DURABLE}"
        connection = pika.BlockingConnection(pika.URLParameters(self.url + "?heartbeat=0"))
        self._channel = connection.channel()
        bench.whole(self.listen(bench, "--idle-timeout", "0.1"))

    def listen(self, bench: Bench, *more: str) -> list[str]:
        """Kchat's command line."""
        return bench.kchat(
            "subscribe", "--quiet", "--url", self.url, "--room", self.room, "--durable", DURABLE, *more
        )

    def purge(self) -> None:
        """Empty it."""
        self._channel.queue_purge(self.name)

    def fill(self, bench: Bench, count: int) -> None:
        """Put ``count`` messages of kchat's into it, and return when all are there."""
        self.purge()
        bench.whole(
            bench.kchat("send", "--quiet", "--url", self.url, "--room", self.room, "-"),
            stdin=bench.lines(count),
        )
        end = time.monotonic() + 60
        while self._channel.queue_declare(self.name, passive=True).method.message_count < count:
            if time.monotonic() > end:
                raise Failed(f"no {count} messages in {self.name}")

    def delete(self) -> None:
        """Take it and the room away."""
        self._channel.queue_delete(self.name)
        self._channel.exchange_delete(self.room)
        self._channel.connection.close()


@contextmanager
def filled(bench: Bench) -> Iterator[Queue]:
    """A queue, taken away afterwards."""
    queue = Queue(bench)
    try:
        yield queue
    finally:
        queue.delete()


def drained(bench: Bench, queue: Queue, count: int, command: Sequence[str]) -> Side:
    """A side that reads all of the queue into a pipe."""

    def side() -> Figures:
        queue.fill(bench, count)
        run = bench.whole(command)
        return {"messages/s": count / run.seconds, "CPU µs a message": run.cpu / count * 1e6, "MiB": run.mib}

    return side


@contextmanager
def into_a_pipe(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """As programs read it."""
    count, few = bench.count(COUNT), bench.count(2000)
    with filled(bench) as queue:
        name, url = queue.name, queue.url
        # It starts a process for each message, which is what it is for.
        consume = ["amqp-consume", "-u", url, "-q", name, "-p", "500", "-c", str(few), "cat"]
        yield {
            "kchat, json": drained(
                bench, queue, count, queue.listen(bench, "--mode", "json", "--limit", str(count))
            ),
            # Next to the peer that it is held against.
            "kchat subscribe": drained(bench, queue, count, queue.listen(bench, "--limit", str(count))),
            "pika, each": drained(bench, queue, count, bench.peer("pika_receive", url, name, str(count))),
            "kombu, each": drained(bench, queue, count, bench.peer("kombu_receive", url, name, str(count))),
            "amqp-consume (C)": drained(bench, queue, few, consume),
        }


def on_a_terminal(bench: Bench, queue: Queue, count: int, mode: str) -> Side:
    """A side that reads all of the queue onto a pseudo-terminal of 200 columns and 50 lines."""
    import fcntl
    import struct
    import termios

    def side() -> Figures:
        queue.fill(bench, count)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        seen: list[tuple[float, int]] = []
        reader = threading.Thread(target=_watch, args=(ours, seen), daemon=True)
        reader.start()
        try:
            command = [
                "env",
                "TERM=xterm-256color",
                *queue.listen(bench, "--mode", mode, "--limit", str(count)),
            ]
            run = bench.whole(command, stdout=theirs)
        finally:
            os.close(theirs)
            reader.join(5)
            os.close(ours)
        figures = {
            "messages/s": count / run.seconds,
            "CPU µs a message": run.cpu / count * 1e6,
            "MiB": run.mib,
        }
        if mode == "rich":
            figures["last fifth ÷ first"] = _rate(seen, 0.8, 1.0) / _rate(seen, 0.0, 0.2)
        return figures

    return side


def _watch(terminal: int, seen: list[tuple[float, int]]) -> None:
    """Read a terminal's output, and note when which count of messages stood in the table's last line."""
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # Linux' way to say that nobody has the other end open
            return
        now = time.monotonic()
        counts = re.findall(rb"([\d,]+) messages?", data)
        seen += [(now, int(count.replace(b",", b""))) for count in counts]


def _rate(seen: list[tuple[float, int]], start: float, end: float) -> float:
    """Messages a second between two shares of all that was shown, by the frames next to them."""
    shown = [each for each in seen if each[1]]
    total = shown[-1][1]
    first = min(shown, key=lambda each: abs(each[1] - start * total))
    last = min((each for each in shown if each[1] > first[1]), key=lambda each: abs(each[1] - end * total))
    return (last[1] - first[1]) / (last[0] - first[0])


@contextmanager
def onto_a_terminal(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """As people read it; into a pipe for comparison."""
    count = COUNT  # fewer would be over before the table was drawn often enough
    with filled(bench) as queue:
        yield {
            "plain, into a pipe": drained(bench, queue, count, queue.listen(bench, "--limit", str(count))),
            PLAIN: on_a_terminal(bench, queue, count, "plain"),
            RICH: on_a_terminal(bench, queue, count, "rich"),
        }


CASES = [
    Case(
        "amqp-subscribe",
        "kchat subscribe into a pipe, acknowledged, checked, made safe",
        into_a_pipe,
        (Bar("kchat subscribe", "messages/s", at_least=1.5, against="pika, each"),),
    ),
    Case(
        "rich",
        "--mode rich while 50,000 messages arrive",
        onto_a_terminal,
        (
            Bar(RICH, "messages/s", at_least=0.7, against=PLAIN),
            # RabbitMQ's own pace varies by a quarter from one fifth of a second to the next; what grows with the messages
            # that were shown, as a table that is built anew for each of them does, is a tenth as fast at the end.
            Bar(RICH, "last fifth ÷ first", at_least=0.8),
        ),
        rounds=9,
        alone=True,
    ),
]
