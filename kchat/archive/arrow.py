"""Records as Apache Arrow has them, for Parquet files and for programs: https://arrow.apache.org/docs/python/.

The columns are a :class:`~kchat.archive.record.Record`'s attributes in their order: times are timestamps in milliseconds, in
UTC, ``mentions`` a list of strings, ``extra`` JSON as a string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kchat.errors import MissingExtra

if TYPE_CHECKING:
    from kchat.archive.record import Record

ROWS = 10_000
"""Maximum number of messages of a batch."""

LARGE = 16 << 20
"""Characters of texts of a batch after which it ends, however few its messages."""

TIMES = frozenset(("at", "sent_at", "received_at"))


def pyarrow() -> Any:
    """The module.

    Raises:
        kchat.errors.MissingExtra: it is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtra(
            "Parquet and Arrow need a library that is not installed",
            hint='install it with: pip install "kombu-chat[archive]"',
        ) from error
    return pa


def require_pandas() -> None:
    """Make sure that pandas is installed. Raises MissingExtra where it is not."""
    try:
        import pandas as pd  # noqa: F401 - Arrow imports it
    except ImportError as error:
        raise MissingExtra(
            "a pandas DataFrame needs pandas, which is not installed",
            hint="install it with: pip install pandas",
        ) from error


def schema() -> Any:
    """The columns' names and types, a ``pyarrow.Schema``. Raises as :func:`pyarrow`."""
    pa = pyarrow()
    time, text = pa.timestamp("ms", tz="UTC"), pa.string()
    return pa.schema(
        [
            pa.field("room", text, nullable=False),
            pa.field("key", text, nullable=False),
            pa.field("at", time, nullable=False),
            pa.field("username", text),
            pa.field("account", text),
            pa.field("verified", pa.bool_(), nullable=False),
            pa.field("text", text),
            pa.field("length", pa.int64(), nullable=False),
            pa.field("digest", text),
            pa.field("id", text),
            pa.field("sent_at", time),
            pa.field("received_at", time, nullable=False),
            pa.field("position", text),
            pa.field("extra", text),
            pa.field("client", text, nullable=False),
            pa.field("mentions", pa.list_(text), nullable=False),
        ]
    )


def batches(records: Iterable[Record]) -> Iterator[Any]:
    """The records as ``pyarrow.RecordBatch``, a part of them at a time. Raises as :func:`pyarrow`, and as the records."""
    pa, columns = pyarrow(), schema()
    for part in parts(records, ROWS, LARGE):
        arrays = [
            pa.array(values, type=field.type)
            for field, values in zip(columns, zip(*part, strict=True), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=columns)


def parts(records: Iterable[Record], rows: int, large: int) -> Iterator[list[Record]]:
    """Some of the records at a time: this number, or fewer where their texts have so many characters together."""
    held: list[Record] = []
    size = 0
    for record in records:
        held.append(record)
        size += record.length
        if len(held) >= rows or size >= large:
            yield held
            held, size = [], 0
    if held:
        yield held
