"""What an SQLite archive keeps of a batch, and what it tells about messages without an id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kchat.archive.span import Span, Zone
from kchat.archive.sqlite import writing
from kchat.archive.sqlite.store import SqliteStore
from kchat.errors import ArchiveError
from tests.archive.counting import MONDAY, bare, count, differences, record

everything, UTC = Span(), Zone("UTC")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "archive.db", write=True) as opened:
        yield opened


def test_every_field_comes_back(store: SqliteStore) -> None:
    records = [
        record(
            1,
            MONDAY,
            account="ada",
            verified=True,
            extra='{"mood":"glad"}',
            text="hi @bob @Eve.",
            position="77",
        ),
        record(2, MONDAY + 1, username=None, client="others", text="", position="offset 5", sent_at=None),
        record(3, MONDAY + 2, username="", account="robot", text="nul \0 and \U0001f600, and 'quotes'"),
        record(4, MONDAY + 3, account="ADA", verified=True),
        record(5, MONDAY + 4, key="p:9/1", id=None, position="9/1"),
        record(6, MONDAY + 5, key="i:p:1'", id="p:1'", username="p\0p"),
        bare(7, MONDAY + 6),
    ]
    assert store.write(records) == len(records)
    assert list(store.records(everything)) == records


def test_of_two_with_one_key_the_first_is_kept_in_each_room(store: SqliteStore) -> None:
    first, second, elsewhere = (
        record(1, MONDAY),
        record(1, MONDAY + 5, text="twice"),
        record(1, MONDAY, room="ops"),
    )
    assert store.write([first, second, elsewhere]) == 2
    assert store.write([second]) == 0
    assert store.write([]) == 0
    assert list(store.records(everything)) == [first, elsewhere]
    assert store.rooms() == {"chat": 1, "ops": 1}
    assert differences(store.facts(everything, UTC), count([first, elsewhere], everything, UTC)) == {}


def test_a_batch_that_fails_leaves_nothing_and_the_store_goes_on(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New names get ids in the batch, and have no ids afterwards."""
    records = [
        record(number, MONDAY + number, username=f"user{number}", room=f"room{number}") for number in range(5)
    ]
    with monkeypatch.context() as patched:
        patched.setattr(writing, "_STORE_HOUR", "INSERT INTO nowhere VALUES (1)")
        with pytest.raises(ArchiveError, match="no such table"):
            store.write(records)
    assert store.rooms() == {}
    assert store.write(records[::-1]) == 5
    assert list(store.records(everything)) == records
    assert differences(store.facts(everything, UTC), count(records, everything, UTC)) == {}


def test_an_interrupt_in_the_middle_of_a_batch_leaves_nothing(store: SqliteStore) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    store._file.db.set_progress_handler(interrupt, 1)
    with pytest.raises((KeyboardInterrupt, ArchiveError)):
        store.write([record(1, MONDAY)])
    store._file.db.set_progress_handler(None, 0)
    assert store.rooms() == {}
    assert store.write([record(1, MONDAY)]) == 1


def test_the_last_messages_without_id_are_told_in_the_order_in_which_they_were_written(
    store: SqliteStore,
) -> None:
    one, two = bare(1, MONDAY + 9), bare(2, MONDAY + 8)
    store.write([one, two, record(3, MONDAY)])
    three, elsewhere = bare(4, MONDAY, b"ho"), bare(6, MONDAY, room="ops")
    placed = record(5, MONDAY, key="p:1", id=None, position="1")
    imported = bare(7, MONDAY)._replace(key=f"{one.key[:35]}2025-03-10T00:00:00.000Z")
    store.write([three, placed, elsewhere, imported])
    assert store.without_id("chat", 10) == [one.key, two.key, three.key]
    assert store.without_id("chat", 2) == [two.key, three.key]
    assert store.without_id("nowhere", 5) == []


def test_words_are_counted_in_a_span(store: SqliteStore) -> None:
    store.write(
        [record(1, MONDAY, text="Tea, tea and coffee"), record(2, MONDAY + 5, text="coffee", room="ops")]
    )
    assert store.words(everything, 5) == [("coffee", 2), ("tea", 2)]
    assert store.words(Span(("chat",)), 1) == [("tea", 2)]
    assert store.words(Span((), MONDAY + 1), 5) == [("coffee", 1)]
