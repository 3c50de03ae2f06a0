"""Exporting an archive's messages to a file: :func:`export`.

=========  ==============================================================================================================
jsonl      an object a line, in ASCII, with a :class:`~kchat.archive.record.Record`'s attributes as keys: times in RFC 3339,
           ``extra`` as an object, ``mentions`` as an array. :mod:`kchat.archive.importing` makes the same records of it
csv        for spreadsheets: times as ``2026-01-31 12:00:00.000``, in UTC, ``mentions`` with spaces between them. A text at
           whose beginning a spreadsheet would see a formula (``=``, ``+``, ``-``, ``@``, a tab, an end of line) has an
           apostrophe in front of it (https://owasp.org/www-community/attacks/CSV_Injection). A file begins with a byte order
           mark, without which Excel does not read UTF-8; standard output does not
parquet    :mod:`kchat.archive.arrow`
=========  ==============================================================================================================
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from kchat.archive.arrow import LARGE, ROWS, batches, parts, pyarrow, schema
from kchat.archive.record import Record
from kchat.client.compression import packer
from kchat.client.recording import STANDARD
from kchat.errors import SettingsError
from kchat.message import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kchat.client.compression import Packer

FORMATS = ("jsonl", "csv", "parquet")

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - those of full width count, too
_SOUGHT = ["room", "at", "username", "account", "sent_at", "received_at"]
"""Columns by whose least and greatest value a reader leaves out row groups; these stay in memory until the end."""

_SQLITE = b"SQLite format 3\0"  # https://sqlite.org/fileformat.html#magic_header_string
_BOM = b"\xef\xbb\xbf"
_encode = json.JSONEncoder(separators=(",", ":")).encode


class _Writer(Protocol):
    def write(self, records: list[Record]) -> bytes:
        """What stands in the file for these."""


def format_of(path: str) -> str:
    """The format that a file's name says; ``jsonl`` where it says none."""
    name = path.lower().removesuffix(".gz").removesuffix(".zst")
    return next((form for form in FORMATS if name.endswith(f".{form}")), "jsonl")


def export(
    records: Iterable[Record],
    path: str = STANDARD,
    form: str = "jsonl",
    *,
    on_progress: Callable[[int], object] = lambda _count: None,
) -> int:
    """Write records to a file, which is there only when it is whole; one of that name is replaced then.

    Arguments:
        records: such as :meth:`kchat.archive.archive.Archive.records` gives.
        path: the file; ``-``, the default, is standard output. By its end, ``.gz`` or ``.zst``, it is compressed.
        form: one of :data:`FORMATS`. Default: ``jsonl``.
        on_progress: told now and then how many are written.

    Returns:
        How many there were.

    Raises:
        kchat.errors.SettingsError: it cannot be written there, or not in that format.
        kchat.errors.ArchiveError: the archive cannot be read.
        OSError: the disk is full, say.
    """
    if form == "parquet" and (path.endswith((".gz", ".zst"))):
        raise SettingsError(
            "a Parquet file is compressed by itself", hint="leave .gz and .zst out of its name"
        )
    if form == "parquet":
        pyarrow()
    try:
        with _whole_file(path) as stream:
            if form == "parquet":
                return _write_parquet(records, stream, on_progress)
            return _write_text(records, stream, packer(path), form, on_progress, mark=path != STANDARD)
    finally:
        if isinstance(records, Generator):  # else it would read on from an archive that is closed
            records.close()


def _write_text(
    records: Iterable[Record],
    stream: BinaryIO,
    pack: Packer,
    form: str,
    on_progress: Callable[[int], object],
    *,
    mark: bool,
) -> int:
    writer: _Writer = _Csv(mark=mark) if form == "csv" else _Jsonl()
    count = 0
    for part in parts(records, ROWS // 5, LARGE // 10):
        stream.write(pack.pack(writer.write(part)))
        count += len(part)
        on_progress(count)
    if not count:
        stream.write(pack.pack(writer.write([])))
    stream.write(pack.end())
    return count


class _Jsonl:
    def write(self, records: list[Record]) -> bytes:
        return "".join([f"{_encode(as_object(each))}\n" for each in records]).encode("ascii")


def as_object(record: Record) -> dict[str, Any]:
    """A record as JSON has it."""
    stamp = rfc3339.stamp
    value: dict[str, Any] = record._asdict()
    value["at"] = stamp(record.at)
    value["received_at"] = stamp(record.received_at)
    if record.sent_at is not None:
        value["sent_at"] = stamp(record.sent_at)
    if record.extra is not None:
        value["extra"] = json.loads(record.extra)
    return value


class _Csv:
    def __init__(self, *, mark: bool) -> None:
        self._begun = False
        self._mark = mark

    def write(self, records: list[Record]) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        if not self._begun:
            writer.writerow(Record._fields)
        writer.writerows(map(_row, records))
        data = text.getvalue().encode()
        if not self._begun and self._mark:
            data = _BOM + data
        self._begun = True
        return data


def _row(record: Record) -> list[object]:
    return [
        _cell(record.room),
        _cell(record.key),
        _clock(record.at),
        _cell(record.username),
        _cell(record.account),
        "true" if record.verified else "false",
        _cell(record.text),
        record.length,
        record.digest,
        _cell(record.id),
        None if record.sent_at is None else _clock(record.sent_at),
        _clock(record.received_at),
        _cell(record.position),
        record.extra,
        record.client,
        _cell(" ".join(record.mentions)),
    ]


def _cell(text: str | None) -> str | None:
    return f"'{text}" if text and text.startswith(_FORMULA) else text


def _clock(ms: int) -> str:
    return rfc3339.stamp(ms)[:-1].replace("T", " ")


def _write_parquet(records: Iterable[Record], stream: BinaryIO, on_progress: Callable[[int], object]) -> int:
    """Write them in row groups, each from small batches: a record takes a kilobyte, and what it becomes a third of that."""
    from pyarrow import Table, parquet

    count = 0
    # Texts and ids differ: a dictionary of them would fill its megabyte in each row group and be given up.
    repeated = ["room", "username", "account", "client", "mentions.list.element"]
    options = {"compression": "zstd", "use_dictionary": repeated, "write_statistics": _SOUGHT}
    with parquet.ParquetWriter(stream, schema(), **options) as writer:
        for group in _row_groups(batches(records, ROWS // 10, LARGE // 16)):
            table = Table.from_batches(group)
            writer.write_table(table, row_group_size=table.num_rows)
            count += table.num_rows
            on_progress(count)
    return count


def _row_groups(found: Iterable[Any]) -> Iterator[list[Any]]:
    """Batches that are one row group: :data:`ROWS`, or fewer where they take many bytes."""
    held: list[Any] = []
    for batch in found:
        held.append(batch)
        if sum(map(len, held)) >= ROWS or sum(each.nbytes for each in held) >= LARGE // 2:
            yield held
            held = []
    if held:
        yield held


@contextmanager
def _whole_file(path: str) -> Iterator[BinaryIO]:
    """A file to write, which gets its name when the block has ended without an error; else nothing is left of it."""
    if path == STANDARD:
        with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as stream:
            yield stream
        return
    target = Path(path)
    if target.exists() and not target.is_file():  # a pipe, or /dev/stdout
        with _opened(path, lambda: target.open("wb")) as stream:
            yield stream
        return
    # Beside it, so that it can be renamed; of a link, beside what that names.
    target = target.resolve()
    _refuse_database(path, target)
    part = target.with_name(f".{target.name}.{token_hex(4)}.part")
    stream = _opened(path, lambda: part.open("xb"))
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            part.chmod(target.stat().st_mode & 0o777)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _refuse_database(path: str, target: Path) -> None:
    """Leave databases alone: one is more likely the archive itself than an old export.

    Raises:
        kchat.errors.SettingsError: the file is an SQLite database.
    """
    with suppress(OSError), target.open("rb") as stream:
        if stream.read(len(_SQLITE)) == _SQLITE:
            raise SettingsError(
                f"{path} is an SQLite database, such as an archive, which an export does not replace",
                hint="name another file with -o",
            )


def _opened(path: str, open_: Callable[[], Any]) -> Any:
    try:
        return open_()
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
