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
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from . import errors, files, schema

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from .options import Options

T = TypeVar("T")

# ruff: noqa: S608 - put together from constants

#: Seconds between two attempts to open a file whose log is being changed.
LOG_PAUSE = 0.01

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

#: Exchanges that a room may have had in all its time: their ids are a message's upper bits.
_EXCHANGES = 1 << (62 - schema.SEQ_BITS)

#: The highest number that may have been given to a queue: far from where they end.
_NUMBERS = 1 << 48

#: Tables with few rows, all of which are looked at before anything is used. Marks, messages and what is queued are looked
#: at when they are read.
_SMALL = ("topology", "exchange", "queue", "binding", "consumer", "clock", "limits")

#: Rows with values that kchat would not write; each statement finds one.
_STRANGE = (
    "SELECT 1 FROM topology WHERE abs(version) > {numbers} OR rowid <> 1",
    (
        "SELECT 1 FROM exchange WHERE id NOT BETWEEN 1 AND {exchanges} OR floor NOT BETWEEN 0 AND {floor}"
        " OR floor_total NOT BETWEEN 0 AND {floor} OR type NOT IN ('direct', 'fanout', 'topic')"
    ),
    (
        "SELECT 1 FROM queue WHERE id NOT BETWEEN 1 AND {numbers} OR max_length < 0 OR ttl < 0 OR expires < 0"
        " OR max_priority NOT BETWEEN 0 AND 255 OR dropped NOT BETWEEN 0 AND {numbers}"
    ),
    (
        "SELECT 1 FROM sqlite_sequence WHERE typeof(name) <> 'text' OR typeof(seq) <> 'integer'"
        " OR seq NOT BETWEEN 0 AND {numbers} OR name = 'exchange' AND seq > {exchanges}"
    ),
    # A thousand years on the room's clock, and from year 1 to 9999 on the wall.
    (
        "SELECT 1 FROM clock WHERE passed NOT BETWEEN 0 AND 4e10 OR kernel NOT BETWEEN 0 AND 4e10"
        " OR wall NOT BETWEEN -7e10 AND 3e11"
    ),
    (
        "SELECT 1 FROM limits WHERE history_max_age < 0 OR history_max_bytes < 0 OR backlog_max_bytes < 0"
        " OR backlog_max_messages < 0"
    ),
)


class Watchdog:
    """Looks at SQLite while it works: lets signals in, and ends what takes too long."""

    def __init__(self) -> None:
        self._until = 0.0
        self.raised: BaseException | None = None

    def watch(self, db: sqlite3.Connection) -> None:
        """Look at this connection's work from now on."""
        looks = self._look()
        next(looks)
        db.set_progress_handler(looks.__next__, _STEPS)

    def begin(self) -> None:
        """New work begins. Raises what a signal's handler has raised since."""
        self.reraise()
        self._until = 0.0

    def _look(self) -> Iterator[int]:
        """Whether SQLite has to stop, each time that it is asked."""
        stop = 0
        while True:
            # Python calls a signal's handler at the beginning of a function, before any `try` in it, and where a generator
            # goes on. What it raises is caught here, since SQLite would drop it.
            try:
                yield stop
                now = time.monotonic()
                self._until = self._until or now + WORK_SECONDS
                stop = int(now > self._until)
            except GeneratorExit:
                return
            except BaseException as exc:  # noqa: BLE001 - raised again when SQLite has returned
                self.raised = exc
                stop = 1

    def reraise(self) -> None:
        """Raise what a signal's handler raised meanwhile."""
        raised, self.raised = self.raised, None
        if raised is not None:
            raise raised


def connect(
    path: str, mode: str, max_message_bytes: int, wait: float = 0
) -> tuple[sqlite3.Connection, Watchdog]:
    """Connect to a file, with bounds on what its content can make SQLite do. Reads nothing yet.

    Arguments:
        path: the file.
        mode: part of SQLite's URI, such as ``mode=rw``.
        max_message_bytes: the largest body.
        wait: seconds that SQLite waits for locks. Default 0: its steps of up to 100 ms starve whichever process is
            unlucky, so retrying is done in :meth:`.database.Database.attempt`.
    """
    try:
        db = sqlite3.connect(
            f"file:{quote(path)}?{mode}",
            uri=True,
            timeout=wait,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.Error as exc:
        raise errors.translate(exc, path) from exc
    watchdog = Watchdog()
    watchdog.watch(db)
    for limit, value in _LIMITS.items():
        db.setlimit(limit, value)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(max_message_bytes + _ROW_BYTES, _SQLITE_BYTES))
    if hasattr(db, "setconfig"):  # Python 3.12
        for name, switch in _SWITCHES.items():
            db.setconfig(getattr(sqlite3, name), switch)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    return db, watchdog


def check_content(path: str, options: Options, statement_lock: threading.RLock) -> None:
    """Look into the file before using anything in it; changes and creates nothing. Raises NotAllowed: it is not a room."""
    read_checked(path, options, statement_lock, lambda _: None)


def read_checked(
    path: str, options: Options, statement_lock: threading.RLock, work: Callable[[sqlite3.Connection], T]
) -> T | None:
    """Read something from the file, if it is a room's and not empty; changes and creates nothing.

    Arguments:
        path: the file.
        options: how long to wait for locks, and the largest body.
        statement_lock: held meanwhile.
        work: called with an SQLite connection that can only read.

    Returns:
        What ``work`` returns; ``None`` for an empty file.

    Raises:
        amqp.exceptions.NotAllowed: it is not a room.
    """
    deadline = time.monotonic() + options.busy_timeout
    while True:
        # Without a log nobody is writing to the file, and it can be read without creating one.
        mode = "mode=ro" if files.has_log(path) else "mode=ro&immutable=1"
        with statement_lock:
            db, watchdog = connect(path, mode, options.max_message_bytes)
            try:
                with closing(db):
                    return work(db) if _check(db, path) else None
            except sqlite3.Error as exc:
                watchdog.reraise()
                if not errors.is_busy(exc) or time.monotonic() >= deadline:
                    raise files.refusal(path) or schema.not_a_room(path, str(exc)) from exc
        time.sleep(LOG_PAUSE)


@lru_cache
def _made_by_kchat() -> tuple[frozenset[tuple[Any, ...]], tuple[tuple[str, str], ...]]:
    """The schema of a room as SQLite has it; and for each small table, what finds a value that kchat does not write."""
    with closing(sqlite3.connect(":memory:")) as db:
        schema.create(db)
        strange = [
            (table, " OR ".join(_is_wrong(*row[1:4]) for row in db.execute(f"PRAGMA table_info({table})")))
            for table in _SMALL
        ]
        return frozenset(_objects(db)), tuple(strange)


def _is_wrong(column: str, kind: str, required: int) -> str:
    """The condition for a value that is of another kind, or far too long."""
    kinds = f"'{kind.lower()}'" if required else f"'{kind.lower()}', 'null'"
    wrong = f"typeof({column}) NOT IN ({kinds})"
    return f"{wrong} OR length({column}) > {_SQL_BYTES}" if kind == "TEXT" else wrong


def _objects(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute(
        "SELECT type, name, tbl_name, substr(sql, 1, ?) FROM sqlite_master LIMIT ?", (_SQL_BYTES, _OBJECTS)
    ).fetchall()


def _check(db: sqlite3.Connection, path: str) -> bool:
    """Raise NotAllowed unless it is empty, or has the tables of a room, and right values in the small ones.

    Returns whether it is not empty.
    """
    empty, objects = schema.is_empty(db, path), _objects(db)
    expected, strange_values = (frozenset(), ()) if empty else _made_by_kchat()
    if len(objects) != len(expected) or frozenset(objects) != expected:
        strange = sorted({f"{each[0]} {each[1]!r:.80}" for each in {*objects} ^ expected})[:1]
        raise schema.not_a_room(path, f"its tables are not those that kchat makes: {', '.join(strange)}")
    if empty:
        return False
    (encoding,) = db.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        raise schema.not_a_room(path, f"its texts are {encoding}")
    for table, wrong in strange_values:
        if db.execute(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():
            raise schema.not_a_room(path, f"there is a value of the wrong kind in its table {table!r}")
    bounds = {"numbers": _NUMBERS, "exchanges": _EXCHANGES, "floor": schema.NO_HISTORY}
    for statement in _STRANGE:
        if db.execute(f"{statement.format(**bounds)} LIMIT 1").fetchone():
            raise schema.not_a_room(
                path, f"there is a number out of bounds in its table {statement.split()[3]!r}"
            )
    for table in ("topology", "clock", "limits"):
        if db.execute(f"SELECT count(*) FROM {table}").fetchone() != (1,):
            raise schema.not_a_room(path, f"its table {table!r} has not one row")
    return True
