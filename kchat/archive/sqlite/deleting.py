"""Messages out of an archive's file for good, with all that was counted of them: :func:`forget`, :func:`prune`.

What is deleted is overwritten (``PRAGMA secure_delete``). But where SQLite has divided a full page, bytes that went to the
other half are left in it, outside of what is in use. So after somebody is forgotten, the file is written anew (``VACUUM``).
The log, which still has the old pages, is emptied.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from kchat.archive.facts import hours_of
from kchat.archive.record import folded
from kchat.archive.span import HOUR
from kchat.archive.sqlite import errors
from kchat.archive.sqlite.messages import facts_of
from kchat.archive.sqlite.schema import BLOCK, NOBODY
from kchat.archive.sqlite.writing import add, store
from kchat.errors import ArchiveUnavailable

if TYPE_CHECKING:
    from kchat.archive.sqlite.file import ArchiveFile
    from kchat.archive.sqlite.names import Names

_MOST = 20_000
"""Messages of the hours that one transaction changes, unless a single hour has more: others can write after each."""

_PAGES = 1_000
"""Free pages that are given back at a time."""

_DELETE = "DELETE FROM message WHERE room = ? AND at >= ? AND at < ?"

_UNCOUNT_MENTIONS = """INSERT INTO mention_block
    SELECT room, hour / :size, person, called, -messages FROM mention_hour WHERE room = :room AND hour = :hour
    ON CONFLICT DO UPDATE SET messages = messages + excluded.messages"""

_COUNT_DAY = """INSERT INTO person_day SELECT
        room, :day, person, sum(messages), sum(verified), sum(characters), sum(others), sum(starts),
        sum(CASE WHEN hour % 24 < 12 THEN quarters << hour % 24 * 4 ELSE 0 END),
        sum(CASE WHEN hour % 24 < 12 THEN 0 ELSE quarters << (hour % 24 - 12) * 4 END)
    FROM person_hour WHERE room = :room AND hour >= :day * 24 AND hour < :day * 24 + 24 GROUP BY person"""

_UNUSED = (
    f"DELETE FROM person WHERE id != {NOBODY} AND id NOT IN (SELECT person FROM person_day)",  # noqa: S608
    "DELETE FROM called WHERE id NOT IN (SELECT called FROM mention_block)",
    "DELETE FROM room WHERE id NOT IN (SELECT room FROM hour)",
)

_HIS_HOURS = """SELECT hour.hour, hour.messages FROM hour
    WHERE room = :room AND (
        hour IN (SELECT hour FROM person_hour WHERE room = :room AND person = :person)
        OR hour IN (SELECT hour FROM mention_hour WHERE room = :room AND called = :called)
    ) ORDER BY hour"""

_OLD_HOURS = "SELECT hour, messages FROM hour WHERE room = ? AND hour < ? ORDER BY hour"


def forget(file: ArchiveFile, names: Names, username: str, rooms: Collection[str]) -> int:
    """Delete a person's messages, and who mentioned them: :meth:`kchat.archive.store.Store.forget`.

    Raises:
        kchat.errors.ArchiveUnavailable: there is no space to write the file anew, or another process reads for so long that
            the log cannot be emptied. The messages are deleted, but bytes of them may be left; trying again goes on.
    """
    name = folded(username)
    deleted = 0
    for room in _rooms(file, rooms):
        with file.reading() as db:
            person = _number(db, "person", username)
            which = {"room": room, "person": person, "called": _number(db, "called", name)}
            hours = db.execute(_HIS_HOURS, which).fetchall()
        for some in _parted(hours):
            with file.writing() as db:
                names.refresh(db)
                person = _number(db, "person", username)  # another process may have given its id away
                for hour in some:
                    times = (room, hour * HOUR, (hour + 1) * HOUR)
                    deleted += db.execute(f"{_DELETE} AND person = ?", (*times, person)).rowcount
                    _forget_mentions(db, times, name)
                _recount(db, names, room, some)
    _delete_unused_names(file, names)
    with errors.translated(file.path):
        file.db.execute("VACUUM")
    if not _empty_log(file):
        raise ArchiveUnavailable(
            f"{username!r} is deleted, but is still in the log of {file.path}, which another process reads",
            hint="try again when that process has ended",
        )
    return deleted


def prune(file: ArchiveFile, names: Names, before: int, rooms: Collection[str]) -> int:
    """Delete old messages: :meth:`kchat.archive.store.Store.prune`.

    Where another process reads for long, they are in the log until the next time.
    """
    deleted = 0
    last = before // HOUR
    for room in _rooms(file, rooms):
        with file.reading() as db:
            hours = db.execute(_OLD_HOURS, (room, last + (before % HOUR > 0))).fetchall()
        for some in _parted(hours):
            with file.writing() as db:
                names.refresh(db)
                for hour in some:
                    times = (room, hour * HOUR, min((hour + 1) * HOUR, before))
                    deleted += db.execute(_DELETE, times).rowcount
                _recount(db, names, room, some)
    if deleted:
        _delete_unused_names(file, names)
        _give_pages_back(file)
        _empty_log(file)
    return deleted


def _rooms(file: ArchiveFile, rooms: Collection[str]) -> list[int]:
    with file.reading() as db:
        return [
            number for number, name in db.execute("SELECT id, name FROM room") if not rooms or name in rooms
        ]


def _number(db: sqlite3.Connection, table: str, name: str) -> int | None:
    row = db.execute(f"SELECT id FROM {table} WHERE name = ?", (name,)).fetchone()  # noqa: S608
    return None if row is None else row[0]


def _parted(hours: Iterable[tuple[int, int]]) -> Iterable[list[int]]:
    """Hours, given with the numbers of their messages, in parts for one transaction each."""
    some: list[int] = []
    total = 0
    for hour, messages in hours:
        if some and total + messages > _MOST:
            yield some
            some, total = [], 0
        some.append(hour)
        total += messages
    if some:
        yield some


def _forget_mentions(db: sqlite3.Connection, times: tuple[int, int, int], name: str) -> None:
    """Take a name out of the mentions of an hour's messages; their texts stay."""
    found = db.execute(
        "SELECT id, mentions FROM message WHERE room = ? AND at >= ? AND at < ? AND mentions IS NOT NULL",
        times,
    ).fetchall()
    for number, mentions in found:
        every = json.loads(mentions)
        if name in every:
            left = [each for each in every if each != name]
            packed = json.dumps(left, ensure_ascii=False) if left else None
            db.execute("UPDATE message SET mentions = ? WHERE id = ?", (packed, number))


def _recount(db: sqlite3.Connection, names: Names, room: int, hours: Collection[int]) -> None:
    """Count hours anew from the messages that are left."""
    for number in hours:
        which = {"room": room, "hour": number, "size": BLOCK}
        db.execute(_UNCOUNT_MENTIONS, which)
        for table in ("hour", "person_hour", "mention_hour"):
            db.execute(f"DELETE FROM {table} WHERE room = :room AND hour = :hour", which)  # noqa: S608
        for hour in hours_of(facts_of(db, room, number * HOUR, (number + 1) * HOUR)):
            store(db, names, room, hour)
            add(db, names, room, hour, sums=False)
    for block in {number // BLOCK for number in hours}:
        db.execute("DELETE FROM mention_block WHERE room = ? AND block = ? AND messages = 0", (room, block))
    for day in {number // 24 for number in hours}:
        db.execute("DELETE FROM person_day WHERE room = ? AND day = ?", (room, day))
        db.execute(_COUNT_DAY, {"room": room, "day": day})


def _delete_unused_names(file: ArchiveFile, names: Names) -> None:
    """Delete names that nothing has any more."""
    try:
        with file.writing() as db:
            for statement in _UNUSED:
                db.execute(statement)
    finally:
        names.clear()


def _give_pages_back(file: ArchiveFile) -> None:
    """Make the file smaller by its free pages."""
    while True:
        with file.writing() as db:
            db.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
            if not db.execute("PRAGMA freelist_count").fetchone()[0]:
                return


def _empty_log(file: ArchiveFile) -> bool:
    """Copy the log into the file and empty it; returns whether that was possible beside the others."""
    with errors.translated(file.path):
        busy: int = file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy
