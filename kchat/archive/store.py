"""The port of the archives: what a :class:`Store` can do, whichever database it is.

A store belongs to one thread. Its reading methods may be called while another process writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from kchat.archive.facts import Facts
    from kchat.archive.record import Record
    from kchat.archive.span import Span, Zone

MOST_ROWS = 10_000
"""Rows that a question of one's own in SQL gets, unless said otherwise."""

SECONDS = 30.0
"""How long it may take, in seconds, unless said otherwise."""


class Answer(NamedTuple):
    """What a question of one's own in SQL got.

    Attributes:
        columns: their names.
        rows: at most as many as asked for; values are None, int, float, str, bytes or bool.
        more: whether there were more.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    more: bool


class Store(Protocol):
    """An archive in a database.

    Every method may raise :class:`kchat.errors.ArchiveUnavailable`, which trying again may help against, and
    :class:`kchat.errors.ArchiveError`, its base, for everything else. After an error nothing of that call is kept that
    another try would keep twice.
    """

    @property
    def where(self) -> str:
        """The archive for people: a path, or a URL with its password masked; safe to show."""

    @property
    def secret(self) -> bytes | None:
        """The key of the digests (:meth:`kchat.archive.record.Record.of`) where the archive keeps no texts; else None."""

    @property
    def batch(self) -> int:
        """Number of messages that are best written at once."""

    @property
    def delay(self) -> float:
        """Seconds for which a message may wait for others to be written with it."""

    def write(self, records: Sequence[Record], *, again: bool = True) -> int:
        """Keep messages, in any order, of any rooms; committed when it returns. What is there by room and key stays.

        Arguments:
            records: at most some ten thousand.
            again: whether some of them may be there already. False lets a store that has to look save the time.

        Returns:
            How many are new.
        """

    def rest(self) -> None:
        """Do what was put off while messages came, if that is due. To be called now and then while none come."""

    def without_id(self, room: str, most: int) -> list[str]:
        """The keys of the last messages of a room that archivers have written, and that have neither id nor position.

        Those of :mod:`kchat.archive.placing`, in the order of their places (``b:<digest>:<place>``), which is the order in
        which they were written. Those of imported messages do not count: their places begin with a date, so with four
        digits and a ``-``.

        Arguments:
            room: the room.
            most: maximum number of them.
        """

    def rooms(self) -> dict[str, int]:
        """The rooms with the number of their messages, by name."""

    def facts(self, span: Span, zone: Zone) -> Facts:
        """What the figures are made of."""

    def words(self, span: Span, most: int) -> list[tuple[str, int]]:
        """The most frequent words (:mod:`kchat.archive.words`) of the texts and how often; by that, then by the word."""

    def records(self, span: Span) -> Iterator[Record]:
        """The messages themselves, by room, each room's in order."""

    def query(self, sql: str, *, most_rows: int = MOST_ROWS, seconds: float = SECONDS) -> Answer:
        """A question of one's own. Nothing can be changed by it.

        Raises:
            kchat.errors.ArchiveError: it is no question, takes longer, or the database has an objection, which is told.
        """

    def forget(self, username: str, rooms: Collection[str] = ()) -> int:
        """Delete the messages of somebody, and all that the figures have of them and of who mentioned them.

        Arguments:
            username: whose.
            rooms: by name. Default: all.

        Returns:
            How many messages were deleted.
        """

    def prune(self, before: int, rooms: Collection[str] = ()) -> int:
        """Delete messages from before a time in milliseconds since 1970, and all that the figures have of them.

        Returns:
            How many messages were deleted.
        """

    def close(self) -> None:
        """End it. Safe to repeat."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
