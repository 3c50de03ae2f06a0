"""Messages without an id, from a queue that gives no positions: each once, wherever the archiver was killed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kchat.archive.importing import import_file
from kchat.archive.opening import open_store
from kchat.archive.placing import Placing
from kchat.archive.span import Span
from kchat.archive.store import Store
from kchat.message import Message

ROOM = "chat"
NOW = 1_780_000_000_000
PREFETCH = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "archive.db", write=True) as found:
        yield found


class Queue:
    """A queue as RabbitMQ has it: what was not acknowledged comes again, in order, in front of the others."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._first = self._delivered = 0
        self._unacknowledged = 0

    def deliver(self, many: int) -> list[tuple[Message, int]]:
        many = min(many, PREFETCH - self._unacknowledged)
        start = self._first + self._unacknowledged
        texts = self._texts[start : start + many]
        self._unacknowledged += len(texts)
        found = [
            (Message.from_body(text.encode(), redelivered=number < self._delivered), NOW)
            for number, text in enumerate(texts, start)
        ]
        self._delivered = max(self._delivered, start + len(texts))
        return found

    def acknowledge(self, many: int) -> None:
        self._first += many
        self._unacknowledged -= many

    def lose_reader(self) -> None:
        self._unacknowledged = 0

    @property
    def is_empty(self) -> bool:
        return self._first == len(self._texts)


def written(store: Store) -> Counter[str | None]:
    return Counter(record.text for record in store.records(Span()))


def archive_with_crashes(store: Store, texts: Sequence[str], chance: random.Random) -> int:
    """Archives all, and crashes again and again: with what is not written, with what is not acknowledged, or after both."""
    queue, crashes = Queue(texts), 0
    while not queue.is_empty:
        placing = Placing(store, ROOM, PREFETCH)
        crashed = False
        while not (crashed or queue.is_empty):
            came = queue.deliver(chance.randint(PREFETCH // 2, PREFETCH))
            crashed = chance.random() < 0.3
            if crashed and chance.random() < 0.5:
                break
            store.write(placing.records(came, "connection"))
            if not (crashed and chance.random() < 0.5):
                queue.acknowledge(len(came))
        queue.lose_reader()
        crashes += crashed
    return crashes


def test_messages_of_which_many_are_alike_are_kept_once_whatever_is_killed(store: Store) -> None:
    chance = random.Random(15)
    texts = [chance.choice("abcdefgh") for _ in range(2000)]
    assert archive_with_crashes(store, texts, chance) > 10
    assert written(store) == Counter(texts)


def test_clickhouse_tells_what_was_written_last(clickhouse: str) -> None:
    chance = random.Random(15)
    texts = chance.choices("abcdefgh", k=600)
    with open_store(clickhouse, write=True) as found:
        assert archive_with_crashes(found, texts, chance) > 3
        assert written(found) == Counter(texts)


def test_where_all_are_alike_none_is_missing(store: Store) -> None:
    chance = random.Random(16)
    texts = ["ping"] * 1000
    assert archive_with_crashes(store, texts, chance) > 5
    assert written(store)["ping"] >= 1000


def again(*texts: str) -> list[tuple[Message, int]]:
    return [(Message.from_body(text.encode(), redelivered=True), NOW) for text in texts]


def test_what_comes_again_and_was_not_written_is_kept_also_where_its_text_was(store: Store) -> None:
    first = Placing(store, ROOM, PREFETCH)
    for part in (("ok", "ok", "yes"), ("no", "ok")):
        store.write(first.records(again(*part), 1))
    # The last write was acknowledged: what comes begins otherwise, though each text was written before.
    assert len(Placing(store, ROOM, PREFETCH).records(again("ok", "yes", "no"), 1)) == 3
    # It was not; the one before it was.
    assert [each.text for each in Placing(store, ROOM, PREFETCH).records(again("no", "ok", "ok"), 1)] == [
        "ok"
    ]
    # Neither of them was.
    assert Placing(store, ROOM, PREFETCH).records(again("ok", "ok", "yes", "no", "ok"), 1) == []


def test_what_was_imported_is_not_among_the_last_ones(store: Store, tmp_path: Path) -> None:
    store.write(Placing(store, ROOM, PREFETCH).records(again("a", "b"), 1))
    line = '{"at":"2026-05-01T12:04:05Z","room":"chat","body":"%d"}\n'
    (tmp_path / "day.jsonl").write_text("".join(line % number for number in range(2 * PREFETCH)))
    assert import_file(store, str(tmp_path / "day.jsonl")).new == 2 * PREFETCH
    assert Placing(store, ROOM, PREFETCH).records(again("a", "b"), 1) == []


def test_what_comes_again_is_left_out_once_for_each_connection(store: Store) -> None:
    store.write(Placing(store, ROOM, PREFETCH).records(again("a", "b"), 1))
    placing = Placing(store, ROOM, PREFETCH)
    assert placing.records(again("a", "b"), 1) == []
    assert [each.text for each in placing.records(again("a", "b"), 1)] == ["a", "b"]
    assert placing.records(again("a", "b"), 2) == []


def test_more_than_one_receive_brings_is_recognised(store: Store) -> None:
    texts = [f"{number % 7}{number // 60}" for number in range(150)]
    store.write(Placing(store, ROOM, 200).records(again(*texts), 1))
    placing = Placing(store, ROOM, 200)
    assert placing.records(again(*texts[:60]), 1) == []
    assert placing.records(again(*texts[60:]), 1) == []
    assert len(placing.records(again("9"), 1)) == 1


def test_a_clock_that_was_set_back_changes_no_order(clickhouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW]
    monkeypatch.setattr("kchat.archive.placing.time_ns", lambda: now[0] * 1_000_000)
    with open_store(clickhouse, write=True) as store:
        store.write(Placing(store, ROOM, PREFETCH).records(again("a", "b"), 1))
        now[0] -= 3_600_000
        later = Placing(store, ROOM, PREFETCH)
        store.write(later.records(again("c", "d"), 1))
        now[0] -= 3_600_000
        store.write(later.records(again("e", "f"), 1))
        assert Placing(store, ROOM, PREFETCH).records(again("e", "f"), 1) == []
        assert Placing(store, ROOM, PREFETCH).records(again("c", "d", "e", "f"), 1) == []


def test_those_with_an_id_or_a_position_are_left_to_the_store(store: Store) -> None:
    message = Message.compose("ada", "hello")._replace(redelivered=True)
    placed = Message.from_body(b"plain", redelivered=True)._replace(position="7-1")
    placing = Placing(store, ROOM, PREFETCH)
    for new in (2, 0):
        records = placing.records([(message, NOW), (placed, NOW)], 1)
        assert [each.key for each in records] == [f"i:{message.id}", "p:7-1"]
        assert store.write(records) == new


def test_readers_that_share_a_queue_recognise_what_another_one_wrote_last(store: Store) -> None:
    one, other = Placing(store, ROOM, PREFETCH, 2), Placing(store, ROOM, PREFETCH, 2)
    store.write(one.records(again("old"), 1))
    store.write(one.records(again("a", "b", "b"), 1))
    store.write(other.records([(Message.from_body(b"c"), NOW)], 1))
    # The first one has died; the other one gets some of what it had, and some that was never written.
    records = other.records(again("b", "d", "old"), 1)
    assert [each.text for each in records] == ["d", "old"]
    store.write(records)
    assert [each.text for each in other.records(again("b", "b"), 1)] == ["b"]
