"""Records as Apache Arrow has them, for Parquet files and for programs: https://arrow.apache.org/docs/python/.

The columns are a :class:`~kchat.archive.record.Record`'s attributes in their order: times are timestamps in milliseconds, in
UTC, ``mentions`` a list of strings, ``extra`` JSON as a string.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import accumulate, chain
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


def batches(records: Iterable[Record], rows: int = ROWS, large: int = LARGE) -> Iterator[Any]:
    """The records as ``pyarrow.RecordBatch``, a part of them at a time. Raises as :func:`pyarrow`, and as the records.

    Arguments:
        records: such as a store's.
        rows: maximum number of them in a batch. Default: 10,000.
        large: characters of texts after which a batch ends. Default: 16 Mi.
    """
    pa, columns = pyarrow(), schema()
    for part in parts(records, rows, large):
        arrays = [
            _array(pa, field.type, values)
            for field, values in zip(columns, zip(*part, strict=True), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=columns)


# ``pyarrow.array`` imports pandas where that is installed, which takes 60 MB. So the arrays are made of the buffers that
# https://arrow.apache.org/docs/format/Columnar.html describes.


def _array(pa: Any, kind: Any, values: Sequence[Any]) -> Any:
    """Values as an array of one of the types of :func:`schema`."""
    if kind == pa.string():
        return _strings(pa, values)
    if kind == pa.bool_():
        return pa.Array.from_buffers(kind, len(values), [None, _bits(pa, values)])
    if kind == pa.list_(pa.string()):
        within = _strings(pa, list(chain.from_iterable(values)))
        return pa.Array.from_buffers(kind, len(values), [None, _offsets(pa, values)], children=[within])
    numbers = array("q", [0 if value is None else value for value in values])
    return pa.Array.from_buffers(kind, len(values), [_present(pa, values), pa.py_buffer(numbers)])


def _strings(pa: Any, values: Sequence[str | None]) -> Any:
    encoded = [b"" if value is None else value.encode() for value in values]
    buffers = [_present(pa, values), _offsets(pa, encoded), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def _offsets(pa: Any, values: Sequence[Sized]) -> Any:
    """Where each value begins among all of them, and where the last one ends, in 32 bits."""
    return pa.py_buffer(array("i", accumulate(map(len, values), initial=0)))


def _present(pa: Any, values: Sequence[Any]) -> Any:
    """Bits that say which values are there; None if all are."""
    return _bits(pa, [value is not None for value in values]) if None in values else None


def _bits(pa: Any, values: Sequence[Any]) -> Any:
    """One bit for each value, the first of them the lowest of the first byte."""
    digits = "".join("1" if value else "0" for value in reversed(values))
    return pa.py_buffer(int(digits or "0", 2).to_bytes((len(values) + 7) // 8, "little"))


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
