"""Messages themselves, and answers to questions of one's own, from ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from kchat.archive.clickhouse.connection import Connection, Row, literal
from kchat.archive.clickhouse.schema import COLUMNS, MESSAGES
from kchat.archive.clickhouse.source import from_messages, parts
from kchat.archive.clickhouse.writing import text
from kchat.archive.record import Record
from kchat.archive.span import HOUR, Span
from kchat.archive.store import Answer

_AT_ONCE = 20_000
"""Messages that the server puts in order at a time, unless one hour has more."""

_BLOCK = {"max_block_size": 1000}  # rows that are in memory at a time; a text may have a megabyte


def rooms(connection: Connection) -> dict[str, int]:
    """The rooms with the number of their messages, by name."""
    return dict(
        sorted(
            (text(room), many)
            for room, many in connection.rows(f"SELECT room, count() FROM {MESSAGES} GROUP BY room")
        )
    )


def records(connection: Connection, span: Span) -> Iterator[Record]:
    """The messages of a span, by room, each room's in order."""
    for room in rooms(connection):
        if span.rooms and room not in span.rooms:
            continue
        for part in parts(connection, span._replace(rooms=(room,)), HOUR, _AT_ONCE):
            sql = f"SELECT {', '.join(COLUMNS)} {from_messages(part)} ORDER BY at, key"
            with closing(connection.stream(sql, _BLOCK)) as stream:
                yield from map(_record, stream)


def texts(connection: Connection, span: Span) -> Iterator[str]:
    """The texts of a span, in any order."""
    sql = f"SELECT text {from_messages(span)} AND isNotNull(text)"
    with closing(connection.stream(sql, _BLOCK)) as stream:
        for (each,) in stream:
            yield text(each)


_PLACE = 36
"""Where the place begins in the key of a message without an id. If it was imported, the fifth character is a ``-``."""


def without_id(connection: Connection, room: str, most: int) -> list[str]:
    """The keys of the last messages that archivers have written of a room without id and position, by their places."""
    sql = f"""
        SELECT key FROM {MESSAGES} WHERE room = {literal(room)} AND key LIKE 'b:%'
        AND substring(key, {_PLACE + 4}, 1) != '-' ORDER BY substring(key, {_PLACE}) DESC LIMIT {most}
    """
    return [text(key) for (key,) in connection.rows(sql)][::-1]


def query(connection: Connection, sql: str, most_rows: int, seconds: float) -> Answer:
    """The answer to a question of one's own, which cannot change anything."""
    settings = {
        "max_execution_time": max(1, round(seconds)),
        "timeout_overflow_mode": "throw",
        "max_result_rows": most_rows + 1,
        "result_overflow_mode": "break",
        "max_block_size": 1000,
        "readonly": 1,  # the last one: nothing can be set behind it
    }
    with closing(connection.stream(sql, settings)) as stream:
        rows = [tuple(map(_plain, row)) for row in islice(stream, most_rows + 1)]
        return Answer(stream.columns, rows[:most_rows], len(rows) > most_rows)


def _record(row: Row) -> Record:
    values: dict[str, Any] = dict(zip(COLUMNS, map(_text, row), strict=True))
    values["verified"] = bool(values["verified"])
    values["mentions"] = tuple(map(text, values["mentions"]))
    return Record(**values)


def _text(value: Any) -> Any:
    return text(value) if isinstance(value, bytes) else value


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (int, float, str, bytes, bool)) else str(value)
