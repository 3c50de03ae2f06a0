"""The archiver on a real file: what is committed, when, and what is not."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kchat import Message, Sender, Settings, archive
from kchat.archive import archiver as archiver_module
from kchat.archive.archiver import Archiver
from kchat.archive.archiving import Archiving
from kchat.archive.opening import open_store
from kchat.archive.record import Record
from kchat.archive.sqlite import file
from kchat.archive.store import Store
from kchat.client import durable
from tests.brokers.wait import wait_until

ALIKE = Message.from_body(b"all alike")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of an archive, which a test locks in another process's place."""
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.01)
    return tmp_path / "archive.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(path, write=True) as found:
        yield found


@pytest.fixture
def lock(store: Store, path: Path) -> Iterator[sqlite3.Connection]:
    """Another writer, which holds the archive while it is in a transaction."""
    assert store.where == str(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as found:
        yield found


def records(path: Path) -> list[Record]:
    with archive.open(path) as found:
        return list(found.records())


def flushed(archiver: Archiver) -> None:
    wait_until(archiver.flush, 10, "everything committed")


def test_a_message_waits_for_others_and_then_all_are_committed(store: Store, path: Path) -> None:
    archiver = Archiver(store, "chat", 500)
    for number in range(10):
        archiver.show(Message.compose("ada", str(number)))
    assert not archiver.flush()
    assert records(path) == []
    flushed(archiver)
    assert [record.text for record in records(path)] == [str(number) for number in range(10)]
    assert (archiver.taken, archiver.count) == (10, 10)


def test_a_full_batch_does_not_wait(store: Store) -> None:
    archiver = Archiver(store, "chat", 500)
    for number in range(store.batch):
        archiver.show(Message.compose("ada", str(number)))
    assert archiver.is_full
    assert archiver.flush()
    assert not archiver.is_full


def test_large_messages_make_a_batch_full_before_they_fill_the_memory(store: Store) -> None:
    archiver = Archiver(store, "chat", 500)
    for _ in range(5):
        archiver.show(Message.compose("ada", "x" * (1 << 20)))
    assert archiver.is_full
    assert archiver.flush()


def test_the_last_ones_do_not_wait(store: Store) -> None:
    archiver = Archiver(store, "chat", 500)
    archiver.show(Message.compose("ada", "last"))
    assert not archiver.flush()
    archiver.hurry()
    assert archiver.flush()


def test_what_came_again_is_there_once_and_counted_apart(store: Store, path: Path) -> None:
    archiver = Archiver(store, "chat", 500)
    message = Message.compose("ada", "once")
    for _ in range(3):
        archiver.show(message)
        archiver.hurry()
        assert archiver.flush()
    assert (archiver.taken, archiver.count, len(records(path))) == (3, 1, 1)


def test_while_the_archive_is_locked_nothing_is_out_and_it_is_tried_again(
    store: Store, path: Path, lock: sqlite3.Connection
) -> None:
    told: list[str] = []
    archiver = Archiver(store, "chat", 500, tell=told.append, waiting=lambda: 1_234)
    lock.execute("BEGIN IMMEDIATE")
    archiver.show(Message.compose("ada", "waits"))
    wait_until(lambda: archiver.flush() or archiver.is_away, 10, "the archive is away")
    assert not archiver.flush()
    assert not archiver.gives_up
    (away,) = told
    assert away.startswith("the archive is away: ")
    assert away.endswith("; 1,234 messages wait in the broker")
    archiver.show(Message.compose("ada", "waits too"))
    lock.execute("COMMIT")
    flushed(archiver)
    assert len(told) == 2
    assert told[1].startswith("the archive is back after ")
    assert [record.text for record in records(path)] == ["waits", "waits too"]


def test_at_the_end_it_does_not_wait_for_an_archive_that_is_away(
    store: Store, path: Path, lock: sqlite3.Connection
) -> None:
    archiver = Archiver(store, "chat", 500)
    lock.execute("BEGIN IMMEDIATE")
    archiver.show(Message.compose("ada", "left"))
    archiver.hurry()
    assert not archiver.flush()
    assert archiver.gives_up
    lock.execute("COMMIT")
    archiver.close()
    assert records(path) == []


def test_messages_without_an_id_that_come_again_by_a_new_connection_are_there_once(
    store: Store, path: Path, lock: sqlite3.Connection
) -> None:
    """Also where the first ones are not committed when the next ones come."""
    connection = 1
    archiver = Archiver(store, "chat", 500, connection=lambda: connection)
    lock.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        archiver.show(ALIKE)
    wait_until(lambda: archiver.flush() or archiver.is_away, 10, "the archive is away")
    connection = 2
    for _ in range(3):
        archiver.show(ALIKE._replace(redelivered=True))
    archiver.show(ALIKE)
    lock.execute("COMMIT")
    flushed(archiver)
    assert len(records(path)) == 4


def test_without_a_batch_nothing_is_written_and_all_is_settled(store: Store) -> None:
    settled: list[None] = []
    archiver = Archiver(store, "chat", 500, settled=lambda: settled.append(None))
    assert archiver.flush()
    archiver.show(Message.compose("ada", "one"))
    assert not archiver.flush()
    assert len(settled) == 1
    flushed(archiver)
    assert len(settled) == 2


def test_a_program_archives_a_room(path: Path, local_url: str) -> None:
    settings = Settings.resolve(url=local_url, room="chat")
    with open_store(path, write=True) as store, Archiving([settings], store, durable="mine") as archiving:
        with Sender(settings, "ada") as sender:
            sender.send("hello")
        assert archiving.run(limit=1) == 1
        assert archiving.archiver.count == 1
    assert [record.text for record in records(path)] == ["hello"]
    assert [each.name for each in durable.subscriptions(settings)] == ["mine"]


def test_what_is_committed_is_acknowledged_while_more_comes_all_the_time(path: Path, local_url: str) -> None:
    settings = Settings.resolve(url=local_url, room="chat")
    sent = 0
    ended = threading.Event()

    def send() -> None:
        nonlocal sent
        with Sender(settings, "ada") as sender:
            while not ended.wait(0.002) and sent < 500:
                sender.send(str(sent))
                sent += 1
        ended.set()

    with open_store(path, write=True) as store, Archiving([settings], store) as archiving:
        sending = threading.Thread(target=send)
        sending.start()

        def stop() -> bool:
            before = sent
            (queue,) = durable.subscriptions(settings)
            assert queue.messages is not None
            if queue.messages < before:
                ended.set()
            return ended.is_set()

        archiving.run(stop=stop)
        sending.join()
    assert sent < 500, "nothing was acknowledged meanwhile"


def test_a_number_of_messages_is_waited_for_until_they_are_committed(
    path: Path, store: Store, lock: sqlite3.Connection, local_url: str
) -> None:
    settings = Settings.resolve(url=local_url, room="chat")
    lock.execute("BEGIN IMMEDIATE")
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            lock.execute("COMMIT")

    with Archiving([settings], store, tell=tell) as archiving:
        with Sender(settings, "ada") as sender:
            sender.send("one")
        assert archiving.run(limit=1) == 1
    assert told[0].startswith("the archive is away: ")
    assert [record.text for record in records(path)] == ["one"]


def test_messages_that_become_too_old_are_deleted_while_it_runs(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver_module, "_PRUNE_EVERY", 0.0)
    archiver = Archiver(store, "chat", 500, keep=1.0)
    archiver.show(Message.compose("ada", "old soon"))
    archiver.show(Message.compose("ada", "elsewhere")._replace(room="other"))
    flushed(archiver)
    assert len(records(path)) == 2

    def deleted() -> int:
        archiver.flush()
        return archiver.deleted

    assert wait_until(deleted, 10, "the old one deleted") == 1
    assert [record.text for record in records(path)] == ["elsewhere"]


def test_a_clock_that_is_set_a_year_forward_for_a_while_deletes_nothing(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver_module, "_PRUNE_EVERY", 0.0)
    now, told = [time.time()], list[str]()
    archiver = Archiver(store, "chat", 500, keep=30 * 86_400, tell=told.append, clock=lambda: now[0])
    archiver.show(Message.compose("ada", "hello", sent_at=datetime.fromtimestamp(now[0], UTC)))
    flushed(archiver)
    for days in (365, -365, 0):
        now[0] += days * 86_400
        archiver.flush()
    assert (archiver.deleted, [record.text for record in records(path)]) == (0, ["hello"])
    assert len(told) == 1
    assert told[0].startswith("the clock was set forward by 8,760.0 hours: ")


def test_where_it_cannot_delete_it_tries_again(store: Store, lock: sqlite3.Connection) -> None:
    told: list[str] = []
    sent_at = datetime.now(UTC) - timedelta(days=2)
    first = Archiver(store, "chat", 500)
    first.show(Message.compose("ada", "old", sent_at=sent_at))
    flushed(first)
    archiver = Archiver(store, "chat", 500, keep=86_400, tell=told.append)
    lock.execute("BEGIN IMMEDIATE")
    assert archiver.flush(), "nothing waits for it"
    assert archiver.is_away
    lock.execute("COMMIT")

    def is_back() -> bool:
        archiver.flush()
        return not archiver.is_away

    wait_until(is_back, 10, "it was tried again")
    assert archiver.deleted == 1
    assert [text.partition(":")[0].split(" after ")[0] for text in told] == [
        "the archive is away",
        "the archive is back",
    ]
