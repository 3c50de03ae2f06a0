"""Threads at one connection of an embedded room: closing under a drain, forking under load, callbacks that wait."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import RecoverableConnectionError

from tests.brokers.processes import Commands
from tests.brokers.wait import Deadline, soon
from tests.integration.local.conftest import Connect
from tests.integration.local.drive import drain, listen, own_queue, send


@pytest.mark.parametrize("quiet", [True, False])
def test_closing_ends_another_threads_drain(connect: Connect, quiet: bool) -> None:
    connection = connect()
    channel = connection.channel()
    channel.exchange_declare("chat", "fanout")
    first = threading.Event()
    channel.basic_consume(own_queue(channel, "chat"), callback=lambda _: first.set())
    ended: list[BaseException] = []
    driver = connection.connection  # once: Kombu connects again where that is asked for and it is closed

    def drain_for_long() -> None:
        try:
            while True:
                with suppress(TimeoutError):
                    driver.drain_events(30 if quiet else 0.001)
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            ended.append(error)

    thread = threading.Thread(target=drain_for_long, daemon=True)
    thread.start()
    send(connect().channel(), "hello", exchange="chat")
    assert first.wait(10)
    driver.close()
    thread.join(30)
    assert [type(each) for each in ended] == [RecoverableConnectionError], ended


def test_a_callback_may_wait_for_another_thread_that_uses_the_connection(connection: Any) -> None:
    channel, other = connection.channel(), connection.channel()
    channel.queue_declare("q")
    other.queue_declare("answers")
    answers: list[Any] = []

    def answer(delivery: Any) -> None:
        def work() -> None:
            channel.basic_ack(delivery.delivery_tag)
            send(other, delivery.body.decode(), routing_key="answers")
            answers.append(other.basic_get("answers", no_ack=True).body)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(30)

    channel.basic_consume("q", callback=answer)
    send(other, "a", "b", routing_key="q")
    deadline = Deadline(soon(30))
    while len(answers) < 2:
        connection.drain_events(timeout=deadline.left)
    assert answers == [b"a", b"b"]


def test_messages_without_acknowledgement_do_not_come_back_after_a_close_in_their_callback(
    connect: Connect,
) -> None:
    connection, other = connect(drain_batch=100), connect()
    other.channel().queue_declare("q")
    send(other.channel(), "a", "b", "c", routing_key="q")
    seen: list[bytes] = []

    def take(delivery: Any) -> None:
        seen.append(delivery.body)
        if len(seen) == 2:
            connection.connection.close()

    connection.channel().basic_consume("q", no_ack=True, callback=take)
    connection.drain_events(timeout=30)
    assert seen == [b"a", b"b"]
    arrived = listen(other.channel(), "q")
    assert drain(other, arrived, 1) == ["c"]


FORKING = """
import os, sys, threading, time
import kombu
from kchat import transports
transports.register()
url = sys.argv[1]
connection = kombu.Connection(url)
connection.connect()
channel = connection.channel()
channel.queue_declare("q")
going = True

def publish():
    mine = connection.channel()
    while going:
        mine.basic_publish(mine.prepare_message("from the parent"), "", "q")

def take():
    while going:
        try:
            connection.drain_events(timeout=0.1)
        except TimeoutError:
            pass

channel.basic_consume("q", callback=lambda message: channel.basic_ack(message.delivery_tag))
threads = [threading.Thread(target=work) for work in (publish, publish, take)]
for thread in threads:
    thread.start()
for _ in range(8):
    child = os.fork()
    if not child:
        try:
            channel.basic_publish(channel.prepare_message("from the child"), "", "q")
        except connection.recoverable_connection_errors:
            connection.connection.close()
        with kombu.Connection(url) as mine:
            mine.channel().basic_publish(channel.prepare_message("from the child"), "", "q")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
going = False
for thread in threads:
    thread.join()
connection.release()
"""


def test_a_process_may_fork_while_its_threads_are_busy_in_the_room(
    commands: Commands, local_url: str
) -> None:
    process = commands.python(FORKING, local_url)
    assert process.wait(30) == 0, process.stderr


class Crowd:
    """Threads that do their work again and again until all is done or one raises."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.wrong: list[BaseException] = []

    def run(self, *works: Callable[[], None]) -> None:
        threads = [threading.Thread(target=self._repeat, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert not self.wrong

    def _repeat(self, work: Callable[[], None]) -> None:
        try:
            while not self.done.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - it is looked at above
            self.wrong.append(error)
            self.done.set()


def test_threads_lose_and_double_nothing_while_the_log_is_removed_under_several_connections(
    connect: Connect, path: Path
) -> None:
    """Two acknowledge while one drains, others send and come and go: all of a process move to the next log together."""
    connection, sender = connect(), connect().channel()
    channel = connection.channel()
    channel.basic_qos(0, 50, False)
    sender.queue_declare("jobs")
    count, crowd = 2000, Crowd()
    got: list[str] = []
    waiting: list[int] = []
    unsent = iter(range(count))

    def take(delivery: Any) -> None:
        got.append(delivery.body.decode())
        waiting.append(delivery.delivery_tag)

    def drain_some() -> None:
        with suppress(TimeoutError):
            connection.connection.drain_events(0.05)

    def acknowledge() -> None:
        with suppress(IndexError):
            channel.basic_ack(waiting.pop())
        if len(got) >= count and not waiting:
            crowd.done.set()

    def send_the_next() -> None:
        number = next(unsent, None)
        send(sender, str(number), routing_key="jobs") if number is not None else crowd.done.wait(0.05)

    def come_and_go() -> None:
        newcomer = connect()
        newcomer.channel().queue_declare("jobs")
        newcomer.release()

    def remove() -> None:
        enough, deadline = min(count, len(got) + 100), Deadline(soon(10))
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        while len(got) < enough and not crowd.done.wait(min(0.01, deadline.left)):
            pass

    channel.basic_consume("jobs", callback=take)
    crowd.run(drain_some, acknowledge, acknowledge, send_the_next, come_and_go, come_and_go, remove)
    assert Counter(got) == Counter(map(str, range(count)))
    store = connection.connection.store
    assert store.openings > 3
    assert store.value("SELECT count(*) FROM queued") == 0
