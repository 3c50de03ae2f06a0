"""ClickHouse killed, its link cut, a writer killed, in the middle of writing: nothing is lost, nothing is there twice."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kchat import Settings
from kchat.archive.clickhouse.rollup import doubtful
from kchat.archive.clickhouse.store import ClickHouseStore
from kchat.archive.record import Record
from kchat.archive.span import Span, Zone
from kchat.errors import ArchiveUnavailable
from tests.archive.counting import count, ordered
from tests.archive.talking import conversation
from tests.brokers.clickhouse import ClickHouse
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.wait import Deadline, soon, wait_until
from tests.faults.parts import Sending
from tests.faults.test_archive_kills import Archive, Load, run

AWAY = 60.0 if os.environ.get("KCHAT_TEST_ARCHIVE") == "all" else 2.0
"""Seconds for which ClickHouse is away under load."""

SLOW_VIEW = """
CREATE MATERIALIZED VIEW kchat_fill_quarters TO kchat_quarters AS
SELECT room, toUInt32(0) AS quarter, toUInt8(0) AS nameless, '' AS name, '' AS mentioned
FROM kchat_messages WHERE sleep(3) = 1
"""
"""In place of the one that fills the rollup: three seconds after the messages, nothing is written."""


def _slow_down(server: ClickHouse, url: str) -> None:
    server.execute("DROP TABLE kchat_fill_quarters", url)
    server.execute(SLOW_VIEW, url)


def _speed_up(server: ClickHouse, url: str) -> None:
    server.execute("DROP TABLE kchat_fill_quarters", url)


def _count(server: ClickHouse, url: str) -> int:
    return int(server.execute("SELECT count() FROM kchat_messages", url)[0][0])


def _write(store: ClickHouseStore, records: list[Record], *, again: bool) -> int:
    """As an archiver does: until it is written."""
    deadline = Deadline(soon(60))
    while True:
        try:
            return store.write(records, again=again)
        except ArchiveUnavailable:
            if deadline.passed:
                raise
            time.sleep(0.02)


def _is_whole(url: str, records: list[Record]) -> None:
    with ClickHouseStore(url, write=True) as store:
        assert list(store.records(Span())) == ordered(records)
        assert doubtful(store._connection) == set()
        assert store.facts(Span(), Zone("Europe/Berlin")) == count(records, Span(), Zone("Europe/Berlin"))


def _kill_while_it_writes(server: ClickHouse, url: str, kills: int, seed: int) -> int:
    """Kills the server at random moments while batches are written, and returns how many batches failed at first."""
    chance = random.Random(seed)
    records = conversation(150 * kills, seed)
    batches = [records[start : start + 20] for start in range(0, len(records), 20)]
    written = threading.Semaphore(0)
    failed = 0

    def write() -> None:
        nonlocal failed
        with ClickHouseStore(url, write=True) as store:
            for batch in batches:
                try:
                    store.write(batch, again=False)
                except ArchiveUnavailable:
                    failed += 1
                    _write(store, batch, again=False)
                written.release()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(kills):
            for _ in range(2):
                assert written.acquire(timeout=soon(60))
            threading.Event().wait(chance.uniform(0, 0.02))
            server.restart()
    finally:
        thread.join(soon(120))
    assert not thread.is_alive()
    _is_whole(url, records)
    return failed


def test_a_server_that_is_killed_again_and_again_has_each_message_once(own_clickhouse: ClickHouse) -> None:
    with own_clickhouse.new_database() as url:
        assert _kill_while_it_writes(own_clickhouse, url, 3, 1) > 0


@pytest.mark.slow
def test_fifty_kills_of_the_server(own_clickhouse: ClickHouse) -> None:
    with own_clickhouse.new_database() as url:
        assert _kill_while_it_writes(own_clickhouse, url, 50, 2) > 10


def test_a_server_killed_between_messages_and_rollup_gets_the_rollup_with_the_next_batch(
    own_clickhouse: ClickHouse,
) -> None:
    records = conversation(100)
    with own_clickhouse.new_database() as url, ThreadPoolExecutor(1) as pool:
        with ClickHouseStore(url, write=True) as store:
            _slow_down(own_clickhouse, url)
            writing = pool.submit(store.write, records[:60], again=False)
            wait_until(lambda: _count(own_clickhouse, url) == 60, 10, "the messages")
            own_clickhouse.kill()
            with pytest.raises(ArchiveUnavailable):
                writing.result(soon(30))
            own_clickhouse.start()
            _speed_up(own_clickhouse, url)
            assert _count(own_clickhouse, url) == 60
            assert len(doubtful(store._connection)) > 0
            assert store.facts(Span(), Zone("UTC")) == count(records[:60], Span(), Zone("UTC"))
            # The same batch again, by a caller that does not know that it is there.
            assert store.write(records[:60], again=False) == 0
            assert doubtful(store._connection) == set()
        with ClickHouseStore(url, write=True) as store:
            assert store.write(records, again=True) == 40
        _is_whole(url, records)


def test_an_answer_that_is_lost_doubles_nothing(
    own_clickhouse: ClickHouse, proxy_to: Callable[[int], Proxy]
) -> None:
    records = conversation(60)
    proxy = proxy_to(own_clickhouse.port)
    with own_clickhouse.new_database() as url, ThreadPoolExecutor(1) as pool:
        through = url.replace(str(own_clickhouse.port), str(proxy.port))
        with ClickHouseStore(through, write=True) as store:
            _slow_down(own_clickhouse, url)
            writing = pool.submit(store.write, records, again=False)
            wait_until(lambda: _count(own_clickhouse, url) == 60, 10, "the messages")
            proxy.cut()
            with pytest.raises(ArchiveUnavailable):
                writing.result(soon(30))
            assert store.write(records, again=False) == 0
            _speed_up(own_clickhouse, url)
        _is_whole(url, records)


_WRITER = """
import sys
from kchat.archive.clickhouse.store import ClickHouseStore
from tests.archive.talking import conversation
with ClickHouseStore(sys.argv[1], write=True) as store:
    print("open", flush=True)
    store.write(conversation(6_000), again=False)
"""


def test_a_writer_that_is_killed_while_the_server_inserts_doubles_nothing(
    own_clickhouse: ClickHouse, commands: Commands
) -> None:
    records = conversation(6_000)
    inserting = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO kchat_messages%'"
    with own_clickhouse.new_database() as url:
        writer = commands.python(_WRITER, url)
        writer.wait_for_lines(1, 30)
        with ClickHouseStore(url, write=True) as store:
            wait_until(
                lambda: own_clickhouse.execute(inserting)[0][0] or _count(own_clickhouse, url),
                30,
                "an insert",
                0.001,
            )
            writer.kill()
            assert store.write(records, again=True) in {0, 6_000}
        _is_whole(url, records)


def test_an_archiver_keeps_everything_while_clickhouse_is_away(
    own_clickhouse: ClickHouse, commands: Commands, amqp_url: str, room: str, measured: Callable[..., None]
) -> None:
    load = Load()
    with own_clickhouse.new_database() as url:
        archiver = Archive(commands, amqp_url, room, url)  # type: ignore[arg-type] # as good as a path
        process = archiver.start()
        try:
            with Sending(Settings.resolve(url=amqp_url, room=room), load) as sending:
                wait_until(archiver.count, 60, "the first messages")
                own_clickhouse.kill()
                process.wait_for("the archive is away", seconds=soon(30))
                threading.Event().wait(AWAY)
                own_clickhouse.start()
                process.wait_for("the archive is back", seconds=soon(60))
                load.ended.set()
                sending.join(60)
        finally:
            load.ended.set()
        assert sending.error is None
        sent = load.sent
        wait_until(lambda: archiver.count() >= len(sent), 60, lambda: f"{len(sent)}; {archiver.count()}")
        process.interrupt()
        assert process.wait(30) == 0
        archiver.check(sent)
    measured(f"ClickHouse away for {AWAY:g} s", f"archive of {len(sent)} messages", lost=0)


@pytest.mark.slow
def test_archivers_that_share_a_queue_into_clickhouse_keep_each_message_once_whichever_is_killed(
    own_clickhouse: ClickHouse, commands: Commands, amqp_url: str, room: str, measured: Callable[..., None]
) -> None:
    with own_clickhouse.new_database() as url:
        archiver = Archive(commands, amqp_url, room, url, "--shared")  # type: ignore[arg-type] # as good as a path
        run(archiver, Settings.resolve(url=amqp_url, room=room), measured, many=2)


@pytest.mark.slow
def test_messages_without_an_id_are_in_clickhouse_once_however_often_the_archiver_is_killed(
    own_clickhouse: ClickHouse, commands: Commands, amqp_url: str, room: str, measured: Callable[..., None]
) -> None:
    with own_clickhouse.new_database() as url:
        archiver = Archive(commands, amqp_url, room, url)  # type: ignore[arg-type] # as good as a path
        run(archiver, Settings.resolve(url=amqp_url, room=room), measured, bare=True)
