"""Messages of a plain client, without an id, in an archive whose archiver is killed: each is there as often as it was sent.

A durable queue on RabbitMQ gives no positions, and many texts are the same. ``KCHAT_TEST_ARCHIVE=all`` kills 20 times.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pika
import pytest

from kchat import archive
from tests.brokers.processes import Commands, Process
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import Deadline, wait_until

KILLS = 20 if os.environ.get("KCHAT_TEST_ARCHIVE") == "all" else 3
WORDS = ("ok", "ok", "yes", "no", "hello", "what?", "hmm", "ok!")

KILLED_BEFORE_IT_ACKNOWLEDGES = """\
import os, signal, sys
from kchat.client.subscriber_connection import SubscriberConnection
from kchat.cli import main

left = int(sys.argv.pop(1))
acknowledge = SubscriberConnection.acknowledge

def acknowledge_or_die(connection, tag):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    acknowledge(connection, tag)

SubscriberConnection.acknowledge = acknowledge_or_die
main(sys.argv[1:])
"""


class Plain:
    """A plain client, which publishes texts and counts them."""

    def __init__(self, url: str, room: str) -> None:
        self.sent: Counter[str] = Counter()
        self._room = room
        self._chance = random.Random(15)
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def say(self, count: int) -> None:
        for text in self._chance.choices(WORDS, k=count):
            self._channel.basic_publish(self._room, "", text.encode())
            self.sent[text] += 1

    def close(self) -> None:
        self._connection.close()


class Archiver:
    """An archiver that is started again and again."""

    def __init__(self, commands: Commands, url: str, room: str, path: Path) -> None:
        self._commands = commands
        self._words = ["archive", "--to", str(path), "--url", url, "-r", room]
        self._path = path

    def start(self, *words: str) -> Process:
        return self._commands.kchat(*self._words, *words)

    def start_to_die(self, acknowledgements: int) -> Process:
        return self._commands.python(KILLED_BEFORE_IT_ACKNOWLEDGES, str(acknowledgements), *self._words)

    def texts(self) -> Counter[str]:
        with archive.open(self._path) as found:
            return Counter(str(record.text) for record in found.records())


@pytest.fixture
def archiver(commands: Commands, amqp_url: str, room: str, tmp_path: Path) -> Archiver:
    """One whose durable queue is there."""
    found = Archiver(commands, amqp_url, room, tmp_path / "archive.db")
    first = found.start()
    first.wait_for("listening on", seconds=60)
    first.interrupt()
    assert first.wait(30) == 0, first.stderr
    return found


def finish(archiver: Archiver) -> None:
    last = archiver.start("--idle-timeout", "1")
    assert last.wait(60) == 0, last.stderr


def test_each_is_there_once_if_the_archiver_dies_between_commit_and_acknowledgement(
    archiver: Archiver, amqp_url: str, room: str
) -> None:
    with closing(Plain(amqp_url, room)) as plain:
        for acknowledgements in (0, 0, 1, 0):
            plain.say(700)
            before = archiver.texts().total()
            process = archiver.start_to_die(acknowledgements)
            deadline = Deadline(60)
            while process.running and deadline.left:  # one acknowledgement may be for all that there is
                plain.say(1)
            assert process.wait(5) == -9, process.stderr
            assert archiver.texts().total() >= before
        # Nothing of it was acknowledged but what the first acknowledgement of the third was for.
        plain.say(3)
        finish(archiver)
        assert archiver.texts() == plain.sent


def test_each_is_there_once_whenever_the_archiver_is_killed(
    archiver: Archiver, amqp_url: str, room: str, measured: Callable[..., None]
) -> None:
    chance = random.Random(16)
    with closing(Plain(amqp_url, room)) as plain:
        pause = threading.Event()
        for _ in range(KILLS):
            process = archiver.start()
            process.wait_for("listening on", seconds=60)
            before = archiver.texts().total()
            for _ in range(chance.randint(5, 40)):
                plain.say(10)
                pause.wait(0.01)
            wait_until(lambda before=before: archiver.texts().total() > before, 60, "more messages")  # type: ignore[misc]
            plain.say(chance.randint(1, 100))
            process.kill()
        finish(archiver)
        assert archiver.texts() == plain.sent
        measured(f"killed {KILLS} times", f"archive of {plain.sent.total()} messages without an id", lost=0)


@pytest.mark.slow
def test_each_is_there_once_if_the_broker_is_killed_while_they_are_archived(
    own_rabbitmq: RabbitMQ, commands: Commands, room: str, tmp_path: Path, measured: Callable[..., None]
) -> None:
    archiver = Archiver(commands, own_rabbitmq.url, room, tmp_path / "archive.db")
    process = archiver.start()
    process.wait_for("listening on", seconds=60)
    sent: Counter[str] = Counter()

    def is_back(kills: int) -> bool:
        return process.stderr.count("listening again") >= kills

    for kills in range(1, 4):
        process.pause()
        with closing(Plain(own_rabbitmq.url, room)) as plain:
            plain.say(3000)
        sent.update(plain.sent)
        before = archiver.texts().total()
        process.resume()
        wait_until(lambda before=before: archiver.texts().total() > before, 60, "more messages", pause=0.001)  # type: ignore[misc]
        own_rabbitmq.kill()
        own_rabbitmq.start()
        # It has made the room again, which the plain client cannot.
        wait_until(partial(is_back, kills), 60, "listening again")
        wait_until(
            lambda: archiver.texts().total() >= sent.total(), 90, lambda: f"{archiver.texts().total()}"
        )
    process.interrupt()
    assert process.wait(30) == 0, process.stderr
    finish(archiver)
    assert archiver.texts() == sent
    measured("its broker killed 3 times", f"archive of {sent.total()} messages without an id", lost=0)
