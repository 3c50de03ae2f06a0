"""Where the tests' archives are: a file, or a database of a ClickHouse server, each new and empty."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

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

    def copied(self, place: Place) -> bool:
        """Put a copy of this archive into an empty place; returns whether that can be done."""
        if self.kind != "sqlite":
            return False
        shutil.copy(self.name, place.name)
        return True


@contextmanager
def _sqlite(_: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    yield Place("sqlite", str(folder / "archive.db"))


@contextmanager
def _clickhouse(request: pytest.FixtureRequest, _: Path) -> Iterator[Place]:
    with request.getfixturevalue("clickhouse_server").new_database() as url:
        yield Place("clickhouse", url)


PLACES: dict[str, Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Place]]] = {
    "sqlite": _sqlite,
    "clickhouse": _clickhouse,
}
"""How a place is made, by kind, for a test and with a folder of its own."""
