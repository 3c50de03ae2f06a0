"""``python -m benchmarks.scale.model``: a model of a broker with many subscribers, fitted to what was measured.

With R messages a second and S subscribers,

    processor = base + per_message * R + per_root * √R
              + S * (per_subscriber + per_delivery * R + per_subscriber_root * √R)
    network   = R * published in, R * S * received out
    memory    = rss + rss_per_subscriber * S

by least squares. The roots are there because the broker does more at once when there is more to do: wakes a process, writes
to a socket, to the disk, reads acknowledgements; a message is the cheaper, the sooner the next one comes. For the
processor, what is made small is the error as a part of what was measured: a broker with one subscriber counts as much as
one with two hundred.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import median

from benchmarks.scale.points import FILE, Kind, Measured, Row, read

FLOOR = 0.02
"""Cores. Below that, errors count as if that was used: what an idle broker does is in bursts."""

KINDS: tuple[Kind, ...] = ("queue", "stream", "durable")
"""Those that have a model."""


@dataclass(frozen=True)
class Model:
    """What a broker needs for subscribers of a kind.

    Attributes:
        kind: of subscribers.
        base: cores that it uses without any.
        per_subscriber: cores for each subscriber who is there.
        per_message: seconds of processor time for each message that is sent.
        per_delivery: seconds for each that is delivered.
        per_root: cores for the root of messages a second.
        per_subscriber_root: the same, for each subscriber.
        published: bytes that come to the broker for each message sent.
        received: bytes that leave it for each message delivered.
        rss_mib: memory without subscribers.
        rss_per_subscriber: memory for each, in MiB.
    """

    kind: Kind
    base: float
    per_subscriber: float
    per_message: float
    per_delivery: float
    per_root: float
    per_subscriber_root: float
    published: float
    received: float
    rss_mib: float
    rss_per_subscriber: float

    def cores(self, subscribers: float, rate: float) -> float:
        """Cores that the broker uses."""
        return self.alone(rate) + self.each(rate) * subscribers

    def alone(self, rate: float) -> float:
        """Cores that it uses for messages, whoever receives them."""
        return self.base + self.per_message * rate + self.per_root * sqrt(rate)

    def each(self, rate: float) -> float:
        """Cores that it uses for each subscriber."""
        return self.per_subscriber + self.per_delivery * rate + self.per_subscriber_root * sqrt(rate)

    def megabits(self, subscribers: float, rate: float) -> float:
        """Megabits a second that leave the broker, without the headers of TCP/IP."""
        return rate * subscribers * self.received * 8 / 1e6

    def memory(self, subscribers: float) -> float:
        """MiB that the broker uses."""
        return self.rss_mib + self.rss_per_subscriber * subscribers

    def subscribers(self, cores: float, rate: float) -> float:
        """How many subscribers fit into a number of cores."""
        return max(0.0, cores - self.alone(rate)) / self.each(rate)


def fit(measured: Measured, kind: Kind) -> Model:
    """The model of a kind, from the points that were not held out and that the machine could keep up with."""
    rows = fitted(measured, kind)
    terms = [
        (1.0, rate, sqrt(rate), row.subscribers, row.subscribers * rate, row.subscribers * sqrt(rate))
        for row in rows
        for rate in (row.per_second,)
    ]
    processor = least_squares(terms, [row.cores for row in rows], [1 / max(row.cores, FLOOR) for row in rows])
    memory = least_squares(
        [(1.0, row.subscribers) for row in rows], [row.rss_mib for row in rows], [1.0] * len(rows)
    )
    return Model(
        kind=kind,
        base=processor[0],
        per_message=processor[1],
        per_root=processor[2],
        per_subscriber=processor[3],
        per_delivery=processor[4],
        per_subscriber_root=processor[5],
        published=measured.published,
        received=sum(row.received for row in rows) / sum(row.delivered for row in rows),
        rss_mib=memory[0],
        rss_per_subscriber=memory[1],
    )


def fitted(measured: Measured, kind: Kind) -> list[Row]:
    """The points that a model is fitted to."""
    return [row for row in measured.of(kind) if not row.held_out and row.kept_up]


def held_out(measured: Measured, kind: Kind) -> list[Row]:
    """The points that a model is checked against."""
    return [row for row in measured.of(kind) if row.held_out and row.kept_up and not row.far_more]


def least_squares(
    terms: Sequence[Sequence[float]], values: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """Coefficients, none of them below 0, of the sum of terms that is nearest to the values.

    Nothing costs less than nothing: where the best coefficients have one below 0, the lowest is left out, and the others
    are sought again.
    """
    # Terms of thousands of deliveries beside one of 1: each in units of its largest.
    units = [max(abs(row[number]) for row in terms) or 1.0 for number in range(len(terms[0]))]
    rows = [
        [weight * each / unit for each, unit in zip(row, units, strict=True)]
        for row, weight in zip(terms, weights, strict=True)
    ]
    wanted = [value * weight for value, weight in zip(values, weights, strict=True)]
    used = list(range(len(units)))
    while True:
        found = solve(
            [[sum(row[one] * row[other] for row in rows) for other in used] for one in used],
            [sum(row[one] * value for row, value in zip(rows, wanted, strict=True)) for one in used],
        )
        lowest = min(range(len(used)), key=found.__getitem__)
        if found[lowest] >= 0:
            break
        del used[lowest]
    coefficients = dict(zip(used, found, strict=True))
    return [coefficients.get(number, 0.0) / unit for number, unit in enumerate(units)]


def solve(matrix: list[list[float]], values: list[float]) -> list[float]:
    """The solution of as many linear equations as unknowns, by Gauss with pivots.

    Raises:
        ZeroDivisionError: there is more than one.
    """
    rows = [[*row, value] for row, value in zip(matrix, values, strict=True)]
    for column in range(len(rows)):
        pivot = max(range(column, len(rows)), key=lambda number: abs(rows[number][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        top = rows[column][column]
        rows[column] = [each / top for each in rows[column]]
        for number, row in enumerate(rows):
            if number != column:
                rows[number] = [
                    each - row[column] * above for each, above in zip(row, rows[column], strict=True)
                ]
    return [row[-1] for row in rows]


def error(predicted: float, value: float) -> float:
    """How much too much a prediction is, as a part of what was measured."""
    return predicted / value - 1


def errors(model: Model, rows: Sequence[Row]) -> tuple[float, float]:
    """The error of the processor's cores over rows, as a part: the median, and the largest."""
    found = [
        abs(error(model.cores(row.subscribers, row.per_second), row.cores))
        for row in rows
        if row.cores >= FLOOR
    ]
    return median(found), max(found)


def main(path: Path = FILE) -> int:
    """Print the models, and what they say of the points that they were not fitted to."""
    measured = read(path)
    for kind in KINDS:
        model, rows = fit(measured, kind), fitted(measured, kind)
        middle, worst = errors(model, rows)
        print(
            f"{kind}, fitted to {len(rows)} points; error of the processor {middle:.1%} in the median, {worst:.1%} at most\n"
            f"  processor  {model.base:.4f} cores\n"
            f"             + R × {model.per_message * 1e6:.1f} µs + √R × {model.per_root * 1e6:.0f} µs/s\n"
            f"             + S × ({model.per_subscriber * 1e6:.1f} µs/s + R × {model.per_delivery * 1e6:.1f} µs"
            f" + √R × {model.per_subscriber_root * 1e6:.0f} µs/s)\n"
            f"  network    R × {model.published:.0f} bytes in, R × S × {model.received:.0f} bytes out\n"
            f"  memory     {model.rss_mib:.0f} MiB + S × {model.rss_per_subscriber:.3f} MiB"
        )
        for row in held_out(measured, kind):
            cores, memory = model.cores(row.subscribers, row.per_second), model.memory(row.subscribers)
            print(
                f"  not fitted: S = {row.subscribers}, R = {row.per_second:.0f}/s: {cores:.3f} cores, measured "
                f"{row.cores:.3f} ({error(cores, row.cores):+.1%}); {memory:.0f} MiB, measured {row.rss_mib:.0f} "
                f"({error(memory, row.rss_mib):+.1%})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
