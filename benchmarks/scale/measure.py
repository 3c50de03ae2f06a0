"""Measuring: a broker of its own for each kind of subscribers, and at each point what everybody has used."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from benchmarks import report
from benchmarks.bench import Bench
from benchmarks.cases.presence import server_of
from benchmarks.scale.points import FAR_MORE, HELD_OUT, KEPT_UP, RATES, Kind, Measured, Row
from benchmarks.scale.processes import (
    Crowd,
    Heard,
    Sender,
    cpu_seconds,
    machine_seconds,
    many,
    processes,
    resident_mib,
    sender,
)
from kchat import Settings
from kchat.hosting.history import switch_on
from tests.brokers import rabbitmq_machine
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq_node import RabbitMQ

SETTLED = 1.5
"""Seconds that everybody gets after a change: a sender that starts, subscribers that have joined."""

STARTED = 8.0
"""Seconds that a broker gets after its start, when it is busy with itself."""

STATISTICS = 5000
"""Milliseconds between two of a connection's and a queue's reports to the management plugin: RabbitMQ's default
(https://www.rabbitmq.com/docs/management#statistics-interval). The tests' brokers report more often, which costs more."""

Rates = Mapping[Kind, Mapping[int, tuple[int, ...]]]


class Used(NamedTuple):
    """What everybody has used up to one moment."""

    at: float
    broker: float
    clients: float
    sender: float
    mine: float
    machine: float
    sent: int
    heard: Heard


def measure(
    bench: Bench,
    *,
    seconds: float,
    rates: Rates = RATES,
    held_out: Rates = HELD_OUT,
    far_more: Rates = FAR_MORE,
    say: Callable[[str], None],
) -> Measured:
    """Measure all points.

    Arguments:
        bench: a run of the benchmarks.
        seconds: how long each point is measured.
        rates: messages a second by kind and number of subscribers, to fit the model to.
        held_out: to check it.
        far_more: what the machine may not be able to do.
        say: told what is being measured.

    Raises:
        benchmarks.measure.Failed: a process ended that should not.
    """
    rows: list[Row] = []
    published = confirmed = 0.0
    for kind, by_subscribers in rates.items():
        with broker(bench) as node:
            if kind == "queue":
                published, confirmed = bytes_per_message(bench, node)
            points = [by_subscribers, held_out.get(kind, {}), far_more.get(kind, {})]
            for subscribers in sorted({number for each in points for number in each}):
                for row in measured(bench, node, kind, subscribers, points, seconds):
                    rows.append(row)
                    say(told(row))
    return Measured(report.machine(bench), published, confirmed, tuple(rows))


def told(row: Row) -> str:
    """A row for people."""
    late = "" if row.kept_up else f"; less than {KEPT_UP:.0%} of what was due"
    clients, others = row.client_cpu / row.seconds, row.others_cpu / row.seconds
    return (
        f"{row.kind}, {row.subscribers} × {row.per_second:.0f}/s: {row.deliveries:.0f} deliveries/s, broker "
        f"{row.cores:.3f} cores, {row.rss_mib:.0f} MiB; subscribers {clients:.3f} cores, others {others:.2f}{late}"
    )


@contextmanager
def broker(bench: Bench) -> Iterator[RabbitMQ]:
    """A RabbitMQ of this machine's own, on which nothing has happened yet."""
    folder = bench.new_folder("rabbitmq")
    try:
        with rabbitmq_machine.cluster(folder) as (node,):
            node.evaluate(f"application:set_env(rabbit, collect_statistics_interval, {STATISTICS}).")
            bench.versions["RabbitMQ"] = ".".join(map(str, node.version))
            time.sleep(STARTED)
            yield node
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measured(
    bench: Bench,
    node: RabbitMQ,
    kind: Kind,
    subscribers: int,
    points: list[Mapping[int, tuple[int, ...]]],
    seconds: float,
) -> Iterator[Row]:
    """All points with one number of subscribers, who stay for all of them."""
    room, broker_pid = bench.new_room(), server_of(node.port)
    fitted = points[0].get(subscribers, ())
    rates = sorted(rate for each in points for rate in each.get(subscribers, ()))
    if kind == "stream":
        settings = Settings.resolve(url=node.url, room=room)
        switch_on(settings, management_url=node.management_url)
    try:
        with _crowd(bench, node.url, room, kind, subscribers) as crowd:
            for rate in rates:
                with ExitStack() as stack:
                    source = stack.enter_context(sender(bench, node.url, room, rate)) if rate else None
                    time.sleep(SETTLED)
                    before = used(broker_pid, crowd, source)
                    time.sleep(seconds)
                    after = used(broker_pid, crowd, source)
                    memory = resident_mib(broker_pid)
                yield row(kind, subscribers, rate, before, after, memory, held_out=rate not in fitted)
    finally:
        forget(node)


def forget(node: RabbitMQ) -> None:
    """Delete durable queues and streams: the next subscribers come to a broker that has none."""
    for queue in node.management.queues(node.vhost):
        if not queue["exclusive"]:  # those go with their subscribers
            node.management.delete_queue(node.vhost, queue["name"])


def _crowd(bench: Bench, url: str, room: str, kind: Kind, subscribers: int) -> AbstractContextManager[Crowd]:
    if kind == "kchat":
        return processes(bench, url, room, subscribers)
    return many(bench, url, room, kind, subscribers)


def used(broker_pid: int, crowd: Crowd, source: Sender | None) -> Used:
    """What everybody has used up to now."""
    heard = crowd.heard()
    return Used(
        time.monotonic(),
        cpu_seconds(broker_pid),
        sum(map(cpu_seconds, crowd.pids)),
        cpu_seconds(source.pid) if source else 0.0,
        cpu_seconds(os.getpid()),
        machine_seconds(),
        source.sent if source else 0,
        heard,
    )


def row(
    kind: Kind, subscribers: int, rate: int, before: Used, after: Used, memory: float, *, held_out: bool
) -> Row:
    """What was used between two moments."""
    seconds, broker_cpu, clients, source, mine, machine = (
        round(one - other, 4) for other, one in zip(before[:6], after[:6], strict=True)
    )
    return Row(
        kind=kind,
        subscribers=subscribers,
        rate=rate,
        held_out=held_out,
        seconds=seconds,
        sent=after.sent - before.sent,
        delivered=after.heard.delivered - before.heard.delivered,
        received=after.heard.received - before.heard.received,
        broker_cpu=broker_cpu,
        client_cpu=clients,
        sender_cpu=source,
        # The machine counts in hundredths of a second.
        others_cpu=round(max(0.0, machine - broker_cpu - clients - source - mine), 2),
        rss_mib=round(memory, 1),
    )


def bytes_per_message(bench: Bench, node: RabbitMQ) -> tuple[float, float]:
    """Bytes from a sender to the broker for each message and back, counted on their way, at 500 messages a second."""
    room = bench.new_room()

    def through(count: int) -> tuple[int, int, int]:
        with Proxy(node.port) as proxy:
            parts = urlsplit(node.url)
            account = parts.netloc.rpartition("@")[0]
            url = urlunsplit(parts._replace(netloc=f"{account}@{proxy.host}:{proxy.port}"))
            with sender(bench, url, room, 500) as source:
                while source.sent < count:
                    time.sleep(0.001)
            return source.sent, proxy.forwarded("to_server"), proxy.forwarded("to_client")

    with many(bench, node.url, room, "queue", 1):  # else they would come back
        few, more = through(50), through(550)
    sent = more[0] - few[0]
    return round((more[1] - few[1]) / sent, 1), round((more[2] - few[2]) / sent, 1)
