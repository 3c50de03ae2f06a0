"""Where the tests' archives are: a file, or a database of a ClickHouse server or of chDB, each new and empty."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kchat.archive.opening import open_store
from kchat.archive.store import Store


class Place:
    """An archive by its name.

    Arguments:
        kind: of the store, a key of :data:`PLACES`.
        name: as :func:`kchat.archive.open` takes it.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name

    def store(self, *, write: bool = False, texts: bool | None = None) -> Store:
        """Open it."""
        return open_store(self.name, write=write, texts=texts)


@contextmanager
def _sqlite(_: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    yield Place("sqlite", str(folder / "archive.db"))


@contextmanager
def _clickhouse(request: pytest.FixtureRequest, _: Path) -> Iterator[Place]:
    with request.getfixturevalue("clickhouse_server").new_database() as url:
        yield Place("clickhouse", url)


class ChdbPlace(Place):
    """An archive in chDB, which has no name: there is no server."""

    def __init__(self, session: Any, database: str) -> None:
        super().__init__("chdb", database)
        self._session = session

    def store(self, *, write: bool = False, texts: bool | None = None) -> Store:
        from tests.archive.chdb import Chdb, ChdbStore

        return ChdbStore(Chdb(self._session, self.name), write=write, texts=texts)


@contextmanager
def _chdb(request: pytest.FixtureRequest, _: Path) -> Iterator[Place]:
    session = request.getfixturevalue("chdb_session")
    name = f"kchat_{secrets.token_hex(4)}"
    session.query(f"CREATE DATABASE {name}")
    yield ChdbPlace(session, name)
    session.query(f"DROP DATABASE {name}")


PLACES: dict[str, Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Place]]] = {
    "sqlite": _sqlite,
    "clickhouse": _clickhouse,
    "chdb": _chdb,
}
"""How a place is made, by kind, for a test and with a folder of its own."""

KINDS = ("chdb",) if os.environ.get("KCHAT_TEST_CHDB") else ("sqlite", "clickhouse")
"""Those that are tried; chDB in ``nox -s chdb`` only."""

GROUPS = {"sqlite": "clickhouse_server", "clickhouse": "clickhouse_server", "chdb": "archives-chdb"}
"""Of pytest-xdist: which tests share what it takes seconds to make: a server, and the figures that all kinds are to have."""
