"""An archive in an SQLite file: :class:`SqliteStore`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kchat.archive import opening
from kchat.archive.sqlite import asking, deleting, errors, messages, reading
from kchat.archive.sqlite.file import ArchiveFile, connect
from kchat.archive.sqlite.names import Names
from kchat.archive.sqlite.writing import write_batch
from kchat.archive.store import MOST_ROWS, SECONDS, Answer

if TYPE_CHECKING:
    from kchat.archive.facts import Facts
    from kchat.archive.record import Record
    from kchat.archive.span import Span, Zone

BATCH, DELAY = 2_000, 0.25

_WITHOUT_ID = """SELECT key FROM message INDEXED BY message_without_id
    WHERE room = (SELECT id FROM room WHERE name = ?) AND key >= 'b:' AND key < 'b;' AND substr(key, 40, 1) != '-'
    ORDER BY id DESC LIMIT ?"""

_ROOMS = "SELECT name, sum(messages) FROM person_day JOIN room ON room.id = person_day.room GROUP BY room.id ORDER BY name"


class SqliteStore:
    """An archive in an SQLite file: see :class:`kchat.archive.store.Store`.

    Any number of processes may read it while others write to it. While it is being written, SQLite keeps a log and an index
    beside the file.

    Arguments:
        path: of the file.
        write: whether to write; a missing file is made, mode 0600. Default: it is only read, and has to be there.
        texts: whether it keeps texts. Default: whatever it does; a new one keeps them.

    Raises:
        kchat.errors.SettingsError: the path is no archive of kchat's, or not one with, or without, texts as asked for.
        kchat.errors.ArchiveError: it cannot be opened.
    """

    def __init__(self, path: Path, *, write: bool = False, texts: bool | None = None) -> None:
        self._file = ArchiveFile(
            path, write=write, texts=texts, private_folder=write and path == opening.default_path()
        )
        self._names = Names()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def where(self) -> str:
        """The path of the file."""
        return str(self._file.path)

    @property
    def secret(self) -> bytes | None:
        """The key of the digests; None where texts are kept."""
        return self._file.secret

    @property
    def batch(self) -> int:
        """Messages that are best written at once: of more, each takes as long."""
        return BATCH

    @property
    def delay(self) -> float:
        """Seconds for which a message may wait for others: a commit takes a few milliseconds, and the disk's for a sync."""
        return DELAY

    def write(self, records: Sequence[Record], *, again: bool = True) -> int:  # noqa: ARG002 - looking costs nothing here
        """Keep messages: :meth:`kchat.archive.store.Store.write`. On disk when it returns."""
        if not records:
            return 0
        try:
            with self._file.writing() as db:
                return write_batch(db, self._names, records)
        except BaseException:
            self._names.clear()  # ids that were made are not there
            raise

    def rest(self) -> None:
        """Nothing was put off."""

    def without_id(self, room: str, most: int) -> list[str]:
        """The last ones written: :meth:`kchat.archive.store.Store.without_id`."""
        with self._file.reading() as db:
            return [key for (key,) in db.execute(_WITHOUT_ID, (room, most))][::-1]

    def rooms(self) -> dict[str, int]:
        """The rooms with the number of their messages, by name."""
        with self._file.reading() as db:
            return dict(db.execute(_ROOMS))

    def facts(self, span: Span, zone: Zone) -> Facts:
        """What the figures are made of."""
        with self._file.reading() as db:
            self._names.refresh(db)
            return reading.facts(db, self._names, span, zone)

    def records(self, span: Span) -> Iterator[Record]:
        """The messages themselves, by room, each room's in order."""
        since, until = messages.times(span)
        with self._file.reading() as db:
            for room, name in reading.rooms_of(db, span):
                yield from messages.whole(db, room, name, since, until)

    def words(self, span: Span, most: int) -> list[tuple[str, int]]:
        """The most frequent words of the texts and how often; by that, then by the word."""
        from kchat.archive.words import most_frequent

        since, until = messages.times(span)
        with self._file.reading() as db:
            texts = (messages.texts(db, room, since, until) for room, _ in reading.rooms_of(db, span))
            return most_frequent(chain.from_iterable(texts), most)

    def query(self, sql: str, *, most_rows: int = MOST_ROWS, seconds: float = SECONDS) -> Answer:
        """A question of one's own: :meth:`kchat.archive.store.Store.query`.

        The views ``messages``, ``user_messages``, ``user_hours``, ``user_days``, ``hours`` and ``mention_hours`` are for it.
        """
        with errors.translated(self._file.path):
            db = connect(self._file.path, self._file.reading_options)
        return asking.ask(db, sql, most_rows=most_rows, seconds=seconds)

    def forget(self, username: str, rooms: Collection[str] = ()) -> int:
        """Delete somebody's messages: :meth:`kchat.archive.store.Store.forget`. Nothing of them is left in the file.

        Texts in which others mention them stay, as those are others'. At the end the file is written anew, which needs twice
        its space; others cannot write meanwhile: a second for some 100 MB.

        Raises:
            kchat.errors.ArchiveUnavailable: the messages are deleted, but bytes of them may be left in the file, as there is
                no space to write it anew, or in SQLite's log, as another process reads it; try again.
        """
        return deleting.forget(self._file, self._names, username, rooms)

    def prune(self, before: int, rooms: Collection[str] = ()) -> int:
        """Delete old messages: :meth:`kchat.archive.store.Store.prune`. Fragments may be left in the file."""
        return deleting.prune(self._file, self._names, before, rooms)

    def close(self) -> None:
        """End it. Safe to repeat."""
        self._file.close()
