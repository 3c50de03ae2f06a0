"""chDB, today's ClickHouse in this process, in place of a connection to a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from kchat.archive.clickhouse.connection import Columns, Row, Settings, literal
from kchat.archive.clickhouse.explain import TableMissing
from kchat.archive.clickhouse.store import ClickHouseStore
from kchat.errors import ArchiveError


class ChdbStream:
    """An answer, whole."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self.columns = columns
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def close(self) -> None:
        """Nothing is open."""


class Chdb:
    """A connection to a database in a session of chDB's.

    Arguments:
        session: of ``chdb.session``.
        database: that is there.
    """

    def __init__(self, session: Any, database: str) -> None:
        self.where = f"chdb:{database}"
        self._session = session
        self._database = database
        self._has = {name for (name,) in self.rows("SELECT name FROM system.settings")}

    def rows(
        self, sql: str, settings: Settings | None = None, *, wanted: Sequence[int] = ()
    ) -> Sequence[Row]:
        # chDB has no tables beside a statement.
        numbers = ", ".join(map(str, wanted))
        return self._ask(sql.replace("IN wanted", f"IN ({numbers})") if wanted else sql, settings)[1]

    def stream(self, sql: str, settings: Settings | None = None) -> ChdbStream:
        return ChdbStream(*self._ask(sql, settings))

    def insert(self, table: str, columns: Columns, settings: Settings | None = None) -> None:
        rows = zip(*columns.values(), strict=True)
        values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
        self._run(f"INSERT INTO {table} ({', '.join(columns)}) {_given(settings)} VALUES {values}")

    def known(self, settings: Settings) -> Settings:
        return {name: value for name, value in settings.items() if name in self._has}

    def close(self) -> None:
        """The session is the test's."""

    def _ask(self, sql: str, settings: Settings | None) -> tuple[Sequence[str], Sequence[Row]]:
        if not sql.lstrip().upper().startswith("SELECT"):
            self._run(sql)
            return [], []
        given = {**(settings or {}), "output_format_json_quote_64bit_integers": 0}
        said = self._run(f"{sql.strip().rstrip(';')}\n{_given(given)}\nFORMAT JSONCompactEachRowWithNames")
        lines = [json.loads(line) for line in said.splitlines()]
        return lines[0], [tuple(line) for line in lines[1:]]

    def _run(self, sql: str) -> str:
        try:
            self._session.query(f"USE {self._database}")
            answer = self._session.query(sql, "JSONCompactEachRowWithNames")
        except RuntimeError as error:
            said = str(error)
            raise (TableMissing if "UNKNOWN_TABLE" in said else ArchiveError)(said.splitlines()[0]) from error
        return answer.bytes().decode("utf-8", "surrogatepass") if answer is not None else ""


class ChdbStore(ClickHouseStore):
    """An archive in chDB.

    Arguments:
        connection: to it; the others as of the class it stands in for.
    """

    def __init__(self, connection: Chdb, *, write: bool = False, texts: bool | None = None) -> None:
        self._chdb = connection
        super().__init__(connection.where, write=write, texts=texts)

    def _connect(self, url: str) -> Chdb:
        return self._chdb


def _given(settings: Settings | None) -> str:
    """A clause; a session that is read only would stay so."""
    given = [f"{name} = {value!r}" for name, value in (settings or {}).items() if name != "readonly"]
    return f"SETTINGS {', '.join(given)}" if given else ""


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bytes):
        return f"unhex('{value.hex()}')"
    return literal(int(value) if isinstance(value, bool) else value)  # type: ignore[arg-type] # str and int
