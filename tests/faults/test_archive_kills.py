"""An archiver and its broker, killed at random moments under load: what was sent is in the archive, each message once.

``KCHAT_TEST_ARCHIVE=all`` kills 50 times; else it is shorter.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kchat import Message, Settings, archive
from tests.brokers.processes import Commands, Process
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.faults.parts import Sending

_ALL = os.environ.get("KCHAT_TEST_ARCHIVE") == "all"
KILLS, BROKER_KILLS = (50, 10) if _ALL else (4, 1)
PER_SECOND = 500


class Load:
    """Texts at a rate, until it is ended.

    Arguments:
        bare: whether as a plain client sends them, without an id. Default: they have one.
    """

    def __init__(self, *, bare: bool = False) -> None:
        self.ended = threading.Event()
        self.sent: list[str] = []
        self._bare = bare

    def __iter__(self) -> Iterator[Any]:
        began = time.monotonic()
        while not self.ended.is_set():
            while len(self.sent) < (time.monotonic() - began) * PER_SECOND:
                text = str(len(self.sent))
                self.sent.append(text)
                body = f'{{"username":"ada","message":"{text}"}}'.encode()
                yield Message(None, "", body=body) if self._bare else text
            yield None
            self.ended.wait(0.005)


class Archive:
    """An archiver that is started again and again."""

    def __init__(self, commands: Commands, url: str, room: str, path: Path, *words: str) -> None:
        self._commands = commands
        self._words = ["archive", "--to", str(path), "--url", url, "-r", room, "--wait", *words]
        self.path = path

    def start(self) -> Process:
        process = self._commands.kchat(*self._words)
        process.wait_for("listening on", seconds=60)
        return process

    def count(self) -> int:
        with archive.open(self.path) as found:
            return sum(found.rooms().values())

    def check(self, sent: list[str]) -> None:
        """Whether the messages themselves, and the figures, have each once."""
        with archive.open(self.path) as found:
            texts = [str(record.text) for record in found.records()]
            stats = found.stats()
        assert sorted(map(int, texts)) == sorted(map(int, sent))
        assert (stats.messages, sum(stats.per_hour)) == (len(sent), len(sent))


def run(
    archiver: Archive,
    settings: Settings,
    measured: Callable[..., None],
    kill_broker: Callable[[], object] | None = None,
    *,
    many: int = 1,
    bare: bool = False,
) -> None:
    """Kill one or the other, and look.

    Arguments:
        archiver: what is killed and started.
        settings: the room.
        measured: the fixture.
        kill_broker: kills it, and starts it again. Default: it is left alone.
        many: number of archivers. Default: one.
        bare: whether messages have no ids. Default: they have.
    """
    chance = random.Random(15)
    kills = ["archiver"] * KILLS + ["broker"] * (0 if kill_broker is None else BROKER_KILLS)
    chance.shuffle(kills)
    load = Load(bare=bare)
    pause = threading.Event()
    processes = [archiver.start() for _ in range(many)]
    try:
        with Sending(settings, load, reconnect_for=300, blocked_for=300) as sending:
            for what in kills:
                before = archiver.count()
                wait_until(
                    lambda before=before: archiver.count() > before,  # type: ignore[misc]
                    60,
                    lambda: f"more messages; {sending.state()}\n{[each.stderr for each in processes]}",
                )
                pause.wait(chance.uniform(0, 0.5))
                if what == "broker" and kill_broker is not None:
                    kill_broker()
                else:
                    which = chance.randrange(many)
                    processes[which].kill()
                    processes[which] = archiver.start()
            load.ended.set()
            sending.join(120)
        assert sending.error is None
        assert len(sending.receipts) == len(load.sent)
        assert all(receipt.confirmed for receipt in sending.receipts)
        sent = load.sent
        wait_until(lambda: archiver.count() >= len(sent), 60, lambda: f"{len(sent)}; {archiver.count()}")
        for process in processes:
            process.interrupt()
            assert process.wait(30) == 0
    finally:
        load.ended.set()
    archiver.check(sent)
    fault = f"killed {KILLS} times" + (f", its broker {BROKER_KILLS} times" if kill_broker else "")
    who = f"archive of {len(sent)} messages{' without ids' if bare else ''}{', two archivers' if many > 1 else ''}"
    measured(fault, who, on=settings.transport.name, lost=0)


def test_what_rabbitmq_took_is_archived_once_whatever_is_killed(
    own_rabbitmq: RabbitMQ, commands: Commands, room: str, tmp_path: Path, measured: Callable[..., None]
) -> None:
    settings = Settings.resolve(url=own_rabbitmq.url, room=room)

    archiver = Archive(commands, own_rabbitmq.url, room, tmp_path / "archive.db")

    def kill_broker() -> None:
        own_rabbitmq.kill()
        own_rabbitmq.start()

    # RabbitMQ writes which quorum queues there are some seconds after they were made, or when it ends in order. If it is
    # killed before that, 3.10 elects no leader for such a queue ever again ("leader not known"): not what is tested here.
    process = archiver.start()
    process.interrupt()
    assert process.wait(30) == 0
    own_rabbitmq.ctl("stop_app")
    own_rabbitmq.ctl("start_app")
    own_rabbitmq.wait_until_ready()
    run(archiver, settings, measured, kill_broker)


def test_what_the_embedded_room_took_is_archived_once_however_often_the_archiver_is_killed(
    local_url: str, commands: Commands, room: str, tmp_path: Path, measured: Callable[..., None]
) -> None:
    settings = Settings.resolve(url=local_url, room=room)
    run(Archive(commands, local_url, room, tmp_path / "archive.db"), settings, measured)


@pytest.mark.parametrize("broker", [pytest.param("local_url", marks=pytest.mark.slow), "amqp_url"])
def test_messages_without_an_id_are_archived_once_however_often_the_archiver_is_killed(
    broker: str,
    request: pytest.FixtureRequest,
    commands: Commands,
    room: str,
    tmp_path: Path,
    measured: Callable[..., None],
) -> None:
    url: str = request.getfixturevalue(broker)
    settings = Settings.resolve(url=url, room=room)
    run(Archive(commands, url, room, tmp_path / "archive.db"), settings, measured, bare=True)


@pytest.mark.slow
def test_archivers_that_share_a_queue_archive_each_message_once_whichever_is_killed(
    amqp_url: str, commands: Commands, room: str, tmp_path: Path, measured: Callable[..., None]
) -> None:
    settings = Settings.resolve(url=amqp_url, room=room)
    run(Archive(commands, amqp_url, room, tmp_path / "archive.db", "--shared"), settings, measured, many=2)
