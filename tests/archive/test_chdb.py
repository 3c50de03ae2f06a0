"""The archive's SQL on chDB, which is today's ClickHouse: `nox -s chdb`. The tests are those of a server."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kchat.archive.clickhouse.connection import literal
from tests.archive.chdb import Chdb, ChdbStore

pytest.register_assert_rewrite("tests.archive.clickhouse_checks")

if not os.environ.get("KCHAT_TEST_CHDB"):
    pytest.skip("chDB is a wheel of 180 MB: nox -s chdb", allow_module_level=True)

from tests.archive.clickhouse_checks import *  # noqa: E402, F403 - its tests run here
from tests.archive.talking import conversation  # noqa: E402
from tests.docs.test_archive_clickhouse import blocks  # noqa: E402


@pytest.fixture
def session(chdb_session: Any) -> Any:
    return chdb_session


@pytest.fixture
def make(session: Any) -> Iterator[Callable[..., ChdbStore]]:
    name = f"kchat_{secrets.token_hex(4)}"
    session.query(f"CREATE DATABASE {name}")
    yield lambda **options: ChdbStore(Chdb(session, name), **options)
    session.query(f"DROP DATABASE {name}")


def test_what_docs_say_of_todays_runs_here(make: Callable[..., ChdbStore], session: Any) -> None:
    records = conversation(50)
    with make(write=True) as store:
        store.write(records)
        (question,), (setting,) = (block.statements for block in blocks("today's"))
        times = sorted(each.received_at // 1000 for each in records)
        assert store.query(question).rows[0][0] == pytest.approx((times[-1] - times[0]) / 49)
        store._connection.rows(setting)


def test_todays_parser_takes_what_needs_a_cluster_or_a_queue(session: Any) -> None:
    for kind in ("cluster: replicated", "cluster: distributed", "rabbitmq"):
        for block in blocks(kind):
            for statement in block.statements:
                assert session.query(f"SELECT formatQuery({literal(statement)})").bytes()
