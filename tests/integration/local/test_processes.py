"""Several processes at one room: at once, killed, stopped, forked."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import NotFound, ResourceLocked

from tests.brokers.wait import soon, wait_until
from tests.integration.local.conftest import Connect, Work
from tests.integration.local.drive import bodies, drain, get_all, listen, own_queue, rest, send


def exists(channel: Any, queue: str) -> bool:
    """Whether there is such a queue, as far as this channel's connection can see."""
    try:
        channel.queue_declare(queue, passive=True)
    except NotFound:
        return False
    except ResourceLocked:
        return True
    return True


def swept(connect: Connect) -> Any:
    """A channel of a newcomer, who has published once: that is when it clears away after the dead."""
    channel = connect().channel()
    send(channel, "anybody?", routing_key="nobody")
    return channel


def test_ten_subscribers_three_senders_ten_thousand_messages(connect: Connect, work: Work) -> None:
    connect().channel().exchange_declare("chat", "fanout")
    counts = [3334, 3333, 3333]
    subscribers = [work("subscribe", "chat", sum(counts)) for _ in range(10)]
    for subscriber in subscribers:
        assert subscriber.read_line().startswith("listening")
    senders = [work("send", "chat", "", f"sender{n}", count) for n, count in enumerate(counts)]
    for sender in senders:
        assert sender.wait(60) == 0
    for subscriber in subscribers:
        assert subscriber.wait(60) == 0
        by_sender: dict[str, list[int]] = defaultdict(list)
        for line in subscriber.lines[1:]:
            name, number = line.split()
            by_sender[name].append(int(number))
        assert by_sender == {f"sender{n}": list(range(count)) for n, count in enumerate(counts)}


def test_many_writers_wait_for_their_turn(connect: Connect, work: Work) -> None:
    channel = connect().channel()
    channel.queue_declare("jobs")
    senders = [work("send", "", "jobs", f"s{n}", 500) for n in range(6)]
    for sender in senders:
        assert sender.wait(60) == 0, sender.stderr
    texts = get_all(channel, "jobs")
    for n in range(6):
        assert [text for text in texts if text.startswith(f"s{n} ")] == [f"s{n} {i}" for i in range(500)]


def test_a_killed_subscriber_leaves_nothing_behind(connect: Connect, work: Work, path: Path) -> None:
    subscriber = work("subscribe", "chat")
    queue = subscriber.read_line().split()[1]
    assert exists(connect().channel(), queue)
    subscriber.kill()
    newcomer = swept(connect)
    assert not exists(newcomer, queue)
    assert not newcomer.connection.store.value("SELECT count(*) FROM queue")
    assert not Path(f"{path}-owners").exists()


def test_a_sender_learns_that_its_only_listener_was_killed(connect: Connect, work: Work) -> None:
    subscriber = work("subscribe", "chat")
    subscriber.read_line()
    sender = connect().channel()
    returned: list[Any] = []
    sender.events["basic_return"].add(lambda *arguments: returned.append(arguments))
    message = sender.prepare_message(b"anybody?")
    sender.basic_publish(message, exchange="chat", mandatory=True)
    assert returned == []
    subscriber.kill()

    def told() -> bool:
        sender.basic_publish(message, exchange="chat", mandatory=True)
        return bool(returned)

    wait_until(told, 5)


def test_messages_of_a_killed_consumer_go_to_the_others(connect: Connect, work: Work) -> None:
    mine = connect()
    channel = mine.channel()
    channel.queue_declare("jobs")
    holder = work("hold", "jobs", 3)
    holder.read_line()
    send(channel, *"abcd", routing_key="jobs")
    assert holder.wait_for_lines(4)[1:] == ["a", "b", "c"]
    arrived = listen(channel, "jobs")
    assert drain(mine, arrived, 1) == ["d"]
    holder.kill()
    drain(mine, arrived, 4)
    assert bodies(arrived[1:]) == ["a", "b", "c"]
    assert all(delivery.delivery_info["redelivered"] for delivery in arrived[1:])


def test_an_auto_delete_queue_goes_with_its_killed_consumer(connect: Connect, work: Work) -> None:
    channel = connect().channel()
    channel.queue_declare("jobs", auto_delete=True)
    consumer = work("compete", "jobs")
    consumer.read_line()
    consumer.kill()
    assert not exists(swept(connect), "jobs")


def test_a_stopped_process_is_alive(connect: Connect, work: Work) -> None:
    subscriber = work("subscribe", "chat", 2)
    queue = subscriber.read_line().split()[1]
    subscriber.pause()
    sender = swept(connect)
    assert exists(sender, queue)
    send(sender, "one", "two", exchange="chat")
    subscriber.resume()
    assert subscriber.wait() == 0
    assert subscriber.lines[1:] == ["one", "two"]


def test_the_name_of_a_dead_owners_queue_can_be_taken_at_once(connect: Connect, work: Work) -> None:
    channel = connect().channel()
    owner = work("own", "mine")
    owner.read_line()
    with pytest.raises(ResourceLocked):
        channel.queue_declare("mine", exclusive=True)
    owner.kill()
    assert channel.queue_declare("mine", exclusive=True).queue == "mine"


def test_a_forked_child_neither_keeps_its_parent_alive_nor_uses_its_connection(
    connect: Connect, work: Work
) -> None:
    parent = work("fork", "mine")
    child = None
    try:
        said = sorted(parent.wait_for_lines(2), reverse=True)
        assert "before a fork" in said[0]
        child = int(said[1].split()[1])
        channel = connect().channel()
        assert exists(channel, "mine")
        parent.kill()
        os.kill(child, 0)
        assert not exists(swept(connect), "mine")
    finally:
        if child is not None:
            os.kill(child, signal.SIGKILL)


def test_a_killed_writer_neither_corrupts_nor_blocks(connect: Connect, work: Work) -> None:
    listener = connect()
    channel = listener.channel()
    channel.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"))
    store = listener.connection.store
    confirmed = []
    for _ in range(5):
        writers = [work("flood", "chat") for _ in range(2)]
        for writer in writers:
            writer.wait_for_lines(200)
        for writer in writers:
            writer.kill()
            confirmed.append([line for line in writer.lines if line.isdigit()])
        send(connect().channel(), "end", exchange="chat")
    assert store.value("PRAGMA integrity_check") == "ok"
    texts = rest(listener, arrived)
    # All that was confirmed is there; of each writer, one more may have been committed than it could tell.
    assert texts.count("end") == 5
    assert not Counter(number for numbers in confirmed for number in numbers) - Counter(texts)


def test_a_killed_reader_blocks_nobody(connect: Connect, work: Work) -> None:
    channel = connect().channel()
    channel.exchange_declare("chat", "fanout")
    writer = work("flood", "chat")
    writer.wait_for_lines(10)
    for _ in range(4):
        readers = [work("subscribe", "chat") for _ in range(2)]
        for reader in readers:
            reader.wait_for_lines(50)
            reader.kill()
        count = len(writer.lines)
        writer.wait_for_lines(count + 100)
    writer.kill()
    assert channel.connection.store.value("PRAGMA integrity_check") == "ok"
    swept(connect)
    assert channel.connection.store.value("SELECT count(*) FROM queue") == 0


def test_competing_processes_lose_and_double_nothing(connect: Connect, work: Work) -> None:
    channel = connect().channel()
    channel.queue_declare("jobs")
    consumers = [work("compete", "jobs", 5) for _ in range(3)]
    for consumer in consumers:
        consumer.read_line()
    send(channel, *map(str, range(600)), routing_key="jobs")

    def taken() -> list[str]:
        return [line for consumer in consumers for line in consumer.lines[1:]]

    wait_until(lambda: len(taken()) >= 600, 30)
    assert sorted(taken(), key=int) == [str(n) for n in range(600)]
    assert all(len(consumer.lines) > 1 for consumer in consumers)


def test_waiting_for_a_turn_ends_with_a_clear_error(connect: Connect, path: Path) -> None:
    holder, waiter = connect(), connect(busy_timeout=0.2).channel()
    waiter.exchange_declare("chat", "fanout")
    store = holder.connection.store
    store.db.execute("BEGIN IMMEDIATE")
    try:
        begin = time.monotonic()
        with pytest.raises(waiter.connection.client.connection_errors, match=r"locked for 0\.2 s") as caught:
            send(waiter, "x", exchange="chat")
        assert 0.2 <= time.monotonic() - begin < soon(2)
        assert str(path) in str(caught.value)
    finally:
        store.db.execute("ROLLBACK")
    send(waiter, "y", exchange="chat")
    assert store.value("SELECT count(*) FROM message") == 1


def test_closing_waits_for_nobody_for_long(connect: Connect) -> None:
    leaver, holder = connect(), connect()
    leaver.channel().queue_declare("mine", exclusive=True)
    holder.connection.store.db.execute("BEGIN IMMEDIATE")
    begin = time.monotonic()
    leaver.release()
    assert time.monotonic() - begin < soon(3)
    holder.connection.store.db.execute("ROLLBACK")
    assert not exists(swept(connect), "mine")


def test_a_reader_is_not_held_up_by_a_writer(connect: Connect) -> None:
    writer, reader = connect(), connect()
    channel = reader.channel()
    channel.exchange_declare("chat", "fanout")
    arrived = listen(channel, own_queue(channel, "chat"))
    send(channel, "before", exchange="chat")
    writer.connection.store.db.execute("BEGIN IMMEDIATE")
    try:
        assert rest(reader, arrived) == ["before"]
    finally:
        writer.connection.store.db.execute("ROLLBACK")


def test_many_processes_may_make_the_file_at_once(connect: Connect, work: Work, path: Path) -> None:
    subscribers = [work("subscribe", "chat", 1) for _ in range(6)]
    for subscriber in subscribers:
        assert subscriber.read_line().startswith("listening"), subscriber.stderr
    send(connect().channel(), "x", exchange="chat")
    for subscriber in subscribers:
        assert subscriber.wait() == 0
        assert subscriber.lines[1:] == ["x"]
    assert not Path(f"{path}-owners").exists()
