"""How messages get into an archive's file, with their figures: :func:`write_batch`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from kchat.archive.facts import Hour
from kchat.archive.record import OTHERS, Record
from kchat.archive.span import HOUR
from kchat.archive.sqlite import hours, late
from kchat.archive.sqlite.schema import BLOCK

if TYPE_CHECKING:
    from kchat.archive.sqlite.names import Names

_INSERT = """INSERT INTO message
    (room, at, person, verified, other, length, received_at, sent_at, key, account, position, mentions, digest, extra, text)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room, key) DO NOTHING"""

_HOUR = f"SELECT {hours.COLUMNS} FROM hour WHERE room = ? AND hour = ?"  # noqa: S608

_STORE_HOUR = f"INSERT OR REPLACE INTO hour (room, hour, {hours.COLUMNS}) VALUES (?, ?{', ?' * 17})"  # noqa: S608

_ADD_PERSON_HOUR = """INSERT INTO person_hour VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    messages = messages + excluded.messages, verified = verified + excluded.verified,
    characters = characters + excluded.characters, others = others + excluded.others,
    starts = starts + excluded.starts, quarters = quarters | excluded.quarters"""

_ADD_PERSON_DAY = """INSERT INTO person_day VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    messages = messages + excluded.messages, verified = verified + excluded.verified,
    characters = characters + excluded.characters, others = others + excluded.others,
    starts = starts + excluded.starts, early = early | excluded.early, late = late | excluded.late"""

_ADD_MENTION_HOUR, _ADD_MENTION_BLOCK = (
    f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)"  # noqa: S608
    " ON CONFLICT DO UPDATE SET messages = messages + excluded.messages"
    for table in ("mention_hour", "mention_block")
)

_order = itemgetter(0, 2, 1)
"""Of a record: room, time, key."""


def write_batch(db: sqlite3.Connection, names: Names, records: Sequence[Record]) -> int:
    """Insert messages that are not there yet, and count them, within the caller's transaction.

    Returns:
        How many are new.
    """
    names.refresh(db)
    names.add_rooms(db, {record.room for record in records})
    names.add_people(db, {record.username for record in records})
    (last,) = db.execute("SELECT ifnull(max(id), 0) FROM message").fetchone()
    before = db.total_changes
    db.executemany(_INSERT, _rows(names, records))
    new = db.total_changes - before
    if new < len(records):
        records = _new_ones(db, names, records, last)
    for (room, number), group in groupby(
        sorted(records, key=_order), lambda record: (record.room, record.at // HOUR)
    ):
        _count(db, names, names.rooms[room], number, list(group))
    return new


def _rows(names: Names, records: Iterable[Record]) -> Iterator[tuple[object, ...]]:
    rooms, people = names.rooms, names.people
    for record in records:
        # fmt: off
        (
            room, key, at, username, account, verified, text, length,
            digest, _, sent_at, received_at, position, extra, client, mentioned,
        ) = record
        yield (
            rooms[room], at, people[username], verified, client == OTHERS, length, received_at, sent_at, key,
            None if verified and account == username else account, position,
            json.dumps(mentioned, ensure_ascii=False) if mentioned else None,
            bytes.fromhex(digest) if digest else None, extra, text,
        )
        # fmt: on


def _new_ones(db: sqlite3.Connection, names: Names, records: Sequence[Record], last: int) -> list[Record]:
    """The records that were inserted: ids above the last one are theirs. Of two with the same key, the first."""
    new = set(db.execute("SELECT room, key FROM message WHERE id > ?", (last,)))
    found = []
    for record in records:
        which = (names.rooms[record.room], record.key)
        if which in new:
            new.remove(which)
            found.append(record)
    return found


def _count(db: sqlite3.Connection, names: Names, room: int, number: int, records: list[Record]) -> None:
    """Count new messages of a room and hour, which are in order and in the table.

    The hour's people and mentions are what these messages add; the rest is what the hour is then.
    """
    row = db.execute(_HOUR, (room, number)).fetchone()
    if row is None:
        hour = Hour(number * HOUR)
        for record in records:
            hour.add(record)
    else:
        hour = hours.unpack(number * HOUR, row, lambda person: names.person(db, person))
        late.include(db, room, hour, records)
    store(db, names, room, hour)
    add(db, names, room, hour)


def store(db: sqlite3.Connection, names: Names, room: int, hour: Hour) -> None:
    """Store an hour, but for its people and mentions."""
    assert hour.first is not None
    assert hour.last is not None
    names.add_people(db, (*hour.people, hour.first[1], hour.last[1]))
    db.execute(_STORE_HOUR, (room, hour.start // HOUR, *hours.pack(hour, names.people.__getitem__)))


def add(db: sqlite3.Connection, names: Names, room: int, hour: Hour, *, sums: bool = True) -> None:
    """Add people and mentions of an hour to those that are stored.

    Arguments:
        db: the connection, in a transaction.
        names: the people of the hour are among them.
        room: the id of the room.
        hour: the hour.
        sums: whether to add the people to the day's. Default: yes.
    """
    number = hour.start // HOUR
    shift = number % 24 * 4
    people = []
    days = []
    for name, tally in hour.people.items():
        q0, q1, q2, q3 = tally.quarters
        bits = (q0 > 0) | (q1 > 0) << 1 | (q2 > 0) << 2 | (q3 > 0) << 3
        counts = (q0 + q1 + q2 + q3, tally.verified, tally.characters, tally.others, tally.starts)
        person = names.people[name]
        people.append((room, number, person, *counts, bits))
        early, later = (bits << shift, 0) if shift < 48 else (0, bits << shift - 48)
        days.append((room, number // 24, person, *counts, early, later))
    db.executemany(_ADD_PERSON_HOUR, people)
    if sums:
        db.executemany(_ADD_PERSON_DAY, days)
    if hour.mentions:
        names.add_called(db, (name for _, name in hour.mentions))
        mentions = [
            (names.people[by], names.called[name], many) for (by, name), many in hour.mentions.items()
        ]
        db.executemany(_ADD_MENTION_HOUR, ((room, number, *each) for each in mentions))
        db.executemany(_ADD_MENTION_BLOCK, ((room, number // BLOCK, *each) for each in mentions))
