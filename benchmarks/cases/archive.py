"""Archives: how fast messages get into one, and what it costs to ask it, beside what people would use in its place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.cases.amqp_receive import DURABLE, drained, filled
from benchmarks.measure import Failed, Figures, Side

COUNT = 100_000
ARCHIVE, SUBSCRIBE = "kchat archive", "kchat subscribe"

SMALL, LARGE = 1_000_000, 10_000_000
PEOPLE, DAYS = 100, 365
THIN = 1_000, 3 * 365
"""People and days of an archive whose rollups are no smaller: most messages are their person's only one in an hour."""

FEW, LOTS, SPREAD = "1,000,000", "10,000,000", "1,000,000, 1,000 people in 3 years"
MAKING = 3600.0
"""Seconds that making an archive may take."""

MEMORY = 100
"""MiB."""


# ---- in


@contextmanager
def into_sqlite(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The same durable queue into a pipe and into an archive, which is a new one each time."""
    count = bench.count(COUNT)
    with filled(bench) as queue:

        def archived() -> Figures:
            path = bench.new_folder("archive") / "archive.db"
            command = bench.kchat(
                *("archive", "--quiet", "--url", queue.url, "--room", queue.room, "--durable", DURABLE),
                *("--to", str(path), "--limit", str(count)),
            )
            figures = drained(bench, queue, count, command)()
            _has(bench, str(path), queue.room, count)
            path.unlink()
            return figures

        yield {
            SUBSCRIBE: drained(bench, queue, count, queue.listen(bench, "--limit", str(count))),
            ARCHIVE: archived,
        }


def _has(bench: Bench, name: str, room: str, count: int) -> None:
    """Look whether an archive has that number of messages of a room."""
    found = asked(bench, name, "--room", room)["messages"]
    if found != count:
        raise Failed(f"{found} messages in {name}, not {count}")


SEQUEL, CAREFUL = "an INSERT a message, pika", "pika, 10,000 rows an INSERT"
SOME = 2_000
"""Messages for the one that takes as long for them as others for all."""

STORE, BARE = "kchat's store alone", "clickhouse-driver alone"


@contextmanager
def into_clickhouse(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The same durable queue into ClickHouse by kchat, and by consumers that people write."""
    count, some = bench.count(COUNT), bench.count(SOME)
    with filled(bench) as queue, bench.clickhouse.new_database() as others:

        def archived() -> Figures:
            with bench.clickhouse.new_database() as url:
                command = bench.kchat(
                    *("archive", "--quiet", "--url", queue.url, "--room", queue.room, "--durable", DURABLE),
                    *("--to", url, "--limit", str(count)),
                )
                figures = drained(bench, queue, count, command)()
                _has(bench, url, queue.room, count)
            return figures

        def consumed(name: str, number: int) -> Side:
            return drained(bench, queue, number, bench.peer(name, queue.url, queue.name, others, str(number)))

        yield {
            SEQUEL: consumed("sequel_clickhouse", some),
            ARCHIVE: archived,
            CAREFUL: consumed("pika_clickhouse", count),
        }


@contextmanager
def writing_clickhouse(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The same batches into the same tables, without a broker."""

    def side(how: str) -> Side:
        def run() -> Figures:
            with bench.clickhouse.new_database() as url:
                done = subprocess.run(
                    bench.drive("clickhouse_write", url, bench.count(WRITTEN), how),
                    env=bench.environment,
                    cwd=bench.folder,
                    capture_output=True,
                    check=True,
                    timeout=300,
                )
            return {"messages/s": float(done.stdout)}

        return run

    yield {BARE: side("bare"), STORE: side("kchat")}


WRITTEN = 210_000
"""Messages; the first batch of them is not measured."""


# ---- out


class Kept:
    """An archive and a Parquet file of the same messages, made once in a run.

    Arguments:
        bench: the run.
        messages: how many.
        people: who wrote.
        days: over which.
    """

    def __init__(self, bench: Bench, messages: int, people: int = PEOPLE, days: int = DAYS) -> None:
        stem = f"archive-{messages}-{people}-{days}"
        self.messages = messages
        self.archive, self.table = bench.folder / f"{stem}.db", bench.folder / f"{stem}.parquet"
        if not self.table.exists():
            making = self.table.with_suffix(".new")
            bench.whole(
                bench.drive("archive_make", self.archive, making, messages, people, days), seconds=MAKING
            )
            making.rename(self.table)

    def ask(self, bench: Bench, *more: str) -> list[str]:
        """Kchat's command line."""
        return bench.kchat(*STATS, "--archive", str(self.archive), *more)


STATS = ("stats", "--timezone", "UTC")


def asked(bench: Bench, name: str, *more: str) -> dict[str, object]:
    """What ``kchat stats --json`` says."""
    said = subprocess.run(
        bench.kchat(*STATS, "--archive", name, "--json", *more),
        env=bench.environment,
        cwd=bench.folder,
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: dict[str, object] = json.loads(said.stdout)
    return found


def whole(bench: Bench, command: Sequence[str]) -> Side:
    """A side that runs a command."""

    def side() -> Figures:
        run = bench.whole(command)
        return {"s": run.seconds, "CPU s": run.cpu, "MiB": run.mib}

    return side


@contextmanager
def sizes(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """Of archives that differ in their number of messages, and of one with more to add up."""
    kept = {
        FEW: Kept(bench, bench.count(SMALL)),
        LOTS: Kept(bench, bench.count(LARGE)),
        SPREAD: Kept(bench, bench.count(SMALL), *THIN),
    }
    yield {
        **{name: whole(bench, each.ask(bench)) for name, each in kept.items()},
        f"{LOTS}, a week": whole(
            bench, kept[LOTS].ask(bench, "--since", "2025-06-01", "--until", "2025-06-08")
        ),
    }


DUCKDB = "DuckDB"


@contextmanager
def beside_duckdb(bench: Bench) -> Iterator[Mapping[str, Side]]:
    """The same figures of the same messages, and the same words."""
    few, lots = Kept(bench, bench.count(SMALL)), Kept(bench, bench.count(LARGE))
    for kept in (few, lots):
        _compare(bench, kept)
    yield {
        of(FEW): whole(bench, few.ask(bench, "--json")),
        of(FEW, DUCKDB): whole(bench, bench.peer("duckdb_stats", str(few.table))),
        of(LOTS): whole(bench, lots.ask(bench, "--json")),
        of(LOTS, DUCKDB): whole(bench, bench.peer("duckdb_stats", str(lots.table))),
        f"{of(FEW)}, words too": whole(bench, few.ask(bench, "--json", "--words")),
        f"{of(FEW, DUCKDB)}, words alone": whole(bench, bench.peer("duckdb_stats", str(few.table), "words")),
    }


def of(size: str, who: str = "kchat stats") -> str:
    """A side's name."""
    return f"{who} of {size}"


def _compare(bench: Bench, kept: Kept) -> None:
    """Look whether both count the same: otherwise their times say nothing."""
    ours = asked(bench, str(kept.archive))
    peer = subprocess.run(
        bench.peer("duckdb_stats", str(kept.table)), capture_output=True, check=True, timeout=300
    )
    theirs = json.loads(peer.stdout)
    pairs = {
        "messages": (ours["messages"], theirs["all"][0][0]),
        "all messages": (ours["messages"], kept.messages),
        "people": (ours["people"], theirs["all"][0][1]),
        "top": (
            [
                [each["username"], each["messages"], each["characters"], each["verified"]]
                for each in _list(ours["top"])
            ],
            theirs["top"],
        ),
        "days": (
            [
                [each["date"], each["messages"], each["people"], each["new"]]
                for each in _list(ours["per_date"])
            ],
            [[str(each[0])[:10], *each[1:]] for each in theirs["per_date"]],
        ),
        "weeks": (
            [
                [each["date"], each["messages"], each["people"], each["new"]]
                for each in _list(ours["per_week"])
            ],
            [[str(each[0])[:10], *each[1:]] for each in theirs["per_week"]],
        ),
        "starters": (
            [[each["username"], each["conversations"]] for each in _list(ours["starters"])],
            theirs["starters"],
        ),
        "mentions": (
            [[each["by"], each["of"], each["messages"]] for each in _list(ours["mentions"])],
            theirs["mentions"],
        ),
    }
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if differ:
        raise Failed(f"kchat and DuckDB count differently: {str(differ)[:1000]}")


def _list(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


CASES = [
    Case(
        "archive-sqlite",
        "a durable queue on RabbitMQ into an archive in SQLite, each message committed, then acknowledged",
        into_sqlite,
        (
            Bar(ARCHIVE, "messages/s", at_least=0.5, against=SUBSCRIBE),
            Bar(ARCHIVE, "messages/s", at_least=12_000),
            Bar(ARCHIVE, "MiB", at_most=MEMORY),
        ),
        alone=True,
    ),
    Case(
        "archive-clickhouse",
        "a durable queue on RabbitMQ into ClickHouse",
        into_clickhouse,
        (
            # The careful one is told of, and no bar: it inserts fewer columns, adds nothing up, and keeps what comes twice.
            Bar(ARCHIVE, "messages/s", at_least=20, against=SEQUEL),
            Bar(ARCHIVE, "MiB", at_most=MEMORY),
        ),
        rounds=3,
    ),
    Case(
        "clickhouse-write",
        "10,000 messages at a time into an archive in ClickHouse, in a warm process",
        writing_clickhouse,
        (Bar(STORE, "messages/s", at_least=0.7, against=BARE),),
    ),
    Case(
        "stats",
        "kchat stats of an archive in SQLite, whole process",
        sizes,
        (
            Bar(FEW, "s", at_most=0.5),
            Bar(LOTS, "s", at_most=0.5),
            Bar(LOTS, "s", at_most=1.25, against=FEW),
            Bar(LOTS, "MiB", at_most=MEMORY),
            Bar(SPREAD, "MiB", at_most=MEMORY),
        ),
        by="messages",
        alone=True,
    ),
    Case(
        "stats-duckdb",
        "the same figures from an archive and by DuckDB from Parquet, whole process",
        beside_duckdb,
        tuple(Bar(of(size), "s", at_most=1, against=of(size, DUCKDB)) for size in (FEW, LOTS)),
        rounds=3,
    ),
]
