"""Threads at one connection of an embedded room: closing under a drain, forking under load, callbacks that wait."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
from amqp.exceptions import RecoverableConnectionError

from tests.brokers.processes import Commands
from tests.brokers.wait import Deadline
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

    def drain_for_long() -> None:
        try:
            while True:
                with suppress(TimeoutError):
                    connection.connection.drain_events(30 if quiet else 0.001)
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            ended.append(error)

    thread = threading.Thread(target=drain_for_long, daemon=True)
    thread.start()
    send(connect().channel(), "hello", exchange="chat")
    assert first.wait(10)
    connection.connection.close()
    thread.join(10)
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
        thread.join(10)

    channel.basic_consume("q", callback=answer)
    send(other, "a", "b", routing_key="q")
    deadline = Deadline(30)
    while len(answers) < 2:
        connection.drain_events(timeout=deadline.left)
    assert answers == [b"a", b"b"]


def test_what_needs_no_acknowledgement_and_was_delivered_does_not_come_back_after_a_close_in_its_callback(
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
    connection.drain_events(timeout=10)
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
