"""Whether the rollup has all that the messages have, by months, and making it anew: :func:`mend`.

A block of messages and its rows in the rollup are not written at once: a server that is killed between the two has the
messages alone. So those who ask compare the number of messages of each month, and take the messages themselves where it
differs; and those who write make such a month anew.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import date

from kchat.archive.clickhouse.connection import Connection, literals
from kchat.archive.clickhouse.schema import (
    KEY,
    MESSAGES,
    MONTH,
    MONTH_OF_QUARTER,
    QUARTERS,
    ROLLUP,
    SUMS,
    is_distributed,
)
from kchat.archive.span import DAY
from kchat.errors import ArchiveUnavailable

_LOOKS = 3
_TRIES = 3
_PAUSE = 0.01
_MOST_SECONDS = 60.0

_EPOCH = date(1970, 1, 1).toordinal()


def doubtful(connection: Connection) -> set[int]:
    """The months, as 202611, whose rollup has more or fewer messages than there are."""
    messages = f"SELECT {MONTH} AS month, count() FROM {MESSAGES} GROUP BY month"
    rolled = f"SELECT {MONTH_OF_QUARTER} AS month, sum(messages) FROM {QUARTERS} GROUP BY month"
    return _differ(connection, messages, rolled)


def mend(connection: Connection) -> set[int]:
    """Make the rollup of those months anew that differ from the messages, here looked at closely; returns them.

    What another archiver inserts just then would be counted twice, which the next look finds. Where the messages lie on
    several servers, nothing is done: each server's own archive has its rollup.
    """
    if is_distributed(connection):
        return set()
    mended: set[int] = set()
    for _ in range(_TRIES):
        months = _broken(connection)
        if not months:
            break
        for month in sorted(months):
            connection.rows(f"ALTER TABLE {QUARTERS} DROP PARTITION {month}")
            fill(connection, f"WHERE {MONTH} = {month}")
        mended |= months
    return mended


def _broken(connection: Connection) -> set[int]:
    """The months that differ and go on to: others' inserts may be between the two tables at one look."""
    messages = f"""
        SELECT {MONTH} AS month, count(), sum(length), sum(verified), sum(length(mentions)) FROM {MESSAGES} GROUP BY month
    """
    rolled = f"""
        SELECT {MONTH_OF_QUARTER} AS month, sum(messages), sum(characters), sum(verified_messages), sum(times)
        FROM {QUARTERS} GROUP BY month
    """
    months = _differ(connection, messages, rolled)
    for _ in range(_LOOKS - 1):
        if not months:
            break
        wait_for_inserts(connection)
        months &= _differ(connection, messages, rolled)
    return months


def wait_for_inserts(connection: Connection) -> None:
    """Return when the inserts of others that run now have ended: what they insert can be seen then.

    An archiver that was killed has a block in the server that it has sent and that is not there yet. The server knows of an
    insert before it takes a block of it.

    Raises:
        kchat.errors.ArchiveUnavailable: that takes longer than a minute.
    """
    running = f"SELECT query_id FROM system.processes WHERE query LIKE 'INSERT INTO %{MESSAGES}%'"
    waited_for = {query_id for (query_id,) in connection.rows(running)}
    until = time.monotonic() + _MOST_SECONDS
    while waited_for:
        if time.monotonic() > until:
            raise ArchiveUnavailable(f"ClickHouse at {connection.where} has not ended an insert in a minute")
        time.sleep(_PAUSE)
        waited_for &= {query_id for (query_id,) in connection.rows(running)}


def fill(connection: Connection, where: str) -> None:
    """Write the rollup of the messages of a condition."""
    into = ", ".join((*KEY, *SUMS))
    connection.rows(f"INSERT INTO {QUARTERS} ({into}) {ROLLUP.format(where=where)}")


def bounds(month: int) -> tuple[int, int]:
    """The first millisecond since 1970 of a month, as 202611, and the first of the next one."""
    year, number = divmod(month, 100)
    first = date(year, number, 1)
    end = date(year + number // 12, number % 12 + 1, 1)
    return (first.toordinal() - _EPOCH) * DAY, (end.toordinal() - _EPOCH) * DAY


def _differ(connection: Connection, messages: str, rolled: str) -> set[int]:
    # The rollup first: what is written meanwhile makes a month doubtful, and none whole that is not.
    of_rollup, of_messages = (
        {row[0]: tuple(row[1:]) for row in connection.rows(sql)} for sql in (rolled, messages)
    )
    return {month for month in of_rollup | of_messages if of_rollup.get(month) != of_messages.get(month)}


def rooms_are(rooms: Collection[str]) -> str:
    """A condition on the room, to go on with; empty for all."""
    return f" AND room IN {literals(rooms)}" if rooms else ""
