"""Questions of one's own to an SQLite archive change nothing, and are bounded in time, rows and size."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kchat.archive.sqlite.store import SqliteStore
from kchat.errors import ArchiveError
from tests.archive.counting import MONDAY, record
from tests.cases import check_each

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT {} FROM n"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "archive.db", write=True) as opened:
        opened.write(
            [
                record(1, MONDAY, account="ada", verified=True, text="hi @bob"),
                record(2, MONDAY + 4000, username="bob", text="yes?"),
                record(3, MONDAY + 9000, username="ada", room="ops", received_at=MONDAY + 9500),
            ]
        )
        yield opened


def test_the_sequels_three_queries_run(store: SqliteStore) -> None:
    """All messages, the five most active users, the average gap between messages, on its table ``user_messages``."""
    assert store.query("SELECT * FROM user_messages ORDER BY received_at") == (
        ("username", "message", "received_at"),
        [
            ("ada", "hi @bob", "2025-03-10 00:00:00.007"),
            ("bob", "yes?", "2025-03-10 00:00:04.007"),
            ("ada", "message 3", "2025-03-10 00:00:09.500"),
        ],
        False,
    )
    top = "SELECT username, count(*) AS n FROM user_messages GROUP BY username ORDER BY n DESC LIMIT 5"
    assert store.query(top).rows == [("ada", 2), ("bob", 1)]
    times = "julianday(received_at) AS at, lag(julianday(received_at)) OVER (ORDER BY received_at) AS before"
    gap = f"SELECT avg(86400 * (at - before)) FROM (SELECT {times} FROM user_messages)"
    ((seconds,),) = store.query(gap).rows
    assert seconds == pytest.approx(4.7465, abs=0.001)


def test_the_views_have_the_columns_that_are_promised(store: SqliteStore) -> None:
    assert {
        view: store.query(f"SELECT * FROM {view} LIMIT 1").columns
        for view in ("messages", "hours", "user_hours", "mention_hours")
    } == {
        "messages": (
            *("room", "id", "at", "username", "account", "verified", "text", "length", "digest"),
            *("sent_at", "received_at", "position", "extra", "client", "mentions"),
        ),
        "hours": (
            *("room", "hour", "messages", "first_at", "last_at"),
            *("gaps", "gaps_total", "gaps_longest", "replies", "replies_total", "replies_longest"),
        ),
        "user_hours": (
            "room",
            "hour",
            "username",
            "messages",
            "verified",
            "characters",
            "others",
        ),
        "mention_hours": ("room", "hour", "username", "mentioned", "messages"),
    }
    rows = store.query(
        "SELECT room, hour, username, messages, verified FROM user_hours ORDER BY room, username"
    ).rows
    assert rows == [
        ("chat", MONDAY, "ada", 1, 1),
        ("chat", MONDAY, "bob", 1, 0),
        ("ops", MONDAY, "ada", 1, 0),
    ]
    days = store.query("SELECT * FROM user_days WHERE username = 'ada' ORDER BY room")
    assert days.columns == ("room", "day", "username", "messages", "verified", "characters", "others")
    assert days.rows == [("chat", "2025-03-10", "ada", 1, 1, 7, 0), ("ops", "2025-03-10", "ada", 1, 0, 9, 0)]
    assert store.query("SELECT * FROM mention_hours").rows == [("chat", MONDAY, "ada", "bob", 1)]


def test_nothing_but_one_question_is_accepted(store: SqliteStore, tmp_path: Path) -> None:
    def check(sql: str) -> None:
        with pytest.raises(ArchiveError) as refused:
            store.query(sql)
        assert "\n" not in str(refused.value)
        assert refused.value.hint

    check_each(
        (
            "",
            "-- nothing",
            "SELEC 1",
            "SELECT 1; SELECT 2",
            "SELECT * FROM nothing",
            "SELECT ?",
            "DELETE FROM message",
            "UPDATE message SET text = 'x'",
            "INSERT INTO room (name) VALUES ('x')",
            "CREATE TEMP TABLE x (y)",
            "DROP VIEW messages",
            "VACUUM",
            f"VACUUM INTO '{tmp_path / 'copy.db'}'",
            f"ATTACH '{tmp_path / 'other.db'}' AS other",
            "PRAGMA user_version = 9",
            "PRAGMA query_only = OFF",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "BEGIN IMMEDIATE",
            "SELECT load_extension('x')",
            "SELECT writefile('/tmp/x', 'y')",
            "SELECT \0",
            "SELECT '\ud800'",
            "SELECT zeroblob(1000000000)",
            "SELECT group_concat(hex(zeroblob(1000000))) FROM message a, message b, message c, message d",
        ),
        check,
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "archive.db",
        "archive.db-shm",
        "archive.db-wal",
    ]
    assert store.query("SELECT count(*) FROM messages").rows == [(3,)]


def test_a_question_that_takes_too_long_is_ended(store: SqliteStore) -> None:
    with pytest.raises(ArchiveError, match=r"takes longer than 0\.05 s"):
        store.query(ENDLESS.format("count(*)"), seconds=0.05)
    with pytest.raises(ArchiveError, match="takes longer"):
        store.query(f"SELECT x FROM ({ENDLESS.format('x')}) WHERE x < 0", seconds=0.05)


def test_rows_are_bounded_and_it_says_whether_there_were_more(store: SqliteStore) -> None:
    assert store.query(ENDLESS.format("x"), most_rows=3) == (("x",), [(1,), (2,), (3,)], True)
    assert store.query("SELECT room FROM messages", most_rows=3).more is False
    assert store.query("SELECT room FROM messages", most_rows=0) == (("room",), [], True)


def test_an_answer_that_would_fill_the_memory_is_refused(store: SqliteStore) -> None:
    with pytest.raises(ArchiveError, match="larger than 64 MiB"):
        store.query(ENDLESS.format("zeroblob(8000000)"))


def test_text_that_is_no_text_is_shown_with_replacements(store: SqliteStore) -> None:
    assert store.query("SELECT CAST(x'61ff62' AS TEXT), x'61ff'").rows == [("a\ufffdb", b"a\xff")]


def test_ctrl_c_ends_a_query_and_is_not_taken_for_its_timeout(store: SqliteStore) -> None:
    # After 0.2 s of this process's own time, which the query alone spends.
    before = signal.signal(signal.SIGVTALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            store.query(ENDLESS.format("sum(x)"), seconds=60)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert store.query("SELECT 1").rows == [(1,)]
