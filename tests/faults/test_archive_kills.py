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

from kchat import Settings, archive
from tests.brokers.processes import Commands, Process
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.faults.parts import Sending

_ALL = os.environ.get("KCHAT_TEST_ARCHIVE") == "all"
KILLS, BROKER_KILLS = (50, 10) if _ALL else (4, 1)
PER_SECOND = 500


class Load:
    """Texts at a rate, until it is ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def __iter__(self) -> Iterator[str | None]:
        began, number = time.monotonic(), 0
        while not self.ended.is_set():
            while number < (time.monotonic() - began) * PER_SECOND:
                yield str(number)
                number += 1
            yield None
            self.ended.wait(0.005)


class Archive:
    """An archiver that is started again and again."""

    def __init__(self, commands: Commands, url: str, room: str, path: Path) -> None:
        self._commands = commands
        self._words = ["archive", "--to", str(path), "--url", url, "-r", room, "--wait"]
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
) -> None:
    """Kill one or the other, and look."""
    chance = random.Random(15)
    kills = ["archiver"] * KILLS + ["broker"] * (0 if kill_broker is None else BROKER_KILLS)
    chance.shuffle(kills)
    load = Load()
    pause = threading.Event()
    process = archiver.start()
    try:
        with Sending(settings, load, reconnect_for=300, blocked_for=300) as sending:
            for what in kills:
                before = archiver.count()
                wait_until(lambda before=before: archiver.count() > before, 60, "more messages")  # type: ignore[misc]
                pause.wait(chance.uniform(0, 0.5))
                if what == "broker" and kill_broker is not None:
                    kill_broker()
                else:
                    process.kill()
                    process = archiver.start()
            load.ended.set()
            sending.join(120)
        assert sending.error is None
        assert all(receipt.confirmed for receipt in sending.receipts)
        sent = [str(receipt.message.text) for receipt in sending.receipts]
        wait_until(lambda: archiver.count() >= len(sent), 60, lambda: f"{len(sent)}; {archiver.count()}")
        process.interrupt()
        assert process.wait(30) == 0
    finally:
        load.ended.set()
    archiver.check(sent)
    fault = f"killed {KILLS} times" + (f", its broker {BROKER_KILLS} times" if kill_broker else "")
    measured(fault, f"archive of {len(sent)} messages", on=settings.transport.name, lost=0)


def test_what_rabbitmq_took_is_archived_once_whatever_is_killed(
    own_rabbitmq: RabbitMQ, commands: Commands, room: str, tmp_path: Path, measured: Callable[..., None]
) -> None:
    settings = Settings.resolve(url=own_rabbitmq.url, room=room)

    def kill_broker() -> None:
        own_rabbitmq.kill()
        own_rabbitmq.start()

    run(Archive(commands, own_rabbitmq.url, room, tmp_path / "archive.db"), settings, measured, kill_broker)


def test_what_the_embedded_room_took_is_archived_once_however_often_the_archiver_is_killed(
    local_url: str, commands: Commands, room: str, tmp_path: Path, measured: Callable[..., None]
) -> None:
    settings = Settings.resolve(url=local_url, room=room)
    run(Archive(commands, local_url, room, tmp_path / "archive.db"), settings, measured)
