"""An archive on a real ClickHouse server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic, time_ns
from types import SimpleNamespace

import clickhouse_driver
import pytest

from kchat import archive
from kchat.archive.archiver import Archiver
from kchat.archive.clickhouse import doubles, rollup
from kchat.archive.clickhouse.connection import Driver, Row
from kchat.archive.clickhouse.schema import COLUMNS
from kchat.archive.clickhouse.store import ClickHouseStore
from kchat.archive.clickhouse.writing import numbers
from kchat.archive.opening import open_store
from kchat.archive.record import Record
from kchat.archive.span import Span, Zone
from kchat.errors import ArchiveError, ArchiveUnavailable, SettingsError
from tests.archive.counting import count
from tests.archive.talking import START, conversation, record
from tests.brokers.clickhouse import ClickHouse, MachineClickHouse
from tests.brokers.ports import free_port
from tests.brokers.wait import soon, wait_until

pytest.register_assert_rewrite("tests.archive.clickhouse_checks")

from tests.archive.clickhouse_checks import *  # noqa: E402, F403 - its tests run here
from tests.archive.clickhouse_checks import Make  # noqa: E402


@pytest.fixture
def make(clickhouse: str) -> Iterator[Make]:
    with ExitStack() as stack:

        def opened(**options: bool) -> ClickHouseStore:
            return stack.enter_context(ClickHouseStore(clickhouse, **options))

        yield opened


# ---- questions of one's own


def test_a_question_gets_columns_and_rows(make: Make) -> None:
    with make(write=True) as store:
        store.write(conversation(30))
        answer = store.query(
            "SELECT room, count() AS many, now() FROM kchat_messages GROUP BY room ORDER BY room;"
        )
        assert list(answer.columns) == ["room", "many", "now()"]
        assert [row[0] for row in answer.rows] == ["chat", "zimmer ü"]
        assert all(type(row[2]) is str for row in answer.rows)
        assert not answer.more


def test_a_question_gets_no_more_rows_than_asked_for(make: Make) -> None:
    with make(write=True) as store:
        assert store.query("SELECT number FROM system.numbers LIMIT 10", most_rows=10).more is False
        answer = store.query("SELECT number FROM system.numbers", most_rows=10)
        assert (len(answer.rows), answer.more) == (10, True)
        assert store.rooms() == {}


def test_a_question_changes_nothing(make: Make) -> None:
    with make(write=True) as store:
        store.write([record()])
        for statement in (
            "INSERT INTO kchat_messages (room, key) VALUES ('a', 'b')",
            "INSERT INTO kchat_messages (room, key) SELECT 'a', 'b'",
            "DROP TABLE kchat_messages",
            "ALTER TABLE kchat_messages DELETE WHERE 1",
            "CREATE TABLE another (a UInt8) ENGINE = Memory",
            "SET readonly = 0",
            "SELECT 1; DROP TABLE kchat_messages",
            "SELECT 1 SETTINGS readonly = 0",
            "nonsense",
        ):
            with pytest.raises(ArchiveError):
                store.query(statement)
        assert store.rooms() == {"chat": 1}


def test_a_question_ends_in_time(make: Make) -> None:
    with make(write=True) as store:
        with pytest.raises(ArchiveError, match=r"(?i)timeout"):
            store.query("SELECT count() FROM system.numbers WHERE NOT ignore(sipHash64(number))", seconds=1)
        assert store.rooms() == {}


# ---- opening


def test_a_program_opens_it_by_its_url(clickhouse: str) -> None:
    with open_store(clickhouse, write=True) as store:
        store.write(conversation(50))
    with archive.open(clickhouse) as kept:
        assert kept.stats().messages == 50


def test_the_password_is_never_shown(clickhouse_server: ClickHouse, clickhouse: str) -> None:
    if not isinstance(clickhouse_server, MachineClickHouse):
        pytest.skip("the account is the fixture's own")
    url = clickhouse.replace("://", "://ada:s3cret@")
    with ClickHouseStore(url, write=True) as store:
        assert store.where == clickhouse.replace("://", "://ada@")
    with pytest.raises(ArchiveError, match="refuses this account") as refused:
        ClickHouseStore(url.replace("s3cret", "wr0ng"))
    assert "wr0ng" not in str(refused.value)
    assert not isinstance(refused.value, ArchiveUnavailable)


def test_it_speaks_tls_with_a_server_whose_certificate_it_trusts(
    clickhouse_server: ClickHouse, clickhouse: str
) -> None:
    if not isinstance(clickhouse_server, MachineClickHouse):
        pytest.skip("the certificate is the fixture's own")
    database = clickhouse.rpartition("/")[2]
    url = f"clickhouses://localhost:{clickhouse_server.tls_port}/{database}"
    with ClickHouseStore(f"{url}?ca_certs={clickhouse_server.folder}/tls/ca.pem", write=True) as store:
        assert store.write([record()]) == 1
        assert store.where == url
    with pytest.raises(ArchiveError, match="is not trusted") as refused:
        ClickHouseStore(url)
    assert not isinstance(refused.value, ArchiveUnavailable)


def test_a_database_that_is_not_there_is_told(clickhouse_server: ClickHouse) -> None:
    with pytest.raises(ArchiveError, match="no such database"):
        ClickHouseStore(clickhouse_server.url_for("nowhere"), write=True)


def test_a_server_that_is_away_is_told() -> None:
    with pytest.raises(ArchiveUnavailable, match="cannot be reached"):
        ClickHouseStore(f"clickhouse://127.0.0.1:{free_port()}/default", write=True)


@pytest.mark.parametrize(
    "rest",
    ["//:9000", "//host:port/", "//host:70000/", "//host/?connect_timeout=soon", "//host/?ssl_version=none"],
)
def test_a_url_that_is_not_valid_is_told(rest: str) -> None:
    with pytest.raises(SettingsError):
        ClickHouseStore(f"clickhouse:{rest}")


def test_an_option_that_the_server_does_not_have_is_told(clickhouse: str) -> None:
    with pytest.raises(SettingsError, match="'colour'"):
        ClickHouseStore(f"{clickhouse}?colour=red", write=True)
    with ClickHouseStore(f"{clickhouse}?connect_timeout=3&max_threads=1", write=True) as store:
        assert store.rooms() == {}


def test_two_archivers_make_it_at_once_and_agree(clickhouse: str) -> None:
    def opened(_: int) -> bytes | None:
        with ClickHouseStore(clickhouse, write=True, texts=False) as store:
            return store.secret

    with ThreadPoolExecutor(4) as pool:
        secrets = set(pool.map(opened, range(4)))
    assert len(secrets) == 1


def test_an_insert_that_a_killed_archiver_has_left_behind_is_waited_for(
    clickhouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = conversation(60)
    waits, go_on = threading.Event(), threading.Event()

    def rows() -> Iterator[tuple[object, ...]]:
        yield from ((*each, *numbers([each.room], [each.key])) for each in records)
        go_on.wait(soon(30))

    monkeypatch.setattr(rollup, "time", SimpleNamespace(monotonic=monotonic, sleep=lambda _: waits.set()))
    names = ", ".join((*COLUMNS, "hash"))
    with (
        ClickHouseStore(clickhouse, write=True) as store,
        clickhouse_driver.Client.from_url(clickhouse) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        inserting = pool.submit(other.execute, f"INSERT INTO kchat_messages ({names}) VALUES", rows())
        running = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO kchat_messages%'"
        wait_until(lambda: store.query(running).rows[0][0], 10, "the insert")
        writing = pool.submit(store.write, records, again=True)
        wait_until(lambda: waits.is_set() or writing.done(), 10, "a look")
        go_on.set()
        assert inserting.result(soon(30)) == 60
        assert writing.result(soon(30)) == 0
        assert len(list(store.records(Span()))) == 60


def test_two_archivers_keep_what_both_write_once(clickhouse: str) -> None:
    records = conversation(200)
    with ClickHouseStore(clickhouse, write=True) as one, ClickHouseStore(clickhouse, write=True) as other:
        for start in range(0, 100, 20):
            batch = records[start : start + 20]
            assert one.write(batch[:15]) + other.write(batch) == 20
        assert len(list(one.records(Span()))) == 100
        assert other.prune(START) == 0


def _said_now(many: int) -> list[Record]:
    at = time_ns() // 1_000_000 - many
    said = enumerate(conversation(many))
    return [each._replace(at=at + number, received_at=at + number) for number, each in said]


def test_two_archivers_that_write_the_same_at_one_moment_keep_it_once(clickhouse: str) -> None:
    records = _said_now(120)
    with ClickHouseStore(clickhouse, write=True) as one, ClickHouseStore(clickhouse, write=True) as other:
        # Neither looks, as nothing was there when they would have.
        assert one.write(records[:60], again=False) == other.write(records[:60], again=False) == 60
        assert sum(one.rooms().values()) == 60
        assert one.write(records[60:], again=False) == other.write(records[60:], again=False) == 60
    with ClickHouseStore(clickhouse) as kept:
        assert sum(kept.rooms().values()) == 120
        assert kept.facts(Span(), Zone("UTC")) == count(records, Span(), Zone("UTC"))


def test_what_two_killed_archivers_have_written_twice_is_there_once_after_the_next_start(
    clickhouse: str,
) -> None:
    records = _said_now(20)
    rows = [(*each, *numbers([each.room], [each.key])) for each in records]
    with ClickHouseStore(clickhouse, write=True), clickhouse_driver.Client.from_url(clickhouse) as server:
        for _ in range(2):
            server.execute(f"INSERT INTO kchat_messages ({', '.join((*COLUMNS, 'hash'))}) VALUES", rows)
    with ClickHouseStore(clickhouse, write=True) as store:
        assert sum(store.rooms().values()) == 20
        assert store.facts(Span(), Zone("UTC")) == count(records, Span(), Zone("UTC"))


def test_what_two_archivers_have_by_different_clocks_is_there_once(clickhouse: str) -> None:
    records = _said_now(2_500)
    later = [each._replace(at=each.at + 7) for each in records]
    with ClickHouseStore(clickhouse, write=True) as one, ClickHouseStore(clickhouse, write=True) as other:
        one.write(records, again=False)
        other.write(later, again=False)
        assert sum(one.rooms().values()) == 2_500
        assert one.facts(Span(), Zone("UTC")) == count(records, Span(), Zone("UTC"))


def test_what_two_archivers_write_twice_in_a_burst_is_there_once_when_nothing_more_comes(
    clickhouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = _said_now(60)
    clock = SimpleNamespace(now=1000.0, time_ns=time_ns)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(doubles, "time", clock)
    with ClickHouseStore(clickhouse, write=True) as one, ClickHouseStore(clickhouse, write=True) as other:
        archiver = Archiver(other, "chat", 1)
        for burst in (records[:20], records[20:40]):
            one.write(burst, again=False)
        other.write(records[40:], again=False)
        other.write(records[20:40], again=False)
        assert archiver.flush()
        assert sum(one.rooms().values()) == 80, "the burst goes on"
        clock.now += 2
        assert archiver.flush()
        assert sum(one.rooms().values()) == 60
        assert one.facts(Span(), Zone("UTC")) == count(records, Span(), Zone("UTC"))


def test_looks_that_fail_stay_seldom_and_short(clickhouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ClickHouseStore(clickhouse, write=True) as store:
        store.write(_said_now(1))
    clock = SimpleNamespace(now=1000.0, time_ns=time_ns)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(doubles, "time", clock)
    connection = Driver(clickhouse)
    found = doubles.Doubles(connection)
    asked: list[str] = []
    really_ask = connection.rows

    def ask(sql: str) -> Sequence[Row]:
        asked.append(sql)
        return really_ask(sql)

    monkeypatch.setattr(connection, "rows", ask)
    connection.rows("RENAME TABLE kchat_messages TO elsewhere")
    for number in range(1_000):
        found.look(["chat"], [number * 60_000])
    assert len(asked) == 2, "nothing is looked at again before half a minute has passed"
    for _ in range(2):
        clock.now += 31
        found.rest()
    assert len(asked) == 4
    assert len(asked[-1]) < 10_000
    connection.rows("RENAME TABLE elsewhere TO kchat_messages")
    clock.now += 31
    for _ in range(2):
        found.rest()
    assert len(asked) == 6, "that look was the last one"
    connection.close()


def test_ranges_of_times_that_touch_are_one() -> None:
    assert doubles.merged([(7, 9), (1, 3), (2, 5), (6, 6), (12, 12)]) == [(1, 9), (12, 12)]
    assert doubles.merged([]) == []
