"""Exporting: a file is whole or not there, and what is imported again of it is the same."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from kchat import archive
from kchat.archive import arrow
from kchat.archive.exporting import as_object, export, format_of
from kchat.archive.importing import import_file
from kchat.archive.opening import open_store
from kchat.archive.record import Record
from kchat.archive.span import Span
from kchat.errors import MissingExtra, SettingsError
from kchat.message import Message, rfc3339

NOW = 1_780_000_000_123


def records(count: int = 20) -> list[Record]:
    """Of all kinds, in order."""
    found = []
    for number in range(count):
        at = NOW + 1000 * number
        sent = rfc3339.moment(at - 77)[0]
        texts = (f"Hello @bob and @Ada {number}", "=1+1", "", "\x1b[2J\x00\r\nü\U0001f600", "-\t'\"")
        extra = {"mood": [None, 1.5, "ü"]} if number % 3 == 0 else None
        message = Message.compose("adaüb"[number % 5] * 2, texts[number % 5], sent_at=sent, extra=extra)
        if number % 4 == 1:
            message = Message.from_body(b"plain %d" % number)
        position = f"{number}-1" if number % 8 == 1 else None
        message = message._replace(account="aa" if number % 2 else None)
        room = "chat" if number < count // 2 else "lunch ü"
        found.append(Record.of(message, room, at, position=position, place=f"place-{number}"))
    return found


RECORDS = records()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive of them."""
    with open_store(tmp_path / "archive.db", write=True) as store:
        store.write(RECORDS)
    return tmp_path / "archive.db"


def in_archive(path: Path) -> list[Record]:
    with archive.open(path) as kept:
        return list(kept.records())


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz", "all.jsonl.zst"])
def test_what_was_exported_is_imported_again_as_the_same_records(
    path: Path, tmp_path: Path, name: str
) -> None:
    before = in_archive(path)
    assert before == RECORDS
    assert export(before, str(tmp_path / name)) == len(RECORDS)
    with open_store(tmp_path / "again.db", write=True) as store:
        for new in (len(RECORDS), 0):
            assert import_file(store, str(tmp_path / name)).new == new
        assert list(store.records(Span())) == before


def test_what_is_in_clickhouse_is_exported_and_imported_there_likewise(
    clickhouse: str, tmp_path: Path
) -> None:
    export(RECORDS, str(tmp_path / "all.jsonl"))
    with open_store(clickhouse, write=True) as store:
        for new in (len(RECORDS), 0):
            assert import_file(store, str(tmp_path / "all.jsonl")).new == new
        export(store.records(Span()), str(tmp_path / "again.jsonl"))
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "all.jsonl").read_bytes()


def test_an_archive_without_texts_is_exported_and_imported_as_it_is(path: Path, tmp_path: Path) -> None:
    with_texts = str(tmp_path / "all.jsonl")
    export(in_archive(path), with_texts)
    with open_store(tmp_path / "no-text.db", write=True, texts=False) as store:
        import_file(store, with_texts)
        before = list(store.records(Span()))
    assert {each.text for each in before} == {None}
    assert len({each.digest for each in before}) > 5
    export(before, str(tmp_path / "no-text.jsonl"))
    with open_store(tmp_path / "again.db", write=True) as store:
        assert import_file(store, str(tmp_path / "no-text.jsonl")).new == len(RECORDS)
        assert list(store.records(Span())) == before


def test_json_lines_are_ascii_with_times_that_people_can_read(tmp_path: Path) -> None:
    export(RECORDS, str(tmp_path / "all.jsonl"))
    data = (tmp_path / "all.jsonl").read_bytes()
    assert data.isascii()
    first = json.loads(data.splitlines()[0])
    assert list(first) == list(Record._fields)
    assert (first["received_at"], first["sent_at"]) == (
        "2026-05-28T20:26:40.123Z",
        "2026-05-28T20:26:40.046Z",
    )
    assert (first["extra"], first["mentions"]) == ({"mood": [None, 1.5, "ü"]}, ["bob", "ada"])


def cells(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_csv_file_opens_in_a_spreadsheet_and_no_text_in_it_is_a_formula(tmp_path: Path) -> None:
    export(RECORDS, str(tmp_path / "all.csv"), "csv")
    data = (tmp_path / "all.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfroom,key,at,")
    rows = cells(data)
    assert len(rows) == len(RECORDS)
    wrong = []
    for row, record in zip(rows, RECORDS, strict=True):
        plain = record.text or ""
        guarded = f"'{plain}" if plain[:1] in tuple("=+-@\t\r\n") and plain else plain
        if row["text"] != guarded:
            wrong.append((row["text"], plain))
    assert wrong == []
    assert (rows[0]["at"], rows[0]["verified"]) == ("2026-05-28 20:26:40.046", "false")
    assert (rows[0]["mentions"], rows[0]["extra"]) == ("bob ada", '{"mood":[null,1.5,"ü"]}')


def test_every_text_in_a_csv_file_is_guarded(tmp_path: Path) -> None:
    evil = "=cmd|' /C calc'!A1"
    message = Message.compose(evil, evil, id=evil)._replace(account=evil)
    record = Record.of(message, evil, NOW, position=evil)
    export([record], str(tmp_path / "evil.csv"), "csv")
    (row,) = cells((tmp_path / "evil.csv").read_bytes())
    guarded = {name for name, cell in row.items() if cell == f"'{evil}"}
    assert guarded == {"room", "username", "account", "text", "id", "position"}
    assert not any(cell.startswith("=") for cell in row.values())


def test_a_parquet_file_has_the_same_with_types(tmp_path: Path) -> None:
    assert export(RECORDS, str(tmp_path / "all.parquet"), "parquet") == len(RECORDS)
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.schema.names == list(Record._fields)
    assert table.schema.field("at").type == pa.timestamp("ms", tz="UTC")
    rows = table.to_pylist()
    assert [row["text"] for row in rows] == [record.text for record in RECORDS]
    assert rows[0]["received_at"] == datetime(2026, 5, 28, 20, 26, 40, 123_000, tzinfo=UTC)
    assert [tuple(row["mentions"]) for row in rows] == [record.mentions for record in RECORDS]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_file_is_there_only_when_it_is_whole(tmp_path: Path, form: str) -> None:
    def breaks() -> Iterator[Record]:
        yield from records(3000)
        raise RuntimeError("the archive is gone")

    target = tmp_path / f"all.{form}"
    target.write_text("before")
    target.chmod(0o640)
    with pytest.raises(RuntimeError, match="gone"):
        export(breaks(), str(target), form)
    assert [each.name for each in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "before"
    export(RECORDS, str(target), form)
    assert [each.name for each in tmp_path.iterdir()] == [target.name]
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.read_bytes() != b"before"


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_nothing_is_a_file_too(tmp_path: Path, form: str) -> None:
    target = tmp_path / f"none.{form}"
    assert export([], str(target), form) == 0
    content = target.read_bytes()
    if form == "parquet":
        assert parquet.read_table(target).num_rows == 0
    else:
        assert content.count(b"\n") == (form == "csv")


def test_the_format_is_that_of_the_name() -> None:
    names = {
        "a.csv": "csv",
        "a.CSV.gz": "csv",
        "a.parquet": "parquet",
        "a.jsonl.zst": "jsonl",
        "-": "jsonl",
        "a": "jsonl",
    }
    assert {name: format_of(name) for name in names} == names


def test_what_cannot_be_written_is_said_before_anything_is_read(tmp_path: Path) -> None:
    def never(_: int) -> Record:
        raise AssertionError("it was read")

    for target, form, why in (
        (tmp_path / "none" / "all.jsonl", "jsonl", "cannot be written"),
        (tmp_path / "all.parquet.gz", "parquet", "compressed by itself"),
    ):
        with pytest.raises(SettingsError, match=why):
            export(map(never, [0]), str(target), form)


def test_a_program_gets_arrow(path: Path) -> None:
    with archive.open(path) as kept:
        table = kept.to_arrow(rooms=["chat"], since=datetime.fromtimestamp(NOW / 1000 + 5.5, UTC))
        sizes = [batch.num_rows for batch in kept.arrow_batches()]
    wanted = [record.text for record in RECORDS if record.room == "chat" and record.at >= NOW + 5500]
    assert table.column("text").to_pylist() == wanted
    assert sizes == [len(RECORDS)]


def test_a_program_gets_a_data_frame(path: Path) -> None:
    with archive.open(path) as kept:
        frame = kept.to_pandas(rooms=["chat"])
    assert list(frame["text"]) == [record.text for record in RECORDS if record.room == "chat"]
    assert str(frame["at"].dtype) == "datetime64[ms, UTC]"


@pytest.mark.parametrize(
    ("module", "hint"), [("pyarrow", "kombu-chat[archive]"), ("pandas", "pip install pandas")]
)
def test_a_library_that_is_not_installed_is_said(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, hint: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with archive.open(path) as kept, pytest.raises(MissingExtra) as missing:
        (kept.to_arrow if module == "pyarrow" else kept.to_pandas)()
    assert hint in missing.value.hint
    if module == "pyarrow":
        with pytest.raises(MissingExtra):
            export(RECORDS, str(tmp_path / "all.parquet"), "parquet")
        assert not (tmp_path / "all.parquet").exists()


def test_batches_are_bounded_by_rows_and_by_texts() -> None:
    few = list(arrow.parts(RECORDS, 6, 1 << 20))
    assert [len(each) for each in few] == [6, 6, 6, 2]
    large = [record._replace(length=600) for record in RECORDS]
    assert [len(each) for each in arrow.parts(large, 1000, 1000)] == [2] * 10


def test_a_record_as_an_object_leaves_the_record_alone() -> None:
    assert as_object(RECORDS[0])["at"] == "2026-05-28T20:26:40.046Z"
    assert RECORDS[0].at == NOW - 77


def test_arrays_are_those_that_pyarrow_makes() -> None:
    strange = [*RECORDS, *(each._replace(mentions=(), verified=True, sent_at=-1) for each in RECORDS)]
    for some in (strange, strange[:1], strange * 3):
        (batch,) = arrow.batches(some)
        batch.validate(full=True)
        columns = zip(arrow.schema(), zip(*some, strict=True), strict=True)
        wanted = [pa.array(values, type=field.type) for field, values in columns]
        assert batch.columns == wanted


def test_an_export_to_parquet_does_not_load_pandas(tmp_path: Path) -> None:
    program = (
        "import sys; from kchat.archive.exporting import export; from tests.archive.counting import record;"
        f"export([record(1, 2)], {str(tmp_path / 'a.parquet')!r}, 'parquet'); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
