"""What came out of a benchmark."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_STEPS = 50
"""Latencies are counted in classes that are 2 % wide, so that a million of them take no memory to speak of."""


def class_of(nanoseconds: int) -> int:
    """The class that a latency is counted in."""
    return round(math.log(max(1, nanoseconds)) * _STEPS)


def _milliseconds(number: float) -> float:
    return math.exp(number / _STEPS) / 1e6


class Latency(NamedTuple):
    """How old messages were when they were received, in milliseconds, to 1 %.

    Attributes:
        p50_ms: half of them were no older.
        p95_ms: 95 % were no older.
        p99_ms: 99 % were no older.
        max_ms: the oldest.
        histogram: upper bounds in milliseconds, doubling, and how many messages were as old and no older.
    """

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    histogram: tuple[tuple[float, int], ...]

    @classmethod
    def of(cls, counted: Mapping[int, int]) -> Latency:
        """From messages by :func:`class_of`; there is at least one."""
        ordered = sorted(counted.items())
        total = sum(counted.values())

        def at(share: float) -> float:
            wanted, seen = share * total, 0
            for number, count in ordered:
                seen += count
                if seen >= wanted:
                    return _milliseconds(number)
            return _milliseconds(ordered[-1][0])

        doubling: Counter[int] = Counter()
        for number, count in ordered:
            doubling[math.ceil(math.log2(_milliseconds(number)))] += count
        first, last = min(doubling), max(doubling)
        histogram = tuple((2.0**power, doubling[power]) for power in range(first, last + 1))
        return cls(at(0.5), at(0.95), at(0.99), at(1.0), histogram)


class Report(NamedTuple):
    """What came out.

    Attributes:
        where: the room and its broker; safe to show.
        messages: how many were to be sent.
        size: bytes of each message's text.
        senders: how many there were.
        subscribers: how many there were.
        sent: messages that the broker has confirmed.
        not_sent: messages that it has not taken.
        received: messages that subscribers have received, each counted for each of them.
        lost: messages that were confirmed and not received, each counted for each subscriber.
        out_of_order: messages that came after a later one of the same sender.
        repeated: messages that came again.
        send_seconds: from the first message to the last confirmation.
        receive_seconds: from the first message sent to the last one received; 0 without subscribers.
        latency: from handing a message to the sender until the subscriber has it; with a rate, from when the message
            was due, so that it has what a stall delays. ``None`` where none was received.
        left_behind: what could not be deleted afterwards, and why; empty for nothing.
        not_sent_because: why the first of those that were not sent was not; empty where all were.
        connections_lost: number of connections that were lost, and made again; rates and latencies include that time.
    """

    where: str
    messages: int
    size: int
    senders: int
    subscribers: int
    sent: int
    not_sent: int
    received: int
    lost: int
    out_of_order: int
    repeated: int
    send_seconds: float
    receive_seconds: float
    latency: Latency | None
    left_behind: str = ""
    not_sent_because: str = ""
    connections_lost: int = 0

    @property
    def sent_per_second(self) -> float:
        """Confirmed messages a second, all senders together."""
        return self.sent / self.send_seconds if self.send_seconds else 0.0

    @property
    def received_per_second(self) -> float:
        """Messages a second that each subscriber has received, on average."""
        if not self.subscribers or not self.receive_seconds:
            return 0.0
        return self.received / self.subscribers / self.receive_seconds

    @property
    def good(self) -> bool:
        """Whether everything arrived at everybody, once and in order."""
        return not (self.not_sent or self.lost or self.out_of_order or self.repeated)

    def as_json(self) -> dict[str, object]:
        """For ``--json``: all of it, with the rates; what JSON has types for."""
        told: dict[str, object] = self._asdict()
        told["latency"] = None if self.latency is None else self.latency._asdict()
        return {
            **told,
            "sent_per_second": self.sent_per_second,
            "received_per_second": self.received_per_second,
        }


class Sent(NamedTuple):
    """What one sender has to tell. Times are of the monotonic clock, in nanoseconds."""

    confirmed: int
    refused: int
    why: str
    first_at: int
    last_at: int
    connections_lost: int = 0


class Received(NamedTuple):
    """What one subscriber has to tell. Times are of the monotonic clock, in nanoseconds."""

    messages: int
    out_of_order: int
    repeated: int
    last_at: int
    ages: Mapping[int, int]
    connections_lost: int = 0


def summed(ages: Iterable[Mapping[int, int]]) -> Counter[int]:
    """The subscribers' latencies as one."""
    total: Counter[int] = Counter()
    for each in ages:
        total.update(each)
    return total
