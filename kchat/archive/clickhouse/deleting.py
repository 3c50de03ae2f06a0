"""Deleting messages from ClickHouse, and from its rollup: :func:`forget` and :func:`prune`.

Messages go by mutations, which the server does in the background, part after part; both functions return when it has done
them. The messages go before their rows in the rollup: where a kill comes between, their months differ, and are made anew as
:mod:`kchat.archive.clickhouse.rollup` says.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from kchat.archive.clickhouse.connection import Connection, literal
from kchat.archive.clickhouse.rollup import bounds, fill, rooms_are
from kchat.archive.clickhouse.schema import MESSAGES, MONTH, QUARTERS, is_distributed
from kchat.archive.record import folded
from kchat.archive.span import QUARTER
from kchat.errors import ArchiveError, ArchiveUnavailable

_PAUSE = 0.05
_MOST_SECONDS = 3600.0


def forget(connection: Connection, username: str, rooms: Collection[str]) -> int:
    """Delete the messages of somebody, and who mentioned them: see :class:`kchat.archive.store.Store`."""
    _here(connection)
    of_rooms, name, mentioned = rooms_are(rooms), literal(username), literal(folded(username))
    # A mutation of 18.16 deletes where the condition is NULL, too.
    theirs = f"ifNull(username = {name}, 0){of_rooms}"
    many = _count(connection, theirs)
    if many:
        change(connection, MESSAGES, f"DELETE WHERE {theirs}")
    mention = f"has(mentions, {mentioned}){of_rooms}"
    if _count(connection, mention):
        # Or it would be there again in a rollup that is made anew.
        kept = f"arrayFilter(each -> each != {mentioned}, mentions)"
        change(connection, MESSAGES, f"UPDATE mentions = {kept} WHERE {mention}")
    change(
        connection,
        QUARTERS,
        f"DELETE WHERE ((nameless = 0 AND name = {name}) OR mentioned = {mentioned}){of_rooms}",
    )
    return many


def prune(connection: Connection, before: int, rooms: Collection[str]) -> int:
    """Delete messages from before a time: see :class:`kchat.archive.store.Store`."""
    _here(connection)
    of_rooms = rooms_are(rooms)
    old = f"at < {before}{of_rooms}"
    many = _count(connection, old)
    if not many:
        return 0
    if not rooms:
        # Whole months at once, without reading them.
        for (month,) in connection.rows(
            f"SELECT DISTINCT {MONTH} AS month FROM {MESSAGES} WHERE {old} ORDER BY month"
        ):
            if bounds(month)[1] <= before:
                connection.rows(f"ALTER TABLE {MESSAGES} DROP PARTITION {month}")
                connection.rows(f"ALTER TABLE {QUARTERS} DROP PARTITION {month}")
    if _count(connection, old):
        change(connection, MESSAGES, f"DELETE WHERE {old}")
    cut = before // QUARTER
    change(connection, QUARTERS, f"DELETE WHERE quarter < {cut + bool(before % QUARTER)}{of_rooms}")
    if before % QUARTER:
        fill(connection, f"WHERE at >= {cut * QUARTER} AND at < {(cut + 1) * QUARTER}{of_rooms}")
    return many


def _here(connection: Connection) -> None:
    if is_distributed(connection):
        raise ArchiveError(
            f"the archive at {connection.where} lies on several servers, whose messages are deleted on each of them",
            hint="name each server's own database, where its part of the messages is",
        )


def _count(connection: Connection, condition: str) -> int:
    ((many,),) = connection.rows(f"SELECT count() FROM {MESSAGES} WHERE {condition}")
    return int(many)


def change(connection: Connection, table: str, command: str) -> None:
    """Start a mutation and return when it is done.

    Raises:
        kchat.errors.ArchiveUnavailable: it goes on for an hour.
    """
    connection.rows(f"ALTER TABLE {table} {command}")
    undone = f"""
        SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = '{table}' AND NOT is_done
    """
    until = time.monotonic() + _MOST_SECONDS
    while connection.rows(undone)[0][0]:
        if time.monotonic() > until:
            raise ArchiveUnavailable(
                f"ClickHouse at {connection.where} has not done this in an hour: ALTER TABLE {table} {command}",
                hint="system.mutations shows how far it is, and why it fails",
            )
        time.sleep(_PAUSE)
