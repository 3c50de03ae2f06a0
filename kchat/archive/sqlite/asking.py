"""Questions of one's own to an archive's file: :func:`ask`, which changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from time import monotonic

from kchat.archive.store import Answer
from kchat.errors import ArchiveError

_LARGEST = 32 << 20
"""Bytes of one value that a statement may make; messages have up to 20 MiB."""

_MOST_BYTES = 64 << 20
"""Bytes of texts and blobs in an answer."""

_STEPS = 10_000
"""Of SQLite's machine between two looks at the clock; less than a millisecond."""

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def ask(db: sqlite3.Connection, sql: str, *, most_rows: int, seconds: float) -> Answer:
    """Run one statement that reads, and close the connection.

    Arguments:
        db: a connection that was opened to be read, for this question alone.
        sql: the statement.
        most_rows: to get.
        seconds: it may take.

    Raises:
        kchat.errors.ArchiveError: it is not one statement, does not only read, takes longer, or SQLite has an objection.
        KeyboardInterrupt: a signal's handler raised while it was running.
    """
    deadline = monotonic() + seconds
    with closing(db):
        db.text_factory = lambda text: text.decode("utf-8", "replace")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA query_only = ON")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
        db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        db.set_authorizer(_authorize)
        db.set_progress_handler(lambda: monotonic() > deadline, _STEPS)
        try:
            cursor = db.execute(sql)
            if cursor.description is None:
                raise ArchiveError("the query is empty", hint="begin it with SELECT")
            columns = tuple(column[0] for column in cursor.description)
            rows: list[tuple[object, ...]] = []
            size = 0
            for row in cursor:
                if len(rows) == most_rows:
                    return Answer(columns, rows, more=True)
                size += sum(len(value) for value in row if isinstance(value, (str, bytes)))
                if size > _MOST_BYTES:
                    raise ArchiveError(
                        f"the query's answer is larger than {_MOST_BYTES >> 20} MiB",
                        hint="ask for less with LIMIT",
                    )
                rows.append(row)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if _is_interrupt(error) and monotonic() <= deadline:
                # By Ctrl+C in the progress handler: SQLite takes what is raised there for the wish to end, and drops it.
                raise KeyboardInterrupt from None
            raise _objection(error, seconds) from error
        return Answer(columns, rows, more=False)


def _authorize(action: int, _: str | None, second: str | None, *__: str | None) -> int:
    if action not in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and second == "load_extension"):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_interrupt(error: Exception) -> bool:
    return _code(error) == sqlite3.SQLITE_INTERRUPT


def _objection(error: Exception, seconds: float) -> ArchiveError:
    if _is_interrupt(error):
        return ArchiveError(
            f"the query takes longer than {seconds:g} s", hint="ask for less, such as one room or day"
        )
    if _code(error) in (sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY):
        return ArchiveError(f"the query may only read: {error}", hint="begin it with SELECT")
    return ArchiveError(
        f"the query: {error}",
        hint="ask messages, user_messages, hours, user_hours, user_days or mention_hours",
    )
