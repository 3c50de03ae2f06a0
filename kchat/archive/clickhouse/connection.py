"""The connection to a ClickHouse server: :class:`Connection`, and :class:`Driver`, which is one by clickhouse-driver.

All SQL goes through this interface, so that another engine, such as chDB, can stand in for the driver.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from kchat.archive.clickhouse.explain import explaining
from kchat.config.masking import mask
from kchat.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from clickhouse_driver import Client

Settings = Mapping[str, object]
"""Of a query, by ClickHouse's names."""

Row = Sequence[Any]

Columns = Mapping[str, Sequence[object]]
"""Of rows, by name; all are equally long."""

_FORM = "clickhouse://user@host:9000/database, or clickhouses:// for TLS"

# Without a handler, Python prints the driver's warnings, tracebacks included, to standard error.
logging.getLogger("clickhouse_driver").addHandler(logging.NullHandler())


class Stream(Protocol):
    """An answer that is received while it is read, over a connection of its own.

    Attributes:
        columns: their names.
    """

    columns: Sequence[str]

    def __iter__(self) -> Iterator[Row]: ...

    def close(self) -> None:
        """End it, read or not. Safe to repeat."""


class Connection(Protocol):
    """What a store needs of a server. Every method raises :class:`kchat.errors.ArchiveError` where it fails.

    Attributes:
        where: the URL without its password.
    """

    where: str

    def rows(
        self, sql: str, settings: Settings | None = None, *, wanted: Sequence[int] = ()
    ) -> Sequence[Row]:
        """The whole answer to a statement; nothing for one that has none.

        Arguments:
            sql: the statement.
            settings: of it. Default: none.
            wanted: numbers for its ``IN wanted``, if it has that. Default: it has not.
        """

    def stream(self, sql: str, settings: Settings | None = None) -> Stream:
        """The answer to a question, row by row."""

    def insert(self, table: str, columns: Columns, settings: Settings | None = None) -> None:
        """Insert rows, as one block. What is in a column that is not named is the table's default."""

    def known(self, settings: Settings) -> Settings:
        """Those of the settings that the server has."""

    def close(self) -> None:
        """End it. Safe to repeat."""


class Driver:
    """A :class:`Connection` by clickhouse-driver, over ClickHouse's native protocol.

    It connects with the first statement, and again where the connection was lost.

    Arguments:
        url: ``clickhouse://user:password@host:9000/database?option=value``. Options are those of clickhouse-driver's
            connection, such as ``connect_timeout`` and ``ca_certs``, and the server's settings.

    Raises:
        kchat.errors.SettingsError: it is not such a URL.
        kchat.errors.MissingExtra: the driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.where = _where(url)
        self._client = _client(url)
        self._own = tuple(self._client.settings)
        self._has: frozenset[str] = frozenset()

    def rows(
        self, sql: str, settings: Settings | None = None, *, wanted: Sequence[int] = ()
    ) -> Sequence[Row]:
        """The whole answer to a statement; nothing for one that has none."""
        # As a table beside the statement: ten thousand numbers in its text take the server longer to read than to look for.
        tables = [
            {"name": "wanted", "structure": [("number", "UInt64")], "data": [(each,) for each in wanted]}
        ]
        with explaining(self.where):
            self._connected()
            found: Sequence[Row] = self._client.execute(
                sql, settings=dict(settings or {}), external_tables=tables if wanted else None
            )
            return found

    def stream(self, sql: str, settings: Settings | None = None) -> DriverStream:
        """The answer to a question, row by row."""
        return DriverStream(_client(self._url), self.where, sql, settings)

    def insert(self, table: str, columns: Columns, settings: Settings | None = None) -> None:
        """Insert rows, as one block. What is in a column that is not named is the table's default."""
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES"
        values = [list(column) for column in columns.values()]  # the driver changes them
        with explaining(self.where):
            self._connected()
            self._client.execute(sql, values, settings=dict(settings or {}), columnar=True)

    def known(self, settings: Settings) -> Settings:
        """Those of the settings that the server has."""
        with explaining(self.where):
            self._connected()
        return {name: value for name, value in settings.items() if name in self._has}

    def close(self) -> None:
        """End it. Safe to repeat."""
        self._client.disconnect()

    def _connected(self) -> None:
        """Ask the server once which settings it has: an old one refuses a query with a new one's."""
        if self._has:
            return
        self._has = frozenset(name for (name,) in self._client.execute("SELECT name FROM system.settings"))
        for name in self._own:
            if name not in self._has:
                raise SettingsError(
                    f"{self.where}: the server has no setting {name!r}", hint=f"it is {_FORM}"
                )


class DriverStream:
    """A :class:`Stream` of clickhouse-driver's."""

    def __init__(self, client: Client, where: str, sql: str, settings: Settings | None) -> None:
        self._client = client
        self._where = where
        try:
            with explaining(where):
                self._rows = client.execute_iter(sql, settings=dict(settings or {}), with_column_types=True)
                self.columns: Sequence[str] = [name for name, _ in next(self._rows, ())]
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Row]:
        with explaining(self._where):
            yield from self._rows

    def close(self) -> None:
        """End it, read or not. Safe to repeat."""
        self._client.disconnect()


def literal(value: str | int) -> str:
    """A value as ClickHouse's SQL has it."""
    if isinstance(value, int):
        return str(value)
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no statement can hold
        return f"unhex('{value.encode('utf-8', 'surrogatepass').hex()}')"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
    return f"'{escaped}'"


def literals(values: Iterable[str | int]) -> str:
    """Values as ``IN`` wants them, in parentheses."""
    return f"({', '.join(map(literal, values))})"


def _where(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{mask(url)!r} is not a valid ClickHouse URL", hint=f"it is {_FORM}") from error
    if not parts.hostname:
        raise SettingsError(f"{mask(url)!r} has no host", hint=f"it is {_FORM}")
    user = f"{parts.username}@" if parts.username else ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{user}{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _client(url: str) -> Client:
    try:
        from clickhouse_driver import Client
        from clickhouse_driver.util.helpers import parse_url
    except ImportError as error:
        raise MissingExtra(
            "archives in ClickHouse need a driver that is not installed",
            hint='install it with: pip install "kombu-chat[clickhouse]"',
        ) from error
    try:
        host, options = parse_url(url)
        return Client(host, **{"client_name": "kchat", **options})
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise SettingsError(f"{_where(url)}: an option of this URL is not valid: {error}") from error
