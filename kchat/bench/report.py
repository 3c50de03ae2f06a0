"""The result of a benchmark."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

_STEPS = 50
"""Latencies are counted in classes 2 % wide: a million of them take hardly any memory."""


def class_of(nanoseconds: int) -> int:
    """The class that a latency is counted in."""
    return round(math.log(max(1, nanoseconds)) * _STEPS)


def _milliseconds(number: float) -> float:
    return math.exp(number / _STEPS) / 1e6


class Latency(NamedTuple):
    """How old messages were when they were received, in milliseconds, accurate to 1 %.

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
        so_far = list(accumulate(count for _, count in ordered))

        def at(share: float) -> float:
            return _milliseconds(ordered[bisect_left(so_far, share * so_far[-1])][0])

        doubling: Counter[int] = Counter()
        for number, count in ordered:
            doubling[math.ceil(math.log2(_milliseconds(number)))] += count
        first, last = min(doubling), max(doubling)
        histogram = tuple((2.0**power, doubling[power]) for power in range(first, last + 1))
        return cls(at(0.5), at(0.95), at(0.99), at(1.0), histogram)


class Report(NamedTuple):
    """The result.

    Attributes:
        where: the room and its broker, without password.
        messages: number of messages to send.
        size: size of each message's text in bytes.
        senders: number of senders.
        subscribers: number of subscribers.
        sent: number of messages that the broker has confirmed.
        not_sent: number of messages that it has not confirmed.
        received: number of messages received, summed over all subscribers.
        lost: number of messages that were confirmed and not received, summed over all subscribers.
        out_of_order: number of messages that arrived after a later one of the same sender.
        repeated: number of messages that arrived again.
        send_seconds: time from the first message to the last confirmation, in seconds.
        receive_seconds: time from the first message sent to the last one received, in seconds; 0 without subscribers.
        latency: from handing a message to the sender until the subscriber has it; with a rate, from the time when the
            message was due, so that it includes the delay of a stall. ``None`` if no message was received.
        left_behind: what could not be deleted afterwards, and why; empty if everything was.
        not_sent_because: the first reason why a message was not sent; empty if all were.
        connections_lost: number of times that a connection was lost and made again; rates and latencies include it.
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
        """Confirmed messages per second, all senders together."""
        return self.sent / self.send_seconds if self.send_seconds else 0.0

    @property
    def received_per_second(self) -> float:
        """Messages per second that a subscriber has received, on average."""
        if not self.subscribers or not self.receive_seconds:
            return 0.0
        return self.received / self.subscribers / self.receive_seconds

    @property
    def good(self) -> bool:
        """Whether every subscriber received every message, once and in order."""
        return not (self.not_sent or self.lost or self.out_of_order or self.repeated)

    def as_json(self) -> dict[str, object]:
        """For ``--json``: all attributes and the rates."""
        told: dict[str, object] = self._asdict()
        told["latency"] = None if self.latency is None else self.latency._asdict()
        return {
            **told,
            "sent_per_second": self.sent_per_second,
            "received_per_second": self.received_per_second,
        }


class Sent(NamedTuple):
    """What one sender has measured. Times are of the monotonic clock, in nanoseconds."""

    confirmed: int
    why: str
    first_at: int
    last_at: int


class Received(NamedTuple):
    """What one subscriber has measured. Times are of the monotonic clock, in nanoseconds."""

    messages: int
    out_of_order: int
    repeated: int
    last_at: int
    ages: Mapping[int, int]
