"""Writing messages into ClickHouse, each once: :class:`Writer`.

Nothing in ClickHouse is unique. So what may be there already is looked for before it is inserted, by a number made of room
and key: 8 bytes of each message, and not its key of some 40. Before the look, it waits for inserts that a killed one left
behind in the server. An insert whose end is not known makes the next one look, whatever its caller knows. What another
archiver inserts between the look and the insert is found afterwards (:mod:`kchat.archive.clickhouse.doubles`).

ClickHouse's own ``insert_deduplicate`` knows the last blocks inserted, by their content. After a kill, messages come again
in other blocks; old versions have it for replicated tables alone; and what was deleted and comes again would be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from kchat.archive.clickhouse.connection import Connection, literals
from kchat.archive.clickhouse.doubles import Doubles
from kchat.archive.clickhouse.rollup import mend, wait_for_inserts
from kchat.archive.clickhouse.schema import COLUMNS, MESSAGES

if TYPE_CHECKING:
    from kchat.archive.record import Record

_INSERT = {
    "async_insert": 0,  # or it would return before the messages are there
    "max_partitions_per_insert_block": 0,  # old messages that are imported may be of many months
    "insert_deduplicate": 0,
    "insert_distributed_sync": 1,
    "distributed_foreground_insert": 1,  # its name in newer versions
    "max_block_size": 1 << 20,  # the view's rows as one block, so that all or none are there
}


class Writer:
    """Writes to an archive that is there.

    Arguments:
        connection: to its database.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._insert_settings = connection.known(_INSERT)
        self._in_doubt = False
        mend(connection)
        self._doubles = Doubles(connection)

    def write(self, records: Sequence[Record], *, again: bool) -> int:
        """Insert those that are not there yet; returns how many.

        Arguments:
            records: in any order.
            again: whether some may be there.
        """
        new = {(record.room, record.key): record for record in reversed(records)}
        numbers = {key: number(*key) for key in new}
        if again or self._in_doubt:
            wait_for_inserts(self._connection)
            if self._in_doubt:
                mend(self._connection)
            self._in_doubt = False
            for kept in self._there(numbers):
                new.pop(kept, None)
        if not new:
            return 0
        rows: list[tuple[object, ...]] = [(*record, numbers[key]) for key, record in new.items()]
        self._in_doubt = True
        try:
            self._connection.insert(MESSAGES, (*COLUMNS, "hash"), rows, self._insert_settings)
        except UnicodeEncodeError:
            rows = [tuple(map(_encodable, row)) for row in rows]
            self._connection.insert(MESSAGES, (*COLUMNS, "hash"), rows, self._insert_settings)
        self._in_doubt = False
        self._doubles.look(list(new.values()))
        return len(new)

    def close(self) -> None:
        """What others have written at the same moment is there once at the end."""
        self._doubles.close()

    def _there(self, wanted: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
        if not wanted:
            return []
        rooms = literals({room for room, _ in wanted})
        sql = f"SELECT room, key FROM {MESSAGES} WHERE room IN {rooms} AND hash IN wanted"
        found = self._connection.rows(sql, wanted=list(wanted.values()))
        return [(text(room), text(key)) for room, key in found]


def number(room: str, key: str) -> int:
    """What a message is looked for by: 64 bits of room and key."""
    whole = f"{room}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(whole, digest_size=8).digest(), "big")


def text(value: str | bytes) -> str:
    """A string of the database's, which the driver gives as bytes where it has a lone surrogate."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def _encodable(value: object) -> object:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")
    if isinstance(value, tuple):
        return tuple(map(_encodable, value))
    return value
