"""What is measured: how many subscribers, of which kind, at which rate; and a row of the file that keeps what came out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks.bench import ROOT

FILE = ROOT / "benchmarks/measured/scale.jsonl"
"""What was measured last: a line about the machine, and one for each point."""

Kind = Literal["queue", "stream", "durable", "kchat"]
"""A queue for each subscriber, as usual; the room's history, one stream, that all of them read; a durable queue for each,
as an archiver has one; and ``kchat subscribe`` itself, a process each, to check what the others stand for."""

RATES: Mapping[Kind, Mapping[int, tuple[int, ...]]] = {
    "queue": {
        1: (0, 50, 200, 1000),
        2: (50, 200, 1000),
        5: (50, 200, 1000),
        10: (0, 50, 200, 500),
        20: (50, 200),
        50: (0, 20, 50, 100),
        100: (20, 50),
        200: (0, 10, 25),
    },
    "stream": {
        1: (0, 50, 200, 1000),
        2: (50, 200, 1000),
        5: (50, 200, 1000),
        10: (0, 50, 200, 500),
        20: (50, 200),
        50: (0, 20, 50, 100),
        100: (20, 50),
        200: (0, 10, 25),
    },
    "durable": {1: (0, 50, 200, 1000), 2: (50, 200, 1000), 5: (0, 50, 200), 10: (0, 50, 200)},
    "kchat": {10: (50,)},
}
"""Messages a second for each number of subscribers. No more than some thousand deliveries a second: beyond that the broker
and those who measure it want more than two cores, and messages wait. 0 is a room in which nobody speaks."""

HELD_OUT: Mapping[Kind, Mapping[int, tuple[int, ...]]] = {
    "queue": {30: (100,), 150: (30,)},
    "stream": {30: (100,), 150: (30,)},
}
"""Measured, and never fitted to: what the model says of them is held against what came out."""

FAR_MORE: Mapping[Kind, Mapping[int, tuple[int, ...]]] = {"queue": {50: (600,)}, "stream": {50: (600,)}}
"""Several times as many deliveries as at any other point, to see what a machine delivers at the most. Never fitted to."""

KEPT_UP = 0.97
"""The least part of what was to be sent and delivered that was, for a point to count as one that the machine can keep up."""


@dataclass(frozen=True)
class Row:
    """What one point has shown.

    Attributes:
        kind: of subscribers.
        subscribers: how many.
        rate: messages a second that the sender was to send.
        held_out: whether the model is not fitted to it.
        seconds: how long it was measured.
        sent: messages sent in that time.
        delivered: messages delivered in that time, to all subscribers together.
        received: bytes in which these were delivered, with AMQP's frames, without those of TCP/IP.
        broker_cpu: seconds of processor time that the broker has used meanwhile.
        client_cpu: seconds that the subscribers have used, together.
        sender_cpu: seconds that ``kchat send`` has used.
        others_cpu: seconds that the rest of the machine has used.
        rss_mib: the broker's resident memory, at the end.
    """

    kind: Kind
    subscribers: int
    rate: int
    held_out: bool
    seconds: float
    sent: int
    delivered: int
    received: int
    broker_cpu: float
    client_cpu: float
    sender_cpu: float
    others_cpu: float
    rss_mib: float

    @property
    def per_second(self) -> float:
        """Messages a second that were sent."""
        return self.sent / self.seconds

    @property
    def deliveries(self) -> float:
        """Deliveries a second."""
        return self.delivered / self.seconds

    @property
    def cores(self) -> float:
        """Cores that the broker has used."""
        return self.broker_cpu / self.seconds

    @property
    def far_more(self) -> bool:
        """Whether it is one of :data:`FAR_MORE`."""
        return self.rate in FAR_MORE.get(self.kind, {}).get(self.subscribers, ())

    @property
    def kept_up(self) -> bool:
        """Whether everything was sent and delivered when it was due."""
        due = KEPT_UP * self.rate * self.seconds - 1  # one may be on its way at the end
        return self.sent >= due and self.delivered >= due * self.subscribers


@dataclass(frozen=True)
class Measured:
    """All that was measured in one run.

    Attributes:
        machine: what it was measured on, by name.
        published: bytes from a sender to the broker for each message, with AMQP's frames.
        confirmed: bytes back, for each message.
        rows: the points.
    """

    machine: Mapping[str, str]
    published: float
    confirmed: float
    rows: tuple[Row, ...]

    def of(self, kind: Kind) -> list[Row]:
        """The rows of a kind."""
        return [row for row in self.rows if row.kind == kind]


def write(path: Path, measured: Measured) -> None:
    """Write what was measured, as JSON lines."""
    first = {
        "machine": dict(measured.machine),
        "published": measured.published,
        "confirmed": measured.confirmed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_lines(path, [first, *map(asdict, measured.rows)])


def _write_lines(path: Path, lines: Iterable[object]) -> None:
    # Not half a file where the run is interrupted just now.
    whole = path.with_name(path.name + ".new")
    whole.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    whole.replace(path)


def read(path: Path = FILE) -> Measured:
    """What :func:`write` has written."""
    first, *rows = map(json.loads, path.read_text("utf-8").splitlines())
    return Measured(**first, rows=tuple(Row(**row) for row in rows))
