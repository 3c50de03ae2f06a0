"""What a room has kept: where a new queue begins, and how the file stays within bounds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kchat.transports.local import clock, history, marks
from tests.brokers.wait import wait_until
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import change_limits, drain, get_all, listen, own_queue, rest, send


@pytest.fixture
def filled(connection: Any) -> Any:
    """A channel, with a room that holds ``m0`` to ``m9``."""
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    send(channel, *(f"m{n}" for n in range(10)), exchange="chat")
    return channel


@pytest.mark.parametrize(("last", "expected"), [(0, 0), (1, 1), (3, 3), (10, 10), (1000, 10)])
def test_a_queue_begins_with_the_last_few(connection: Any, filled: Any, last: int, expected: int) -> None:
    arrived = listen(filled, own_queue(filled, "chat", x_history_last=last))
    send(filled, "new", exchange="chat")
    assert rest(connection, arrived) == [f"m{n}" for n in range(10 - expected, 10)] + ["new"]


def test_a_queue_begins_with_what_came_since(connection: Any, filled: Any) -> None:
    moments = [row[0] for row in store_of(filled).db.execute("SELECT published_at FROM message ORDER BY seq")]
    for n, moment in enumerate(moments):
        arrived = listen(filled, own_queue(filled, "chat", x_history_since=moment), consumer_tag=f"t{n}")
        assert rest(connection, arrived)[-(10 - n) :] == [f"m{k}" for k in range(n, 10)]
    for moment, count in ((0, 10), (0.0, 10), (time.time() + 60, 0)):
        arrived = listen(filled, own_queue(filled, "chat", x_history_since=moment))
        assert len(rest(connection, arrived)) == count


def test_the_narrower_of_both_counts(connection: Any, filled: Any) -> None:
    arrived = listen(filled, own_queue(filled, "chat", x_history_since=0.0, x_history_last=2))
    assert rest(connection, arrived) == ["m8", "m9"]
    arrived = listen(filled, own_queue(filled, "chat", x_history_since=time.time() + 60, x_history_last=2))
    assert rest(connection, arrived) == []


def test_a_lasting_queue_begins_with_history_once(connect: Connect, filled: Any) -> None:
    arguments = {"x-history-last": 3}
    for channel in (connect().channel(), filled):  # the second time, it is not new
        channel.queue_declare("lasting", durable=True, arguments=arguments)
        channel.queue_bind("lasting", "chat")
    assert get_all(filled, "lasting") == ["m7", "m8", "m9"]


def test_direct_and_topic_exchanges_keep_none(connection: Any) -> None:
    channel = connection.channel()
    channel.exchange_declare("t", "topic")
    channel.queue_declare("q")
    channel.queue_bind("q", "t", "#")
    send(channel, "x", exchange="t")
    assert rest(connection, listen(channel, own_queue(channel, "t", x_history_last=9, routing_key="#"))) == []


def test_the_queues_limit_does_not_cut_the_history_asked_for(connection: Any, filled: Any) -> None:
    queue = own_queue(filled, "chat", x_history_last=8, x_max_length=3)
    arrived = listen(filled, queue)
    assert rest(connection, arrived) == [f"m{n}" for n in range(2, 10)]
    send(filled, *"abcdef", exchange="chat")
    assert rest(connection, arrived)[8:] == ["d", "e", "f"]


def store_of(channel: Any) -> Any:
    return channel.connection.store


def test_history_that_is_too_old_goes(connect: Connect, filled: Any) -> None:
    change_limits(store_of(filled), history_max_age=0.05)

    def gone() -> bool:
        with connect() as other:
            send(other.channel(), "again", exchange="chat")
        return store_of(filled).value("SELECT 1 FROM message WHERE body = CAST('m9' AS BLOB)") is None

    wait_until(gone, 10)


def test_numbers_never_go_back(connect: Connect, filled: Any) -> None:
    channel = connect().channel()
    change_limits(store_of(channel), history_max_age=0.0, history_max_bytes=0)
    for _ in range(3):
        highest = store_of(channel).value("SELECT max(seq) FROM message")
        channel.connection.publisher._prune()
        send(channel, "x", exchange="chat")
        assert store_of(channel).value("SELECT max(seq) FROM message") == highest + 1


@pytest.mark.parametrize(("size", "bound"), [(200, 1_000_000), (20_000, 8_000_000), (1_000_000, 8_000_000)])
def test_the_file_stays_within_its_bound_whatever_is_sent(
    connect: Connect, path: Path, size: int, bound: int
) -> None:
    connection = connect(history_max_bytes=bound)
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    body = b"x" * size
    total = 5 * bound
    for _ in range(total // size):
        channel.basic_publish(channel.prepare_message(body), exchange="chat")
    assert path.stat().st_size < bound + 2 * size + 1_000_000
    assert Path(f"{path}-wal").stat().st_size < 40_000_000
    left = store_of(channel).value("SELECT count(*) FROM message")
    assert left * size > bound / 3, "more was removed than had to be"
    texts = rest(connection, listen(channel, own_queue(channel, "chat", x_history_last=10**6)))
    assert len(texts) == left


def test_the_log_starts_over_once_a_reader_that_was_stuck_has_gone(connect: Connect, path: Path) -> None:
    log = Path(f"{path}-wal")
    channel = connect().channel()
    channel.exchange_declare("chat", "fanout")
    stuck = connect().connection.store.db
    stuck.execute("BEGIN")
    stuck.execute("SELECT count(*) FROM message").fetchone()
    body = "x" * 100_000
    send(channel, *(body for _ in range(150)), exchange="chat")
    assert log.stat().st_size > 10_000_000
    stuck.execute("COMMIT")

    def small() -> bool:
        send(channel, body, exchange="chat")
        return log.stat().st_size < 6_000_000

    wait_until(small, 10)


def test_a_smaller_bound_is_reached_step_by_step(connect: Connect) -> None:
    channel = connect().channel()
    channel.exchange_declare("chat", "fanout")
    send(channel, *(str(n) * 1000 for n in range(3000)), exchange="chat")
    small = connect().channel()
    change_limits(store_of(small), history_max_bytes=500_000)

    def used() -> int:
        return int(store_of(small).read(history.used_bytes))

    before = used()
    send(small, "x", exchange="chat")
    assert before - 2 * history.STEP_MESSAGES * 5000 < used() < before
    for _ in range(10):
        send(small, "y" * 600_000, exchange="chat")
    assert used() < 2_000_000


def test_pruning_keeps_what_a_lasting_queue_still_needs(connect: Connect) -> None:
    channel = connect(history_max_age=0.0).channel()
    channel.exchange_declare("chat", "fanout")
    channel.queue_declare("lasting", durable=True)
    channel.queue_bind("lasting", "chat")
    texts = [f"m{n}" for n in range(2000)]
    send(channel, *texts, exchange="chat")
    channel.connection.publisher._prune()
    late = connect()
    # One is left, whose number has to stay; it is too old as well.
    floor = store_of(channel).value("SELECT floor FROM exchange WHERE name = 'chat'")
    assert store_of(channel).value("SELECT count(*) FROM message WHERE seq > ?", floor) == 1
    assert rest(late, listen(late.channel(), own_queue(late.channel(), "chat", x_history_last=5000))) == []
    assert get_all(channel, "lasting") == texts
    assert store_of(channel).value("SELECT count(*) FROM message") < 1000


def test_a_reader_that_falls_behind_the_pruning_continues_with_what_is_left(connect: Connect) -> None:
    slow = connect(history_max_age=0.0)
    channel = slow.channel()
    channel.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"))
    sender = connect().channel()
    send(sender, *map(str, range(2000)), exchange="chat")
    sender.connection.publisher._prune()
    texts = rest(slow, arrived)
    assert texts[-1] == "1999"
    assert len(texts) < 2000
    assert texts == [str(n) for n in range(2000 - len(texts), 2000)]


def test_a_deleted_rooms_history_goes_bit_by_bit(connect: Connect) -> None:
    channel = connect().channel()
    for name in ("chat", "other"):
        channel.exchange_declare(name, "fanout")
    send(channel, *map(str, range(3000)), exchange="chat")
    channel.exchange_delete("chat")
    send(channel, *map(str, range(3000)), exchange="other")
    channel.connection.publisher._prune()
    store = store_of(channel)
    assert store.value("SELECT count(*) FROM message") == 3000
    assert store.value("SELECT count(*) FROM exchange WHERE name IS NULL") == 0


def missing_marks(connection: Any) -> list[marks.Mark]:
    store = connection.connection.store
    due: list[marks.Mark] = store.read(lambda db: marks.missing(db, store.limits))
    return due


def test_beginning_costs_the_same_however_long_the_history_is(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    send(channel, "first", exchange="chat")
    # Many rows by one statement: publishing them one by one would take long. To read them all would take seconds.
    connection.connection.store.write(
        lambda db: db.execute(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
            " INSERT INTO message SELECT m.seq + i, m.exchange, '', m.published_at, NULL, '{}', CAST('m' || i AS BLOB)"
            " FROM n, message m"
        )
    )
    # Publishers do that as they go.
    wait_until(lambda: connection.connection.publisher._prune() or not missing_marks(connection), 60)
    wall, kernel = time.time, clock._kernel  # what came in the last minute is looked at
    monkeypatch.setattr(time, "time", lambda: wall() + 3600)
    monkeypatch.setattr(clock, "_kernel", lambda: kernel() + 3600)
    thousands: list[None] = []
    connection.connection.store.db.set_progress_handler(lambda: thousands.append(None), 1000)
    for arguments in ({"x_history_last": 10}, {"x_history_since": time.time()}):
        arrived = listen(channel, own_queue(channel, "chat", **arguments))
        send(channel, "now", exchange="chat")
        drain(connection, arrived, 11 if "x_history_last" in arguments else 1)
    # Instructions of SQLite's virtual machine: to look at each row would take a million and more.
    assert len(thousands) < 100
