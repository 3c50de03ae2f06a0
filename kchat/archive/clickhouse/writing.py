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
from struct import unpack
from typing import TYPE_CHECKING, Any

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

_NAMES = (*COLUMNS, "hash")
_ROOM, _KEY, _AT = map(_NAMES.index, ("room", "key", "at"))

_DEFAULTS = {
    "account": None,
    "verified": False,
    "digest": None,
    "position": None,
    "extra": None,
    "client": "kchat",  # the first of the Enum8
    "mentions": (),
}
"""What the table has in a column that an insert does not name; of columns that often have nothing else."""


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
            records: in any order. Of two of one room and key, the first counts.
            again: whether some may be there.
        """
        if not records:
            return 0
        columns: list[Sequence[Any]] = list(zip(*records, strict=True))
        rooms, keys = columns[_ROOM], columns[_KEY]
        hashes = numbers(rooms, keys)
        columns.append(hashes)
        there: list[tuple[str, str]] = []
        if again or self._in_doubt:
            wait_for_inserts(self._connection)
            if self._in_doubt:
                mend(self._connection)
            self._in_doubt = False
            there = self._there(set(rooms), hashes)
        if there or len(set(hashes)) < len(hashes):
            pairs = zip(rooms, keys, range(len(keys)), strict=True)
            new = {(room, key): place for room, key, place in reversed(list(pairs))}
            for pair in there:
                new.pop(pair, None)
            if not new:
                return 0
            places = sorted(new.values())
            columns = [tuple(column[place] for place in places) for column in columns]
        self._insert(dict(zip(_NAMES, columns, strict=True)))
        self._doubles.look(columns[_ROOM], columns[_AT])
        return len(columns[_KEY])

    def rest(self) -> None:
        """Do what was put off while there was much to write."""
        self._doubles.rest()

    def _insert(self, columns: dict[str, Sequence[object]]) -> None:
        # A column that has nothing but what the table puts into it by itself costs as much as any other, if it is sent.
        for name, value in _DEFAULTS.items():
            if columns[name].count(value) == len(columns[name]):
                del columns[name]
        self._in_doubt = True
        try:
            self._connection.insert(MESSAGES, columns, self._insert_settings)
        except UnicodeEncodeError:
            encodable = {name: list(map(_encodable, column)) for name, column in columns.items()}
            self._connection.insert(MESSAGES, encodable, self._insert_settings)
        self._in_doubt = False

    def close(self) -> None:
        """What others have written at the same moment is there once at the end."""
        self._doubles.close()

    def _there(self, rooms: set[str], hashes: Sequence[int]) -> list[tuple[str, str]]:
        # PREWHERE: else the server reads every name of a room before it looks at a number.
        sql = f"SELECT room, key FROM {MESSAGES} PREWHERE hash IN wanted WHERE room IN {literals(rooms)}"
        found = self._connection.rows(sql, wanted=hashes)
        return [(text(room), text(key)) for room, key in found]


def numbers(rooms: Sequence[str], keys: Sequence[str]) -> Sequence[int]:
    """What messages are looked for by: 64 bits of each one's room and key (BLAKE2b of 8 bytes, RFC 7693)."""
    begun = {
        room: blake2b(f"{room}\0".encode("utf-8", "surrogatepass"), digest_size=8) for room in set(rooms)
    }
    digests = []
    for room, key in zip(rooms, keys, strict=True):
        whole = begun[room].copy()  # cheaper than a new one
        whole.update(key.encode("utf-8", "surrogatepass"))
        digests.append(whole.digest())
    return unpack(f">{len(digests)}Q", b"".join(digests))


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
