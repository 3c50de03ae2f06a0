"""Ids of rooms, people and mentioned names: :class:`Names`."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from kchat.archive.sqlite.schema import NOBODY

if TYPE_CHECKING:
    from kchat.archive.facts import Name

_MOST = 50_000
"""Names of each kind that are remembered."""

_FEW = 1_000
"""Names that are looked up one by one."""

_SPARSE = 4
"""Numbers for each person, from which on they are not used as places in memory."""


class Names:
    """The ids of names, and the names of ids, remembered while nobody else writes to the file.

    Ids that were made in a transaction that was rolled back are forgotten with :meth:`clear`.
    """

    def __init__(self) -> None:
        self._version: int | None = None
        self.clear()

    def clear(self) -> None:
        """Forget all of them."""
        self.rooms: dict[str, int] = {}
        self.people: dict[Name, int] = {None: NOBODY}
        self.called: dict[str, int] = {}
        self._by_id: dict[int, Name] = {NOBODY: None}

    def refresh(self, db: sqlite3.Connection) -> None:
        """Forget what is no longer sure, within a transaction: another process may delete names, and give their ids away."""
        version: int = db.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or max(len(self.people), len(self.called), len(self._by_id)) > _MOST:
            self.clear()
            self._version = version

    def add_rooms(self, db: sqlite3.Connection, names: Iterable[str]) -> None:
        """Make sure that :attr:`rooms` has all of these."""
        for name in names:
            if name not in self.rooms:
                self.rooms[name] = _number(db, "room", name)

    def add_people(self, db: sqlite3.Connection, names: Iterable[Name]) -> None:
        """Make sure that :attr:`people` has all of these."""
        for name in names:
            if name not in self.people:
                assert name is not None
                self.people[name] = _number(db, "person", name)

    def add_called(self, db: sqlite3.Connection, names: Iterable[str]) -> None:
        """Make sure that :attr:`called` has all of these."""
        for name in names:
            if name not in self.called:
                self.called[name] = _number(db, "called", name)

    def person(self, db: sqlite3.Connection, number: int) -> Name:
        """The username with an id."""
        try:
            return self._by_id[number]
        except KeyError:
            name: Name = db.execute("SELECT name FROM person WHERE id = ?", (number,)).fetchone()[0]
            self._by_id[number] = name
            return name

    def of_people(self, db: sqlite3.Connection, people: Sequence[int]) -> Callable[[int], Name]:
        """What gives the username with an id, within the transaction.

        Arguments:
            db: the archive.
            people: as :func:`ids` has them: of many, it takes all at once, and they are not remembered.
        """
        if len(people) < _FEW or not isinstance(people, range):
            return partial(self.person, db)
        found: list[Name] = [None] * len(people)
        for number, name in db.execute("SELECT id, name FROM person"):
            found[number] = name
        return found.__getitem__


def ids(db: sqlite3.Connection) -> Sequence[int]:
    """The ids of people, in order: all numbers up to the last one, unless most of these are nobody's.

    So they are in an archive that deletes people, and may be in a stranger's file.
    """
    most, many = db.execute("SELECT max(id), count(*) FROM person").fetchone()
    if most <= _SPARSE * (many + _FEW):
        return range(most + 1)
    return array("q", (number for (number,) in db.execute("SELECT id FROM person ORDER BY id")))


def _number(db: sqlite3.Connection, table: str, name: str) -> int:
    """The id of a name, which is made where there is none."""
    found = db.execute(f"SELECT id FROM {table} WHERE name = ?", (name,)).fetchone()  # noqa: S608
    if found is None:
        db.execute(f"INSERT INTO {table} (name) VALUES (?)", (name,))  # noqa: S608
        found = db.execute("SELECT last_insert_rowid()").fetchone()
    number: int = found[0]
    return number
