"""The tables of an archive's file, and the views that people ask (``kchat stats --query``).

Hours are numbered from 1970 on (``at / 3600000``), days likewise (``hour / 24``). Figures are kept with the messages, in the
same transaction, at the grain that questions need:

==================  ===================================================================================
``hour``            a room's hour: messages of each minute, how gaps and replies spread
``person_hour``     a person in a room's hour; ``quarters`` has a bit for each quarter with messages
``person_day``      the sum of these over a day; ``early`` and ``late`` have a bit for each of its 96 quarters
``mention_hour``    how often a person mentioned a name in a room's hour
``mention_block``   the sum of these over :data:`BLOCK` hours
==================  ===================================================================================

A year of 100 people is 876,000 rows of ``person_hour``, which take half a second to add up, and 36,500 of ``person_day``.

The views and their columns are a promise (``messages``, ``user_messages``, ``user_hours``, ``user_days``, ``hours``,
``mention_hours``); the tables are not. Times are milliseconds since 1970; in ``user_messages`` and ``user_days`` they are
texts, in UTC.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from kchat.errors import SettingsError

APPLICATION_ID = 0x6B636861
"""``PRAGMA application_id`` of an archive: the letters "kcha"."""

VERSION = 1
"""``PRAGMA user_version`` of a file with these tables."""

# ruff: noqa: S608 - put together from constants

BLOCK = 32 * 24
"""Hours of a row of ``mention_block``."""

NOBODY = 0
"""The ``person.id`` of messages without a username."""

TABLES = (
    "CREATE TABLE archive (created INTEGER NOT NULL, secret BLOB)",  # secret: NULL where texts are kept
    "CREATE TABLE room (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
    f"INSERT INTO person VALUES ({NOBODY}, NULL)",
    "CREATE TABLE called (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",  # names that were mentioned
    # The long columns are last: reading the others does not touch their pages.
    """CREATE TABLE message (
        id INTEGER PRIMARY KEY,      -- the order in which they were written
        room INTEGER NOT NULL,
        at INTEGER NOT NULL,
        person INTEGER NOT NULL,
        verified INTEGER NOT NULL,
        other INTEGER NOT NULL,      -- written by another client than kchat
        length INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        sent_at INTEGER,
        key TEXT NOT NULL,           -- i: and the id, p: and the position, b: and a digest of the body
        account TEXT,                -- NULL where it is the username, verified, or where there is none
        position TEXT,
        mentions TEXT,               -- a JSON array, NULL where it is empty
        digest BLOB,
        extra TEXT,
        text TEXT
    )""",
    "CREATE UNIQUE INDEX message_key ON message (room, key)",
    # With the key, so that many messages of one millisecond are not sorted for each look: a sender chooses its times.
    "CREATE INDEX message_order ON message (room, at, key)",
    # Those that archivers write; the places of imported ones begin with a date: see kchat/archive/placing.py.
    """CREATE INDEX message_without_id ON message (room)
        WHERE key >= 'b:' AND key < 'b;' AND substr(key, 40, 1) != '-'""",
    """CREATE TABLE hour (
        room INTEGER NOT NULL,
        hour INTEGER NOT NULL,
        messages INTEGER NOT NULL,
        first_at INTEGER NOT NULL,
        first_person INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        last_person INTEGER NOT NULL,
        last_key TEXT NOT NULL,
        minutes BLOB NOT NULL,       -- see hours.py
        gaps INTEGER NOT NULL,
        gaps_total INTEGER NOT NULL,
        gaps_longest INTEGER NOT NULL,
        gaps_longest_at INTEGER NOT NULL,
        gaps_steps BLOB NOT NULL,
        replies INTEGER NOT NULL,
        replies_total INTEGER NOT NULL,
        replies_longest INTEGER NOT NULL,
        replies_longest_at INTEGER NOT NULL,
        replies_steps BLOB NOT NULL,
        PRIMARY KEY (room, hour)
    )""",
    """CREATE TABLE person_hour (
        room INTEGER NOT NULL,
        hour INTEGER NOT NULL,
        person INTEGER NOT NULL,
        messages INTEGER NOT NULL,
        verified INTEGER NOT NULL,
        characters INTEGER NOT NULL,
        others INTEGER NOT NULL,
        starts INTEGER NOT NULL,
        quarters INTEGER NOT NULL,
        PRIMARY KEY (room, hour, person)
    ) WITHOUT ROWID""",
    """CREATE TABLE person_day (
        room INTEGER NOT NULL,
        day INTEGER NOT NULL,
        person INTEGER NOT NULL,
        messages INTEGER NOT NULL,
        verified INTEGER NOT NULL,
        characters INTEGER NOT NULL,
        others INTEGER NOT NULL,
        starts INTEGER NOT NULL,
        early INTEGER NOT NULL,
        late INTEGER NOT NULL,
        PRIMARY KEY (room, day, person)
    ) WITHOUT ROWID""",
    """CREATE TABLE mention_hour (
        room INTEGER NOT NULL,
        hour INTEGER NOT NULL,
        person INTEGER NOT NULL,
        called INTEGER NOT NULL,
        messages INTEGER NOT NULL,
        PRIMARY KEY (room, hour, person, called)
    ) WITHOUT ROWID""",
    """CREATE TABLE mention_block (
        room INTEGER NOT NULL,
        block INTEGER NOT NULL,
        person INTEGER NOT NULL,
        called INTEGER NOT NULL,
        messages INTEGER NOT NULL,
        PRIMARY KEY (room, block, person, called)
    ) WITHOUT ROWID""",
)

_CLOCK = "strftime('%Y-%m-%d %H:%M:%f', {} / 1000.0, 'unixepoch')"

VIEWS = (
    """CREATE VIEW messages AS SELECT
        room.name AS room,
        CASE WHEN key LIKE 'i:%' THEN substr(key, 3) END AS id,
        at,
        person.name AS username,
        CASE WHEN verified THEN ifnull(account, person.name) ELSE account END AS account,
        verified,
        text,
        length,
        lower(hex(digest)) AS digest,
        sent_at,
        received_at,
        position,
        extra,
        CASE other WHEN 0 THEN 'kchat' ELSE 'others' END AS client,
        mentions
    FROM message JOIN room ON room.id = message.room JOIN person ON person.id = message.person""",
    f"""CREATE VIEW user_messages AS SELECT
        person.name AS username, text AS message, {_CLOCK.format("received_at")} AS received_at
    FROM message JOIN person ON person.id = message.person""",
    """CREATE VIEW hours AS SELECT
        room.name AS room, hour * 3600000 AS hour, messages, first_at, last_at,
        gaps, gaps_total, gaps_longest, replies, replies_total, replies_longest
    FROM hour JOIN room ON room.id = hour.room""",
    """CREATE VIEW user_hours AS SELECT
        room.name AS room, hour * 3600000 AS hour, person.name AS username,
        messages, verified, characters, others
    FROM person_hour JOIN room ON room.id = person_hour.room JOIN person ON person.id = person_hour.person""",
    """CREATE VIEW user_days AS SELECT
        room.name AS room, date(day * 86400, 'unixepoch') AS day, person.name AS username,
        messages, verified, characters, others
    FROM person_day JOIN room ON room.id = person_day.room JOIN person ON person.id = person_day.person""",
    """CREATE VIEW mention_hours AS SELECT
        room.name AS room, hour * 3600000 AS hour, person.name AS username, called.name AS mentioned, messages
    FROM mention_hour JOIN room ON room.id = mention_hour.room
        JOIN person ON person.id = mention_hour.person JOIN called ON called.id = mention_hour.called""",
)


def create(db: sqlite3.Connection, created: int, secret: bytes | None) -> None:
    """Make the tables of an archive, inside the caller's transaction."""
    for statement in (*TABLES, *VIEWS):
        db.execute(statement)
    db.execute("INSERT INTO archive VALUES (?, ?)", (created, secret))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")


def is_empty(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has nothing in it yet.

    Raises:
        kchat.errors.SettingsError: it is another program's, or that of another version of kchat.
    """
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not (application or version or tables):
        return True
    if application != APPLICATION_ID:
        raise SettingsError(
            f"{path} is an SQLite file of another program, not an archive of kchat",
            hint="name another file",
        )
    if version > VERSION:
        raise SettingsError(
            f"{path} was made by a newer kchat (version {version} of the file; this one reads {VERSION})",
            hint="upgrade kchat",
        )
    return False
