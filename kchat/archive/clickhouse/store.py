"""An archive in ClickHouse: :class:`ClickHouseStore`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Self

from kchat.archive.clickhouse import asking, deleting, reading
from kchat.archive.clickhouse.connection import Connection, Driver
from kchat.archive.clickhouse.schema import check_texts, make, read_mark
from kchat.archive.clickhouse.writing import Writer
from kchat.archive.store import MOST_ROWS, SECONDS, Answer
from kchat.errors import ArchiveError, SettingsError

if TYPE_CHECKING:
    from kchat.archive.facts import Facts
    from kchat.archive.record import Record
    from kchat.archive.span import Span, Zone


class ClickHouseStore:
    """A :class:`kchat.archive.store.Store` in a database of a ClickHouse server, of version 18.16 or newer.

    Arguments:
        url: ``clickhouse://user:password@host:9000/database``, or ``clickhouses://`` for TLS.
        write: whether to write; an archive that is not there is made. Default: it is only read, and has to be there.
        texts: whether the archive keeps texts: see :func:`kchat.archive.opening.open_store`.

    Raises:
        kchat.errors.SettingsError: the URL is not valid, there is no archive, or it does something else with texts.
        kchat.errors.MissingExtra: clickhouse-driver is not installed.
        kchat.errors.ArchiveUnavailable: the server is away.
        kchat.errors.ArchiveError: it refuses.
    """

    def __init__(self, url: str, *, write: bool = False, texts: bool | None = None) -> None:
        connection = self._connect(url)
        self._connection = connection
        self._writer: Writer | None = None
        try:
            mark = make(connection, texts=texts is not False) if write else read_mark(connection)
            if mark is None:
                raise SettingsError(
                    f"there is no archive of kchat's at {connection.where}",
                    hint="`kchat archive --to` that URL makes one",
                )
            check_texts(mark, connection.where, texts=texts)
            self._secret = mark.secret
            if write:
                self._writer = Writer(connection)
        except BaseException:
            connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def where(self) -> str:
        """The URL without its password; safe to show."""
        return self._connection.where

    @property
    def secret(self) -> bytes | None:
        """The key of the digests where the archive keeps no texts; else None."""
        return self._secret

    @property
    def batch(self) -> int:
        """Number of messages that are best written at once: each insert makes a part, which the server has to merge."""
        return 10_000

    @property
    def delay(self) -> float:
        """Seconds for which a message may wait for others to be written with it."""
        return 1.0

    def write(self, records: Sequence[Record], *, again: bool = True) -> int:
        """Keep messages: see :meth:`kchat.archive.store.Store.write`."""
        return self._to_write().write(records, again=again)

    def rest(self) -> None:
        """Do what was put off: see :meth:`kchat.archive.store.Store.rest`."""
        if self._writer is not None:
            self._writer.rest()

    def without_id(self, room: str, most: int) -> list[str]:
        """The last ones that archivers wrote: see :meth:`kchat.archive.store.Store.without_id`."""
        return reading.without_id(self._connection, room, most)

    def rooms(self) -> dict[str, int]:
        """The rooms with the number of their messages, by name."""
        return reading.rooms(self._connection)

    def facts(self, span: Span, zone: Zone) -> Facts:
        """What the figures are made of."""
        return asking.facts(self._connection, span, zone)

    def words(self, span: Span, most: int) -> list[tuple[str, int]]:
        """The most frequent words of the texts and how often."""
        from kchat.archive.words import most_frequent

        return most_frequent(reading.texts(self._connection, span), most)

    def records(self, span: Span) -> Iterator[Record]:
        """The messages themselves, by room, each room's in order."""
        return reading.records(self._connection, span)

    def query(self, sql: str, *, most_rows: int = MOST_ROWS, seconds: float = SECONDS) -> Answer:
        """A question of one's own: see :meth:`kchat.archive.store.Store.query`."""
        return reading.query(self._connection, sql, most_rows, seconds)

    def forget(self, username: str, rooms: Collection[str] = ()) -> int:
        """Delete somebody's messages: see :meth:`kchat.archive.store.Store.forget`."""
        self._to_write()
        return deleting.forget(self._connection, username, rooms)

    def prune(self, before: int, rooms: Collection[str] = ()) -> int:
        """Delete old messages: see :meth:`kchat.archive.store.Store.prune`."""
        self._to_write()
        return deleting.prune(self._connection, before, rooms)

    def close(self) -> None:
        """End it. Safe to repeat."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._connection.close()

    def _connect(self, url: str) -> Connection:
        """The connection to the server. Another engine stands in for it where a subclass says so."""
        return Driver(url)

    def _to_write(self) -> Writer:
        if self._writer is None:
            raise ArchiveError(f"the archive at {self.where} was opened to be read only")
        return self._writer
