"""The tables of an archive in ClickHouse, and reading and making its mark: :class:`Mark`.

``kchat_messages`` is the archive. ``kchat_quarters`` is its rollup, and nothing is in it that is not in the messages: the
server fills it by a materialised view with each block of messages, and :mod:`kchat.archive.clickhouse.rollup` makes it anew
where a kill came between the two.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

from kchat.archive.clickhouse.explain import TableMissing
from kchat.archive.span import DAY, QUARTER
from kchat.errors import ArchiveError, SettingsError

if TYPE_CHECKING:
    from kchat.archive.clickhouse.connection import Connection

VERSION = 1
"""Of these tables."""

MESSAGES = "kchat_messages"
QUARTERS = "kchat_quarters"
MARK = "kchat_meta"

COLUMNS = (
    *(
        "room",
        "key",
        "at",
        "username",
        "account",
        "verified",
        "text",
        "length",
        "digest",
        "id",
        "sent_at",
        "received_at",
    ),
    *("position", "extra", "client", "mentions"),
)
"""Of the messages, in the order of :class:`kchat.archive.record.Record`; ``hash`` comes behind them."""

MONTH = f"toYYYYMM(toDate(intDiv(at, {DAY})))"
"""The partition of a message."""

MONTH_OF_QUARTER = f"toYYYYMM(toDate(intDiv(quarter, {DAY // QUARTER})))"
"""The partition of a row of the rollup."""

MINUTES = tuple(f"m{minute}" for minute in range(15))
"""The columns of the rollup that have the number of messages in each minute of the quarter."""

SUMS = ("messages", "verified_messages", "characters", "other_messages", "times", *MINUTES)
KEY = ("room", "quarter", "nameless", "name", "mentioned")

# A message makes one row where `mentioned` is empty, and one for each name that it mentions.
ROLLUP = f"""
WITH if(mentioned = '', intDiv(at, 60000) % 15, 15) AS minute
SELECT
    room,
    toUInt32(intDiv(at, {QUARTER})) AS quarter,
    isNull(username) AS nameless,
    ifNull(username, '') AS name,
    mentioned,
    countIf(mentioned = '') AS messages,
    sumIf(verified, mentioned = '') AS verified_messages,
    sumIf(length, mentioned = '') AS characters,
    countIf(mentioned = '' AND client = 'others') AS other_messages,
    countIf(mentioned != '') AS times,
    {", ".join(f"toUInt32(countIf(minute = {n})) AS m{n}" for n in range(15))}
FROM {MESSAGES} ARRAY JOIN arrayPushFront(mentions, '') AS mentioned
{{where}}
GROUP BY room, quarter, nameless, name, mentioned
"""
"""The rollup's rows, of the messages of a condition."""

_TABLES = (
    f"""
CREATE TABLE IF NOT EXISTS {MESSAGES} (
    room String,
    key String,
    at Int64,
    username Nullable(String),
    account Nullable(String),
    verified UInt8,
    text Nullable(String),
    length UInt32,
    digest Nullable(String),
    id Nullable(String),
    sent_at Nullable(Int64),
    received_at Int64,
    position Nullable(String),
    extra Nullable(String),
    client Enum8('kchat' = 0, 'others' = 1),
    mentions Array(String),
    hash UInt64
) ENGINE = ReplacingMergeTree() PARTITION BY {MONTH} ORDER BY (room, at, key)
""",
    f"""
CREATE TABLE IF NOT EXISTS {QUARTERS} (
    room String,
    quarter UInt32,
    nameless UInt8,
    name String,
    mentioned String,
    messages UInt64,
    verified_messages UInt64,
    characters UInt64,
    other_messages UInt64,
    times UInt64,
    {", ".join(f"{minute} UInt32" for minute in MINUTES)}
) ENGINE = SummingMergeTree() PARTITION BY {MONTH_OF_QUARTER} ORDER BY ({", ".join(KEY)})
""",
    f"""
CREATE VIEW IF NOT EXISTS user_messages AS
SELECT
    ifNull(username, '') AS username,
    ifNull(text, '') AS message,
    toDateTime(intDiv(received_at, 1000)) AS received_at
FROM {MESSAGES}
""",
)

_FILLING = (
    f"CREATE MATERIALIZED VIEW IF NOT EXISTS kchat_fill_quarters TO {QUARTERS} AS {ROLLUP.format(where='')}"
)


class Mark(NamedTuple):
    """What an archive says of itself.

    Attributes:
        version: of its tables.
        secret: the key of its digests where it keeps no texts.
    """

    version: int
    secret: bytes | None


def read_mark(connection: Connection) -> Mark | None:
    """The mark of the archive in this database; None where there is none.

    Raises:
        kchat.errors.ArchiveError: a newer kchat has made it.
    """
    try:
        ((version, secret),) = connection.rows(f"SELECT version, secret FROM {MARK}")
    except TableMissing:
        return None
    if version != VERSION:
        raise ArchiveError(
            f"the archive at {connection.where} is of version {version}; this kchat knows {VERSION}",
            hint="use the kchat that made it, or a newer one",
        )
    return Mark(version, bytes.fromhex(secret) if secret else None)


def make(connection: Connection, *, texts: bool) -> Mark:
    """Make an archive's tables, or what is missing of them.

    The mark is a view of constants and no table: of two archivers that make it at the same time, one makes it whole.

    Arguments:
        connection: to the database.
        texts: whether a new archive keeps texts.
    """
    found = read_mark(connection)
    if found is None:
        secret = "" if texts else secrets.token_hex(32)
        connection.rows(
            f"CREATE VIEW IF NOT EXISTS {MARK} AS SELECT {VERSION} AS version, '{secret}' AS secret"
        )
        found = read_mark(connection)
        assert found is not None
    for statement in _TABLES:
        connection.rows(statement)
    if not is_distributed(connection):  # the tables behind it have the view
        connection.rows(_FILLING)
    return found


def is_distributed(connection: Connection) -> bool:
    """Whether the messages lie on several servers, and the table here leads to theirs."""
    found = connection.rows(
        f"SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = '{MESSAGES}'"
    )
    return bool(found) and found[0][0] == "Distributed"


def check_texts(mark: Mark, where: str, *, texts: bool | None) -> None:
    """See that an archive does with texts what is asked for.

    Raises:
        kchat.errors.SettingsError: it does not.
    """
    if texts is None or texts == (mark.secret is None):
        return
    does = "keeps no texts" if mark.secret is not None else "keeps texts"
    raise SettingsError(f"the archive at {where} {does}", hint="make another one, in another database")
