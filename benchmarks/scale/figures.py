"""The parts of ``docs/scale.md`` that have figures in them: tables and sentences, from what was measured and the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import mean, median

from benchmarks.report import number
from benchmarks.scale.model import KINDS, Model, error, errors, fit, fitted, held_out
from benchmarks.scale.points import Kind, Measured, Row

PEOPLE = (10, 50, 200, 1_000, 5_000)
RATES = (1, 10, 100, 1_000)
"""Rows and columns of the table of sizes."""

HEADROOM = 0.6
"""The part of a machine's cores that the broker gets: the rest is for bursts, the system, and what the model is off by."""

MACHINES = (1, 2, 4, 8, 16)
"""Cores of the machines that are proposed; beyond the last, rooms or subscribers go to several brokers."""

ARCHIVER_RATES = (10, 100, 1_000)
"""Messages a second for which archivers are told."""

_TOLD: dict[Kind, str] = {
    "queue": "a queue each (`kchat subscribe`)",
    "stream": "one stream, read by all",
    "durable": "a durable queue each (`--durable`)",
    "kchat": "`kchat subscribe`, a process each",
}


def machine(measured: Measured) -> str:
    """On what it was measured, and how quiet that was."""
    where = measured.machine
    rows = measured.rows
    others = mean(row.others_cpu / row.seconds for row in rows)
    on = f"{where['cores']} cores of {_article(where['CPU'])}, RabbitMQ {where['RabbitMQ']} on one node"
    return (
        f"Measured on {where['when']}: {on} with its default settings, Python {where['Python']}, kchat {where['kchat']}; "
        f"{len(rows)} points of {rows[0].seconds:.0f} s each. Other programs used {others:.2f} cores of the machine "
        "meanwhile, on average."
    )


def _article(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIO' else 'a'} {name}"


def summary(measured: Measured) -> str:
    """The answers, in short."""
    queue = fit(measured, "queue")
    rows = fitted(measured, "queue")
    most = _rounded(queue.subscribers(4 * HEADROOM, 10))
    slow, fast = (queue.each(rate) / rate for rate in (10, 100))
    return (
        f"- What counts is messages/s × subscribers. **One delivery costs the broker {number(slow * 1e6)} µs** of processor "
        f"time in a room with 10 messages/s, {number(fast * 1e6)} with 100/s; a subscriber takes "
        f"{number(queue.rss_per_subscriber * 1024)} KiB of its memory.\n"
        f"- **Measured**: up to {max(row.subscribers for row in rows)} subscribers, and up to "
        f"{_rounded(max(row.deliveries for row in rows))} deliveries/s, for which the broker used "
        f"{number(max(row.cores for row in rows))} of two cores at most. **Extrapolated** from "
        f"there: {most} subscribers at 10 messages/s on four cores of this kind."
    )


def coefficients(measured: Measured) -> str:
    """The model's coefficients."""
    rows = []
    for model in (fit(measured, kind) for kind in KINDS):
        points = fitted(measured, model.kind)
        middle, worst = errors(model, points)
        rows.append(
            [
                _TOLD[model.kind],
                f"{model.base * 1e6:,.0f}",
                f"{model.per_message * 1e6:,.0f}",
                f"{model.per_root * 1e6:,.0f}",
                f"{model.per_subscriber * 1e6:,.0f}",
                f"{model.per_delivery * 1e6:,.0f}",
                f"{model.per_subscriber_root * 1e6:,.0f}",
                f"{model.received:,.0f}",
                f"{model.rss_mib:,.0f} MiB",
                f"{model.rss_per_subscriber * 1024:,.0f} KiB",
                f"{len(points)}: {middle:.0%}, at most {worst:.0%}",
            ]
        )
    return _table(
        [
            "subscribers have",
            "idle",
            "a, for R",
            "b, for √R",
            "c, for S",
            "d, for S R",
            "e, for S √R",
            "bytes out",
            "memory, idle",
            "memory of each subscriber",
            "points, CPU off by",
        ],
        rows,
    )


def inbound(measured: Measured) -> str:
    """Bytes from and to a sender."""
    return f"Each message comes in as {measured.published:.0f} bytes, and is confirmed with {measured.confirmed:.0f}."


def check(measured: Measured) -> str:
    """What the model says of points that it was not fitted to."""
    rows = []
    for kind in ("queue", "stream"):
        model = fit(measured, kind)
        for row in held_out(measured, kind):
            rate = row.per_second
            megabits = row.received * 8 / 1e6 / row.seconds
            rows.append(
                [
                    _TOLD[kind],
                    f"{row.subscribers} × {rate:.0f}/s",
                    _compared(model.cores(row.subscribers, rate), row.cores, "cores", 3),
                    _compared(model.megabits(row.subscribers, rate), megabits, "Mbit/s", 1),
                    _compared(model.memory(row.subscribers), row.rss_mib, "MiB", 0),
                ]
            )
    return _table(["subscribers have", "subscribers × messages/s", "CPU", "network out", "memory"], rows)


def _compared(predicted: float, value: float, unit: str, digits: int) -> str:
    return f"{predicted:.{digits}f} {unit}, measured {value:.{digits}f}: {error(predicted, value):+.0%}"


def sizes(measured: Measured) -> str:
    """What a room of so many people with so many messages takes."""
    model = fit(measured, "queue")
    seen = fitted(measured, "queue")
    most = max(row.subscribers for row in seen), max(row.deliveries for row in seen)
    rows = [
        [
            f"{people:,}",
            *(_size(model, people, rate, most) for rate in RATES),
            _marked(f"{_memory(model.memory(people))}", people <= most[0]),
        ]
        for people in PEOPLE
    ]
    return _table(
        ["people", *(f"{rate:,} message{'s' if rate > 1 else ''}/s" for rate in RATES), "broker's memory"],
        rows,
    )


def _size(model: Model, people: int, rate: int, most: tuple[int, float]) -> str:
    cores = model.cores(people, rate)
    wanted = cores / HEADROOM
    fits = [each for each in MACHINES if each >= wanted]
    what = f"{fits[0]} core{'s' if fits[0] > 1 else ''}" if fits else "several brokers"
    told = f"{what} ({cores:.2g} used), {number(model.megabits(people, rate))} Mbit/s"
    if cores >= 10:
        told = f"{what} ({cores:,.0f} used), {number(model.megabits(people, rate))} Mbit/s"
    return _marked(told, people <= most[0] and people * rate <= most[1])


def _memory(mib: float) -> str:
    return f"{mib:,.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"


def _marked(text: str, measured: bool) -> str:  # noqa: FBT001 - the one thing that it is about
    return text if measured else f"*{text}*"


def ceiling(measured: Measured) -> str:
    """What came out where many times as much was asked for."""
    rows = [
        [
            _TOLD[row.kind],
            f"{row.subscribers} × {row.rate}/s",
            f"{row.subscribers * row.rate:,}",
            f"{row.deliveries:,.0f}",
            f"{row.cores:.2f} cores",
            f"{fit(measured, row.kind).cores(row.subscribers, row.deliveries / row.subscribers):.2f} cores",
            f"{row.client_cpu / row.seconds:.2f} cores",
        ]
        for row in measured.rows
        if row.far_more
    ]
    return _table(
        [
            "subscribers have",
            "asked for",
            "deliveries/s due",
            "delivered/s",
            "broker's CPU",
            "by the model",
            "subscribers' CPU",
        ],
        rows,
    )


def streams(measured: Measured) -> str:
    """A stream beside a queue for each."""
    points = [
        (row.subscribers, row.rate)
        for row in fitted(measured, "queue")
        if row.rate and _rows_at(measured, "stream", row.subscribers, row.rate)
    ]
    ratios = {
        point: _cores(measured, "stream", *point) / _cores(measured, "queue", *point)
        for point in dict.fromkeys(points)
    }
    few, many = (
        [ratio for (subscribers, _), ratio in ratios.items() if low <= subscribers <= high]
        for low, high in ((1, 5), (50, 200))
    )
    rows = [
        [
            f"{subscribers} × {rate}/s",
            *(f"{_cores(measured, kind, subscribers, rate):.3f}" for kind in ("queue", "stream")),
            *(f"{_memory_used(measured, kind, subscribers, rate):.0f}" for kind in ("queue", "stream")),
        ]
        for subscribers, rate in ((1, 50), (10, 50), (50, 50), (200, 25))
    ]
    table = _table(
        ["subscribers × messages/s", "queues: cores", "stream: cores", "queues: MiB", "stream: MiB"], rows
    )
    return (
        f"With 1 to 5 subscribers, the stream took {median(few):.1f} times the processor time of queues (median; it writes "
        f"each message to the disk), with 50 to 200 {median(many):.1f} times.\n\n{table}"
    )


def _rows_at(measured: Measured, kind: Kind, subscribers: int, rate: int) -> list[Row]:
    return [row for row in measured.of(kind) if (row.subscribers, row.rate) == (subscribers, rate)]


def _cores(measured: Measured, kind: Kind, subscribers: int, rate: int) -> float:
    return mean(row.cores for row in _rows_at(measured, kind, subscribers, rate))


def _memory_used(measured: Measured, kind: Kind, subscribers: int, rate: int) -> float:
    return mean(row.rss_mib for row in _rows_at(measured, kind, subscribers, rate))


def archivers(measured: Measured) -> str:
    """What a durable queue costs the broker."""
    model, queue = fit(measured, "durable"), fit(measured, "queue")
    most = max(row.subscribers for row in fitted(measured, "durable"))
    rows = [
        [
            f"{rate:,}",
            f"{model.alone(rate) + model.each(rate):.2f} cores",
            f"{model.each(rate):.3f} cores",
            f"{queue.each(rate):.3f} cores",
            _marked(f"{carried}", carried <= most),
        ]
        for rate in ARCHIVER_RATES
        for carried in (int(model.subscribers(2 * HEADROOM, rate)),)
    ]
    return _table(
        [
            "messages/s",
            "the broker with one",
            "each further one",
            "for comparison: a subscriber's own queue",
            "archivers on two cores",
        ],
        rows,
    )


def real(measured: Measured) -> str:
    """`kchat subscribe` itself, beside the model."""
    model = fit(measured, "queue")
    told = []
    for row in measured.of("kchat"):
        cores, memory = model.cores(row.subscribers, row.per_second), model.memory(row.subscribers)
        each = row.client_cpu / max(row.delivered, 1)
        told.append(
            f"{row.subscribers} processes of `kchat subscribe` at {row.per_second:.0f} messages/s: the broker used "
            f"{row.cores:.3f} cores, where the model says {cores:.3f} ({error(cores, row.cores):+.0%}), and "
            f"{row.rss_mib:.0f} MiB, where it says {memory:.0f}. Each process used {each * 1e6:.0f} µs a message."
        )
    return " ".join(told)


def _rounded(value: float) -> str:
    """Two digits that matter."""
    return f"{float(f'{value:.2g}'):,.0f}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


BLOCKS: dict[str, Callable[[Measured], str]] = {
    each.__name__: each
    for each in (
        machine,
        summary,
        coefficients,
        inbound,
        check,
        sizes,
        ceiling,
        streams,
        archivers,
        real,
    )
}
