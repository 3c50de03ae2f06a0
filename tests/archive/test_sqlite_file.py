"""Which files an SQLite archive takes, how it makes one, and what happens where it cannot be used."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kchat.archive.opening import open_store
from kchat.archive.record import Record
from kchat.archive.span import Span, Zone
from kchat.archive.sqlite import file as file_module
from kchat.archive.sqlite import schema
from kchat.archive.sqlite.store import SqliteStore
from kchat.errors import ArchiveError, ArchiveUnavailable, SettingsError
from tests.archive.counting import MONDAY, count, differences, record
from tests.archive.talking import conversation
from tests.brokers.processes import Commands

UTC = Zone("UTC")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def said(number: int, **other: Any) -> list[Record]:
    return [record(each, MONDAY + each * 1000, **other) for each in range(number)]


def fill(path: Path, records: list[Record]) -> None:
    with SqliteStore(path, write=True) as store:
        store.write(records)


# ---- made


def test_a_new_archive_is_private_and_durable(path: Path) -> None:
    with SqliteStore(path, write=True) as store:
        store.write(said(1))
        beside = [each for each in path.parent.iterdir() if each.name.startswith(path.name)]
        assert {stat.S_IMODE(each.stat().st_mode) for each in beside} == {0o600}
        assert len(beside) == 3  # its log and the log's index
        db = store._file.db
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_the_default_archives_folder_is_made_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with open_store(write=True) as store:
        assert store.where == str(tmp_path / "data/kchat/archive.db")
        assert stat.S_IMODE((tmp_path / "data/kchat").stat().st_mode) == 0o700
    with pytest.raises(SettingsError, match="cannot be made: No such file or directory"):
        open_store(tmp_path / "other/archive.db", write=True)
    assert not (tmp_path / "other").exists()


def test_an_archive_to_read_has_to_be_there(path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no archive"):
        SqliteStore(path)
    assert not path.exists()


# ---- files that are no archives


def test_a_file_of_something_else_is_refused_and_stays_as_it_was(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
        db.commit()
    another_program = path.read_bytes()
    for content, text in (
        (another_program, "another program"),
        (b"Dear diary, " * 1000, "is not an archive"),
        (b"Dear diary, " * 60, "is not an archive"),
        (b"x", "is not an archive"),
    ):
        for write in (False, True):
            path.write_bytes(content)
            with pytest.raises(SettingsError, match=text) as refused:
                SqliteStore(path, write=write)
            assert "\n" not in str(refused.value)
            assert path.read_bytes() == content
            assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_empty_file_is_refused_to_be_read_and_made_an_archive_to_be_written(path: Path) -> None:
    path.touch()
    with pytest.raises(SettingsError, match="is empty"):
        SqliteStore(path)
    fill(path, said(2))
    with SqliteStore(path) as store:
        assert store.rooms() == {"chat": 2}


def test_a_link_that_leads_nowhere_says_so(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with pytest.raises(SettingsError, match="which is not there"):
        SqliteStore(link, write=True)
    fill(path, said(3))
    with SqliteStore(link) as store:
        assert store.rooms() == {"chat": 3}


def test_a_folder_is_refused(tmp_path: Path) -> None:
    for write in (False, True):
        with pytest.raises(SettingsError, match="is not a file"):
            SqliteStore(tmp_path, write=write)


def test_an_archive_of_a_newer_kchat_is_refused(path: Path) -> None:
    fill(path, said(1))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    for write in (False, True):
        with pytest.raises(SettingsError, match="made by a newer kchat"):
            SqliteStore(path, write=write)


def test_a_damaged_archive_is_an_error_of_one_line(path: Path) -> None:
    fill(path, said(2000))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    with pytest.raises(ArchiveError, match="is damaged") as refused, SqliteStore(path) as store:
        store.facts(Span(), UTC)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change", ["UPDATE hour SET gaps_steps = x'01'", "UPDATE person_day SET person = person + 99999"]
)
def test_values_that_kchat_does_not_write_are_damage(path: Path, change: str) -> None:
    fill(path, said(20))
    with closing(sqlite3.connect(path)) as db:
        db.execute(change)
        db.commit()
    with SqliteStore(path) as store, pytest.raises(ArchiveError, match="is damaged"):
        store.facts(Span(), UTC)


def test_a_strangers_numbers_of_people_take_no_memory(path: Path) -> None:
    fill(path, conversation(300))
    with SqliteStore(path) as store:
        before = store.facts(Span(), UTC)
    with closing(sqlite3.connect(path)) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            columns = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
            for column in columns & (
                {"id"} if table == "person" else {"person", "first_person", "last_person"}
            ):
                db.execute(f"UPDATE {table} SET {column} = {column} + (1 << 40) WHERE {column} > 1")
        assert db.execute("SELECT max(id) FROM person").fetchone()[0] > 1 << 40
        db.commit()
    with SqliteStore(path) as store:
        assert store.facts(Span(), UTC) == before


# ---- without texts


def test_an_archive_without_texts_has_a_secret_of_its_own_for_good(path: Path) -> None:
    with SqliteStore(path, write=True, texts=False) as store:
        secret = store.secret
        assert secret is not None
        assert len(secret) == 32
    for write in (False, True):
        with SqliteStore(path, write=write) as store:
            assert store.secret == secret
    with SqliteStore(path, write=True, texts=False) as store:
        assert store.secret == secret
    with pytest.raises(SettingsError, match="keeps no texts"):
        SqliteStore(path, write=True, texts=True)


def test_an_archive_with_texts_does_not_become_one_without(path: Path) -> None:
    fill(path, said(1))
    with pytest.raises(SettingsError, match="keeps texts"):
        SqliteStore(path, write=True, texts=False)
    with SqliteStore(path, texts=True) as store:
        assert store.secret is None


def test_digests_come_back_as_they_were_written(path: Path) -> None:
    with SqliteStore(path, write=True, texts=False) as store:
        records = [
            record(1, MONDAY, text=None, length=9, digest="00ff" * 8),
            record(2, MONDAY, text=None, length=0),
        ]
        store.write(records)
        assert list(store.records(Span())) == records
        assert store.words(Span(), 5) == []


# ---- written to while others are there


def test_an_archive_that_was_deleted_takes_nothing_more(path: Path, tmp_path: Path) -> None:
    """SQLite would write on into the deleted file, and the messages, acknowledged to the broker, would be lost."""
    records = said(3)
    with SqliteStore(path, write=True) as store:
        store.write(records[:1])
        path.rename(tmp_path / "moved.db")
        with pytest.raises(ArchiveUnavailable, match="deleted or replaced"):
            store.write(records[1:])
        shutil.copyfile(tmp_path / "moved.db", path)
        with pytest.raises(ArchiveUnavailable, match="deleted or replaced"):
            store.write(records[1:])
        (tmp_path / "moved.db").replace(path)
        assert store.write(records) == 2


@pytest.mark.parametrize("empty", [False, True])
def test_the_log_of_an_archive_that_was_moved_away_is_left_alone(
    path: Path, tmp_path: Path, *, empty: bool
) -> None:
    """After kill -9, acknowledged messages are in the log alone, and SQLite would delete it for the new, empty file."""
    killed = tmp_path / "killed"
    killed.mkdir()
    with SqliteStore(path, write=True) as store:
        store.write(said(3))
        for name in (path.name, f"{path.name}-wal"):
            shutil.copyfile(path.with_name(name), killed / name)
    archive = killed / path.name
    archive.rename(killed / "moved")
    if empty:
        archive.touch()
    with pytest.raises(SettingsError, match="of an archive that is no longer at"):
        SqliteStore(archive, write=True)
    (killed / "moved").replace(archive)
    with SqliteStore(archive, write=True) as store:
        assert store.rooms() == {"chat": 3}


def test_a_locked_archive_is_unavailable_and_takes_the_batch_afterwards(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.05)
    with (
        SqliteStore(path, write=True) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ArchiveUnavailable, match="locked by another process"):
            store.write(said(3))
        assert store.rooms() == {}  # reading goes on
        other.execute("ROLLBACK")
        assert store.write(said(3)) == 3


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses_keeps_nothing_of_the_batch_and_takes_it_later(path: Path) -> None:
    first, second = said(100), [each._replace(key=f"i:x{each.id}", id=f"x{each.id}") for each in said(3000)]
    with SqliteStore(path, write=True) as store:
        store.write(first)
        log = path.with_name(f"{path.name}-wal").stat().st_size
        with file_size_limit(log + 20_000):
            for _ in range(2):
                with pytest.raises(ArchiveUnavailable) as refused:
                    store.write(second)
                assert "\n" not in str(refused.value)
            assert differences(store.facts(Span(), UTC), count(first, Span(), UTC)) == {}
        assert store.write(second) == 3000
        assert differences(store.facts(Span(), UTC), count([*first, *second], Span(), UTC)) == {}


def test_a_full_disk_says_so(path: Path) -> None:
    with SqliteStore(path, write=True) as store:
        db = store._file.db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(ArchiveUnavailable, match="no space left"):
            store.write(said(1000))
        db.execute("PRAGMA max_page_count = 1000000")
        assert store.write(said(1000)) == 1000


# ---- read by those who may not write

STRANGER = """
import os, sys
from pathlib import Path
from kchat.archive.opening import default_path
from kchat.archive.sqlite.store import SqliteStore
from kchat.archive.span import Span, Zone
from kchat.errors import KchatError

default_path()
for path in map(Path, sys.argv[1:]):
    with SqliteStore(path) as store:
        store.facts(Span(), Zone("UTC"))  # so that all is imported: a stranger may not read it
    if not os.geteuid():
        os.setgid(65534)
        os.setuid(65534)
    for write in (False, True):
        try:
            with SqliteStore(path, write=write) as store:
                print(store.facts(Span(), Zone("UTC")).people["ada"].messages, store.query("SELECT 1 + 1").rows)
        except KchatError as error:
            print(type(error).__name__, str(error))
"""


def test_an_archive_in_a_read_only_folder_is_read(commands: Commands, public_folder: Path) -> None:
    path = public_folder / "archive.db"
    fill(path, said(7))
    path.chmod(0o444)
    public_folder.chmod(0o555)
    try:
        stranger = commands.python(STRANGER, str(path))
        assert stranger.wait() == 0, stranger.stderr
        read, refused = stranger.lines
        assert read == "7 [(2,)]"
        assert refused == f"SettingsError the archive {path} cannot be written by this account"
    finally:
        public_folder.chmod(0o755)


def test_an_archive_in_a_read_only_folder_is_read_while_it_is_written(
    commands: Commands, public_folder: Path
) -> None:
    path = public_folder / "archive.db"
    fill(path, said(7))
    path.chmod(0o644)
    with SqliteStore(path, write=True) as store:
        more = [each._replace(key=f"{each.key}+") for each in said(4)]
        store.write(more)  # stands in the log
        public_folder.chmod(0o555)
        try:
            stranger = commands.python(STRANGER, str(path))
            assert stranger.wait() == 0, stranger.stderr
            assert stranger.lines[0] == "11 [(2,)]"
        finally:
            public_folder.chmod(0o755)


def test_an_archive_that_others_may_not_read_says_so(commands: Commands, public_folder: Path) -> None:
    path = public_folder / "archive.db"
    fill(path, said(7))
    stranger = commands.python(STRANGER, str(path))
    assert stranger.wait() == 0, stranger.stderr
    assert stranger.lines == [f"SettingsError the archive {path} cannot be read by this account"] * 2


@pytest.mark.parametrize("name", ["left.db", "link.db"])
def test_a_log_that_a_killed_writer_left_in_a_read_only_folder_is_not_left_out(
    commands: Commands, public_folder: Path, name: str
) -> None:
    """Without the log the last messages would be missing: that is an error, not an answer."""
    path = public_folder / "archive.db"
    with SqliteStore(path, write=True) as store:
        store.write(said(7))
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", public_folder / f"left.db{suffix}")
            (public_folder / f"left.db{suffix}").chmod(0o444)
    (public_folder / "link.db").symlink_to(public_folder / "left.db")
    public_folder.chmod(0o555)
    try:
        # The first look, by the account that may write, is at a copy: it would put the log into the file.
        stranger = commands.python(
            STRANGER.replace(
                "with SqliteStore(path) as store:", "with SqliteStore(Path(sys.argv[1])) as store:"
            ).replace("sys.argv[1:]", "sys.argv[2:]"),
            str(path),
            str(public_folder / name),
        )
        assert stranger.wait() == 0, stranger.stderr
        assert stranger.lines[0].startswith("ArchiveUnavailable the archive")
        assert "cannot be opened" in stranger.lines[0]
    finally:
        public_folder.chmod(0o755)


def test_a_read_store_does_not_write(path: Path) -> None:
    fill(path, said(1))
    with SqliteStore(path) as store:
        changes: tuple[Callable[[], int], ...] = (
            lambda: store.write(said(2)),
            lambda: store.forget("ada"),
            lambda: store.prune(MONDAY * 2),
        )
        for change in changes:
            with pytest.raises(SettingsError, match="opened to be read"):
                change()
