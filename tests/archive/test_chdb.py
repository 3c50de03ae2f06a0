"""The archive's SQL on chDB, which is today's ClickHouse: `nox -s chdb`. The tests are those of a server."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.archive.chdb import Chdb, ChdbStore

pytest.register_assert_rewrite("tests.archive.clickhouse_checks")

if not os.environ.get("KCHAT_TEST_CHDB"):
    pytest.skip("chDB is a wheel of 180 MB: nox -s chdb", allow_module_level=True)

from tests.archive.clickhouse_checks import *  # noqa: E402, F403 - its tests run here


@pytest.fixture(scope="session")
def session() -> Iterator[Any]:
    from chdb.session import Session

    with Session() as made:
        yield made


@pytest.fixture
def make(session: Any) -> Iterator[Callable[..., ChdbStore]]:
    name = f"kchat_{secrets.token_hex(4)}"
    session.query(f"CREATE DATABASE {name}")
    yield lambda **options: ChdbStore(Chdb(session, name), **options)
    session.query(f"DROP DATABASE {name}")
