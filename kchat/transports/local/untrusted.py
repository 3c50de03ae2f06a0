"""A room's file may be a stranger's: limits for SQLite, and a check of the schema before it is used.

A file that looks like a room may hold a view instead of a table, a trigger, an expression that SQLite would run, or a
tree of pages that never ends. So a file has to have exactly the tables that kchat makes, with the kinds of values that
it writes; and SQLite's work is interrupted by signals, and when it takes too long.
See "Defense Against The Dark Arts", https://www.sqlite.org/security.html.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from functools import lru_cache
from typing import Any

from amqp.exceptions import NotAllowed

from . import schema

#: Steps of SQLite's virtual machine between two looks whether a signal came: some milliseconds.
_STEPS = 100_000

#: Seconds that one statement may work. Deleting a queue with a million messages takes four.
WORK_SECONDS = 60.0

#: The longest text of a statement, and the most objects that a schema is read of.
_SQL_BYTES, _OBJECTS = 100_000, 200

#: Bytes of a row besides a message's body.
_ROW_BYTES = 4 * 1024 * 1024

#: SQLite's limits, all but the one of the length.
_LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: _SQL_BYTES,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 16,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 4,
}

#: Bytes that a value can have in SQLite, as it is built.
_SQLITE_BYTES = 1_000_000_000

#: SQLite's switches by Python's names (3.12).
_SWITCHES = {"SQLITE_DBCONFIG_DEFENSIVE": True, "SQLITE_DBCONFIG_ENABLE_VIEW": False}

#: Table, columns, and the kinds of values that kchat writes there.
_KINDS = {
    "topology": {"version": "integer"},
    "exchange": {
        "id": "integer", "name": "text null", "type": "text", "durable": "integer",
        "auto_delete": "integer", "arguments": "text", "floor": "integer",
    },
    "owner": {"id": "integer", "name": "text"},
    "queue": {
        "id": "integer", "name": "text", "durable": "integer", "auto_delete": "integer", "owner": "integer null",
        "arguments": "text", "max_length": "integer null", "ttl": "real null", "expires": "real null",
        "used_at": "real",
    },
    "binding": {"exchange": "integer", "queue": "integer", "routing_key": "text"},
    "consumer": {"queue": "integer", "owner": "integer", "tag": "text"},
    "sqlite_sequence": {"name": "text", "seq": "integer"},
}  # fmt: skip

#: What the versions added, likewise. Marks, of which there can be many, are looked at when they are read, as messages.
_ADDED_KINDS: dict[int, dict[str, dict[str, str]]] = {
    2: {
        "exchange": {"floor_total": "integer"},
        "queue": {"max_priority": "integer null", "dropped": "integer"},
        "clock": {"passed": "real", "wall": "real", "kernel": "real", "boot": "text"},
        "limits": {
            "history_max_age": "real", "history_max_bytes": "integer", "backlog_max_bytes": "integer",
            "backlog_max_messages": "integer",
        },
    },
}  # fmt: skip

#: Exchanges that a room may have had in all its time: their ids are a message's upper bits.
_EXCHANGES = 1 << (62 - schema.SEQ_BITS)

#: The highest number that may have been given to a queue or an owner of an old release: far from where they end.
_NUMBERS = 1 << 48

#: Rows with values that kchat would not write; each statement finds one.
_STRANGE = (
    "SELECT 1 FROM topology WHERE abs(version) > {numbers} OR rowid <> 1",
    (
        "SELECT 1 FROM exchange WHERE id NOT BETWEEN 1 AND {exchanges} OR floor NOT BETWEEN 0 AND {floor}"
        " OR type NOT IN ('direct', 'fanout', 'topic')"
    ),
    "SELECT 1 FROM queue WHERE id NOT BETWEEN 1 AND {numbers} OR max_length < 0 OR ttl < 0 OR expires < 0",
    (
        "SELECT 1 FROM sqlite_sequence WHERE seq NOT BETWEEN 0 AND {numbers}"
        " OR name = 'exchange' AND seq > {exchanges}"
    ),
)

_ADDED_STRANGE = {
    2: (
        "SELECT 1 FROM exchange WHERE floor_total NOT BETWEEN 0 AND {floor}",
        "SELECT 1 FROM queue WHERE max_priority NOT BETWEEN 0 AND 255 OR dropped NOT BETWEEN 0 AND {numbers}",
        # A thousand years on the room's clock, and from year 1 to 9999 on the wall.
        (
            "SELECT 1 FROM clock WHERE passed NOT BETWEEN 0 AND 4e10 OR kernel NOT BETWEEN 0 AND 4e10"
            " OR wall NOT BETWEEN -7e10 AND 3e11"
        ),
        (
            "SELECT 1 FROM limits WHERE history_max_age < 0 OR history_max_bytes < 0 OR backlog_max_bytes < 0"
            " OR backlog_max_messages < 0"
        ),
    ),
}

#: Tables with one row, by the version that they came with.
_ONE_ROW = {"topology": 1, "clock": 2, "limits": 2}


class Watchdog:
    """Called by SQLite while it works: lets signals in, and ends what takes too long."""

    def __init__(self) -> None:
        self._until = 0.0
        self.raised: BaseException | None = None
        #: The last statement was ended since it took too long.
        self.barked = False

    def begin(self) -> None:
        """New work begins. Raises what a signal's handler has raised since."""
        self.reraise()
        self._until = 0.0
        self.barked = False

    def __call__(self) -> int:
        """Whether SQLite has to stop."""
        try:
            # Python calls a signal's handler here; what that raises would get lost in SQLite.
            now = time.monotonic()
            self._until = self._until or now + WORK_SECONDS
            self.barked = now > self._until
        except BaseException as exc:  # noqa: BLE001 - raised again when SQLite has returned
            self.raised = exc
            return 1
        return int(self.barked)

    def reraise(self) -> None:
        """Raise what a signal's handler raised meanwhile."""
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised


def guard(db: sqlite3.Connection, max_message_bytes: int) -> Watchdog:
    """Put bounds on what a file's content can make SQLite do. Reads nothing yet.

    Arguments:
        db: a connection that has not been used.
        max_message_bytes: the largest body.
    """
    watchdog = Watchdog()
    db.set_progress_handler(watchdog, _STEPS)
    for limit, value in _LIMITS.items():
        db.setlimit(limit, value)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(max_message_bytes + _ROW_BYTES, _SQLITE_BYTES))
    if hasattr(db, "setconfig"):  # Python 3.12
        for name, switch in _SWITCHES.items():
            db.setconfig(getattr(sqlite3, name), switch)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    return watchdog


@lru_cache
def _made_by_kchat(version: int, steps: tuple[tuple[str, ...], ...]) -> frozenset[tuple[Any, ...]]:
    """The schema of a file of that version, as SQLite has it."""
    with closing(sqlite3.connect(":memory:")) as db:
        for step in steps[:version]:
            for statement in step:
                db.execute(statement)
        return frozenset(_objects(db))


def _objects(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute(
        "SELECT type, name, tbl_name, substr(sql, 1, ?) FROM sqlite_master LIMIT ?", (_SQL_BYTES, _OBJECTS)
    ).fetchall()


def check_content(db: sqlite3.Connection, path: str, version: int) -> None:
    """Make sure that the file has the tables of a room of that version, and values of the right kinds in the small ones.

    Of the messages, which can be many, each is looked at when it is read.

    Raises:
        amqp.exceptions.NotAllowed: it has others.
    """
    objects = _objects(db)
    expected = _made_by_kchat(version, schema.STEPS)
    if len(objects) != len(expected) or frozenset(objects) != expected:
        strange = sorted({f"{each[0]} {each[1]!r:.80}" for each in {*objects} ^ expected})[:1]
        raise not_a_room(path, f"its tables are not those that kchat makes: {', '.join(strange)}")
    if not version:
        return
    (encoding,) = db.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        raise not_a_room(path, f"its texts are {encoding}")
    _check_values(db, path, version)


def _check_values(db: sqlite3.Connection, path: str, version: int) -> None:
    added = [number for number in _ADDED_KINDS if number <= version]
    for kinds_of in (_KINDS, *(_ADDED_KINDS[number] for number in added)):
        for table, columns in kinds_of.items():
            wrong = " OR ".join(_is_wrong(column, kinds.split()) for column, kinds in columns.items())
            if db.execute(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():  # noqa: S608 - constants
                raise not_a_room(path, f"there is a value of the wrong kind in its table {table!r}")
    bounds = {"numbers": _NUMBERS, "exchanges": _EXCHANGES, "floor": schema.NO_HISTORY}
    for statement in (*_STRANGE, *(each for number in added for each in _ADDED_STRANGE[number])):
        if db.execute(f"{statement.format(**bounds)} LIMIT 1").fetchone():
            raise not_a_room(path, f"there is a number out of bounds in its table {statement.split()[3]!r}")
    for table, since in _ONE_ROW.items():
        if since <= version and db.execute(f"SELECT count(*) FROM {table}").fetchone() != (1,):  # noqa: S608 - constants
            raise not_a_room(path, f"its table {table!r} has not one row")


def _is_wrong(column: str, kinds: list[str]) -> str:
    """The condition for a value that is of another kind, or far too long."""
    allowed = ", ".join(f"'{kind}'" for kind in kinds)
    wrong = f"typeof({column}) NOT IN ({allowed})"
    return f"{wrong} OR length({column}) > {_SQL_BYTES}" if "text" in kinds else wrong


def not_a_room(path: str, why: str) -> NotAllowed:
    """The error for a file that is not a room."""
    return NotAllowed(f"{path}: this is not a kchat room: {why}")
