"""What is forgotten is not in the file any more, nor in what SQLite keeps beside it; others write meanwhile."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from kchat.archive.record import Record
from kchat.archive.span import HOUR, Span, Zone
from kchat.archive.sqlite import deleting
from kchat.archive.sqlite import file as file_module
from kchat.archive.sqlite.file import ArchiveFile
from kchat.archive.sqlite.store import SqliteStore
from kchat.errors import ArchiveUnavailable
from tests.archive.counting import MONDAY, count, differences, record

everything, UTC = Span(), Zone("UTC")
GONE = "mallory-the-forgotten"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path, write=True) as opened:
        yield opened


def talk(number: int = 3000, hours: int = 9) -> list[Record]:
    """Messages of three people; those of one, and what tells of that one, have words that are searched for."""
    numbers = random.Random(26)
    found = []
    for each in range(number):
        at = MONDAY + numbers.randrange(hours * HOUR)
        if each % 3:
            mentions = (GONE,) if each % 7 == 0 else ()
            found.append(record(each, at, username=f"user{each % 3}", mentions=mentions))
        else:
            text = f"SECRET-{each} " + "whisper " * numbers.choice([1, 10, 100, 2000])
            found.append(
                record(
                    each,
                    at,
                    username=GONE,
                    account=GONE,
                    text=text,
                    key=f"i:SECRET{each}",
                    id=f"SECRET{each}",
                )
            )
    return found


def on_disk(path: Path) -> bytes:
    """All bytes of the archive's files."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))


def traces(path: Path) -> list[bytes]:
    content = on_disk(path)
    return [word for word in (b"SECRET", b"whisper", GONE.encode()) if word in content]


@pytest.mark.parametrize("size", [17, 500])
def test_nothing_of_a_forgotten_person_is_on_the_disk(store: SqliteStore, path: Path, size: int) -> None:
    records = talk()
    for at in range(0, len(records), size):
        store.write(records[at : at + size])
    assert len(traces(path)) == 3
    before = len(on_disk(path))
    assert store.forget(GONE) == 1000
    assert traces(path) == []
    assert path.stat().st_size < before / 2  # its pages were given back
    left = [each._replace(mentions=()) for each in records if each.username != GONE]
    assert differences(store.facts(everything, UTC), count(left, everything, UTC)) == {}
    assert store.forget(GONE) == 0


def test_nothing_of_pruned_messages_is_on_the_disk(store: SqliteStore, path: Path) -> None:
    records = talk()
    store.write(records)
    store.write([record(9_000, MONDAY + 30 * HOUR)])
    assert store.prune(MONDAY + 20 * HOUR) == 3000
    assert traces(path) == []
    assert b"user1" not in on_disk(path)
    assert store.rooms() == {"chat": 1}
    assert list(store.facts(everything, UTC).people) == ["ada"]


def test_a_person_that_was_forgotten_in_one_room_stays_in_others(store: SqliteStore) -> None:
    records = [each._replace(room="ops" if number % 2 else "chat") for number, each in enumerate(talk(300))]
    store.write(records)
    gone = [each for each in records if each.username == GONE and each.room == "ops"]
    assert store.forget(GONE, ("ops",)) == len(gone)
    facts = store.facts(everything, UTC)
    assert facts.people[GONE].messages == 100 - len(gone)
    assert GONE not in store.facts(Span(("ops",)), UTC).people
    assert not [pair for pair in store.facts(Span(("ops",)), UTC).mentions if pair[1] == GONE]
    assert [pair for pair in facts.mentions if pair[1] == GONE]


def test_others_write_between_the_hours_that_are_deleted(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each hour is a transaction here. Another process writes before each of them, into hours that were counted anew."""
    monkeypatch.setattr(deleting, "_MOST", 1)
    records = talk(900)
    store.write(records)
    more = [record(5_000 + number, MONDAY + number * HOUR, username="eve") for number in range(12)]
    waiting = list(more)
    with SqliteStore(path, write=True) as other:
        with monkeypatch.context() as patched:
            writing = ArchiveFile.writing
            entered = []

            def after_another(file: ArchiveFile) -> AbstractContextManager[sqlite3.Connection]:
                if file is store._file and waiting:
                    entered.append(other.write([waiting.pop()]))
                return writing(file)

            patched.setattr(ArchiveFile, "writing", after_another)
            assert store.forget(GONE) == 300
        assert sum(entered) == len(entered) >= 9
        other.write(more)
        left = [each._replace(mentions=()) for each in records if each.username != GONE] + more
        assert differences(other.facts(everything, UTC), count(left, everything, UTC)) == {}
        assert differences(store.facts(everything, UTC), count(left, everything, UTC)) == {}
        # Ids that were given away meanwhile mean other names now, in the process that knew the old ones, too.
        late = [
            record(7_000, MONDAY, username=GONE),
            record(7_001, MONDAY, username="new"),
            record(7_002, MONDAY, username="eve"),
        ]
        other.write(late)
        store.write([record(7_003, MONDAY, username="newer")])
        messages = {name: person.messages for name, person in store.facts(everything, UTC).people.items()}
        assert (messages[GONE], messages["new"], messages["newer"], messages["eve"]) == (1, 1, 1, 13)


def test_what_was_ended_in_the_middle_is_right_and_goes_on(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process: what it has committed is deleted and counted, and the next one does the rest."""
    monkeypatch.setattr(deleting, "_MOST", 1)
    records = talk(900)
    store.write(records)
    transactions = []
    writing = ArchiveFile.writing

    def third_fails(file: ArchiveFile) -> AbstractContextManager[sqlite3.Connection]:
        transactions.append(file)
        if len(transactions) == 3:
            raise KeyboardInterrupt
        return writing(file)

    with monkeypatch.context() as patched:
        patched.setattr(ArchiveFile, "writing", third_fails)
        with pytest.raises(KeyboardInterrupt):
            store.forget(GONE)
    kept = list(store.records(everything))
    assert 900 > len(kept) > 600
    assert differences(store.facts(everything, UTC), count(kept, everything, UTC)) == {}
    assert store.forget(GONE) == len(kept) - 600
    assert traces(path) == []


def test_a_reader_that_stays_is_told_of_when_somebody_is_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's log keeps the old pages as long as somebody reads them: done is said only when they are gone."""
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.05)
    with SqliteStore(path, write=True) as store:
        store.write(talk(300))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM message").fetchone()
            with pytest.raises(ArchiveUnavailable, match="still in the log"):
                store.forget(GONE)
            assert store.facts(everything, UTC).people.keys() == {"user1", "user2"}
            assert store.prune(MONDAY + HOUR) > 0  # is regular, and waits for the next time
            reader.execute("COMMIT")
        assert store.forget(GONE) == 0
        assert traces(path) == []
