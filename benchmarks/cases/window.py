"""The window of ``kchat chat``, in a pseudo-terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median, quantiles

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.measure import Figures, Side
from benchmarks.terminal import Terminal

CHAT, EMPTY = "kchat chat", "Textual's empty app"
ON_AMQP, EMBEDDED = "on AMQP", "in an embedded room"
RUNS = 10
"""First frames that make one round; its figure is their median."""
RATE, SECONDS = 2000, 20.0
"""Messages a second that arrive while one types, and for how long."""

KEYS = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
"""Keys to type that are in no message."""

KEY_PAUSE = 0.15
MESSAGES = 100_000
IDLE_SECONDS = 20.0
_JOINED = b"connected"


def _first_frame(bench: Bench, command: list[str], seen: Callable[[bytearray], bool]) -> Side:
    def side() -> Figures:
        took = []
        for _ in range(max(3, bench.count(RUNS))):
            with Terminal(command, bench.environment, bench.folder) as terminal:
                took.append(1000 * (terminal.until(seen) - terminal.started))
        return {"ms": median(took)}

    return side


@contextmanager
def first_frame(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Until the window stands: its last row for kchat, an empty row for Textual's own."""
    url = f"local://{bench.new_folder('window')}/room.db"
    yield {
        CHAT: _first_frame(bench, bench.kchat("chat", "--url", url), lambda written: b"F1 help" in written),
        EMPTY: _first_frame(bench, bench.peer("textual_empty"), lambda written: b" " * 80 in written),
    }


@contextmanager
def typing(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """From a key to its letter on the screen, while messages arrive."""
    url = bench.amqp

    def side() -> Figures:
        room = bench.new_room()
        arguments = ("--url", url, "--room", room)
        seconds = SECONDS / 10 if bench.quick else SECONDS
        took = []
        with Terminal(bench.kchat("chat", *arguments), bench.environment, bench.folder) as terminal:
            terminal.until(lambda written: _JOINED in written)
            source = bench.lines(int(RATE * (seconds + 10)))
            pace = bench.drive("pace_lines", source, RATE)
            with bench.running([*pace, *bench.kchat("send", *arguments, "--quiet", "-")]):
                terminal.until(lambda written: b"line 000" in written)
                terminal.watch(1.0)
                ends, number = time.perf_counter() + seconds, 0
                while time.perf_counter() < ends:
                    key = KEYS[number % len(KEYS)].encode()
                    if number % len(KEYS) == 0:
                        terminal.type(b"\x15")  # Ctrl+U
                        terminal.watch(KEY_PAUSE)
                    del terminal.written[:]
                    began = time.perf_counter()
                    terminal.type(key)
                    took.append(1000 * (terminal.until(lambda written, key=key: key in written) - began))  # type: ignore[misc]
                    terminal.watch(KEY_PAUSE)
                    number += 1
        return {"p50 ms": median(took), "p95 ms": quantiles(took, n=20)[-1], "max ms": max(took)}

    yield {CHAT: side}


@contextmanager
def memory(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The memory of a window in whose room 100,000 messages were said."""
    url = bench.amqp

    def side() -> Figures:
        room, count = bench.new_room(), bench.count(MESSAGES)
        arguments = ("--url", url, "--room", room)
        with Terminal(bench.kchat("chat", *arguments), bench.environment, bench.folder) as terminal:
            terminal.until(lambda written: _JOINED in written)
            before = terminal.mib
            pace = bench.drive("pace_lines", bench.lines(count), RATE)
            with bench.running([*pace, *bench.kchat("send", *arguments, "--quiet", "-")]) as sender:
                while sender.poll() is None:
                    terminal.watch(0.2)
            last = f"line {count - 1:07d}".encode()
            terminal.until(lambda written: last in written)
            return {"MiB": terminal.mib, "MiB before": before}

    yield {CHAT: side}


@contextmanager
def idle(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Processor time of a window in which nothing happens, except that others are told who is here."""

    def side(url: str) -> Figures:
        arguments = ("--url", url, "--room", bench.new_room())
        seconds = IDLE_SECONDS / 5 if bench.quick else IDLE_SECONDS
        with Terminal(bench.kchat("chat", *arguments), bench.environment, bench.folder) as terminal:
            terminal.until(lambda written: _JOINED in written)
            terminal.watch(3.0)
            before = terminal.cpu
            terminal.watch(seconds)
            return {"% of a core": 100 * (terminal.cpu - before) / seconds}

    embedded = f"local://{bench.new_folder('window')}/room.db"
    yield {ON_AMQP: lambda: side(bench.amqp), EMBEDDED: lambda: side(embedded)}


CASES = [
    Case(
        "window-start",
        "the window's first frame",
        first_frame,
        (Bar(CHAT, "ms", at_most=1.3, against=EMPTY),),
    ),
    Case(
        "window-keys",
        "from a key to the screen, while 2,000 messages/s arrive",
        typing,
        (Bar(CHAT, "p95 ms", at_most=50),),
        rounds=3,
    ),
    Case(
        "window-memory",
        "a window in whose room 100,000 messages were said",
        memory,
        (Bar(CHAT, "MiB", at_most=120),),
        rounds=1,
    ),
    Case(
        "window-idle",
        "a window in which nothing happens",
        idle,
        tuple(Bar(side, "% of a core", at_most=1) for side in (ON_AMQP, EMBEDDED)),
        rounds=3,
    ),
]
