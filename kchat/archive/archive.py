"""An archive in a program: :class:`Archive`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kchat.archive.opening import open_store
from kchat.archive.span import Span, Zone
from kchat.archive.stats import TOP, Stats, compute
from kchat.archive.store import MOST_ROWS, SECONDS, Answer
from kchat.errors import SettingsError
from kchat.message import rfc3339

if TYPE_CHECKING:
    from kchat.archive.record import Record


class Archive:
    """An archive, to ask. A context manager; for one thread.

    >>> from kchat import archive
    >>> with archive.open("archive.db") as kept:
    ...     print(kept.stats(since=datetime(2026, 1, 1, tzinfo=UTC)).messages)

    Arguments and errors: those of :func:`kchat.archive.open`.
    """

    def __init__(self, name: str | Path | None = None) -> None:
        self._store = open_store(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def where(self) -> str:
        """The archive for people; safe to show."""
        return self._store.where

    def rooms(self) -> dict[str, int]:
        """The rooms with the number of their messages, by name."""
        return self._store.rooms()

    def stats(
        self,
        *,
        rooms: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        zone: str = "UTC",
        top: int = TOP,
        words: bool = False,
    ) -> Stats:
        """The figures.

        Arguments:
            rooms: by name. Default: all.
            since: the first moment that counts, aware. Default: from the beginning.
            until: the first that no longer counts, aware. Default: to the end.
            zone: of all times, by its IANA name. Default: ``UTC``.
            top: how many of each list. Default: ten.
            words: whether to count the words, which reads all texts of that time. Default: not.

        Raises:
            kchat.errors.SettingsError: no such zone, or the end is not after the beginning.
            kchat.errors.ArchiveError: the archive cannot be read.
            ValueError: a naive time.
        """
        span, in_zone = _span(rooms, since, until), Zone(zone)
        found = self._store.words(span, top) if words else None
        return compute(
            self._store.facts(span, in_zone), span, in_zone, archive=self.where, top=top, words=found
        )

    def records(
        self, *, rooms: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Record]:
        """The messages themselves, by room, each room's in order. Arguments as of :meth:`stats`."""
        return self._store.records(_span(rooms, since, until))

    def arrow_batches(
        self, *, rooms: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Any]:
        """The messages as ``pyarrow.RecordBatch``, some 10,000 at a time; the columns: :mod:`kchat.archive.arrow`.

        Arguments as of :meth:`stats`.

        Raises:
            kchat.errors.MissingExtra: the library is not installed.
        """
        from kchat.archive.arrow import batches

        return batches(self.records(rooms=rooms, since=since, until=until))

    def to_arrow(
        self, *, rooms: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> Any:
        """The messages as a ``pyarrow.Table``, all of them in memory. Arguments and errors as of :meth:`arrow_batches`."""
        from kchat.archive.arrow import pyarrow, schema

        found = self.arrow_batches(rooms=rooms, since=since, until=until)
        return pyarrow().Table.from_batches(found, schema())

    def to_pandas(
        self, *, rooms: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
    ) -> Any:
        """The messages as a ``pandas.DataFrame``, all in memory. Arguments and errors as of :meth:`arrow_batches`."""
        from kchat.archive.arrow import require_pandas

        require_pandas()
        return self.to_arrow(rooms=rooms, since=since, until=until).to_pandas()

    def query(self, sql: str, *, most_rows: int = MOST_ROWS, seconds: float = SECONDS) -> Answer:
        """A question of one's own in the database's SQL; read only.

        Arguments:
            sql: one statement.
            most_rows: to get. Default: 10,000.
            seconds: it may take. Default: 30.

        Raises:
            kchat.errors.ArchiveError: it is no question, takes longer, or the database has an objection.
        """
        return self._store.query(sql, most_rows=most_rows, seconds=seconds)

    def close(self) -> None:
        """End it. Safe to repeat."""
        self._store.close()


def _span(rooms: Sequence[str], since: datetime | None, until: datetime | None) -> Span:
    first, end = (None if moment is None else rfc3339.milliseconds(moment) for moment in (since, until))
    if first is not None and end is not None and first >= end:
        raise SettingsError("it ends before it begins", hint="{since} has to be before {until}")
    return Span(tuple(rooms), first, end)
