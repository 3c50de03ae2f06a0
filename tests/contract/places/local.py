"""The embedded room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import kombu
import pytest

from kchat import Settings, Subscriber
from tests.brokers.processes import Commands
from tests.contract.places import base
from tests.contract.places.base import Link, Way


class Place(base.Place):
    """A file of the test's own."""

    name: ClassVar[str] = "local"

    def __init__(self, folder: Path, commands: Commands) -> None:
        super().__init__(Way(f"{self.name}://{folder}/room.db"))
        self._folder = folder
        self._commands = commands

    @classmethod
    @contextmanager
    def shared(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls(request.getfixturevalue("tmp_path"), request.getfixturevalue("commands"))

    @classmethod
    @contextmanager
    def own(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        with cls.shared(request) as place:
            yield place

    def _connection(self) -> Any:
        return kombu.Connection(self.way.url, transport=self.info.schemes[self.name])

    def publish(self, room: str, body: bytes) -> None:
        with self._connection() as connection, connection.channel() as channel:
            channel.basic_publish(channel.prepare_message(body), exchange=room)

    def leftovers(self, room: str) -> list[str]:
        # The next process to publish cleans up after the dead ones.
        self.publish("", b"")
        with self._connection() as connection:
            return [
                each["destination"] for each in connection.manager.get_bindings() if each["source"] == room
            ]

    @contextmanager
    def link(self) -> Iterator[Link | None]:
        # There is no network. A name for the file that leads elsewhere disconnects whoever uses it.
        link, elsewhere = self._folder / "link.db", self._folder / "elsewhere.db"
        with Subscriber(Settings.resolve(url=f"{self.name}://{elsewhere}", room="elsewhere"), "bob"):
            pass  # which makes it

        def lead_to(file: Path) -> None:
            new = link.with_suffix(".new")
            new.symlink_to(file)
            new.rename(link)

        lead_to(self._folder / "room.db")
        yield Link(
            Way(f"{self.name}://{link}"),
            lambda: lead_to(elsewhere),
            lambda: lead_to(self._folder / "room.db"),
        )

    def restart(self) -> bool:
        # There is no server. What comes closest is a process that is killed while it writes.
        writer = self._commands.kchat(
            *("send", "--url", self.way.url, "--room", "elsewhere", "--bot", "--bot-wait-s", "0")
        )
        with self._connection() as connection:
            listener = connection.SimpleBuffer(
                kombu.Queue("", kombu.Exchange("elsewhere", "fanout", durable=False), exclusive=True)
            )
            listener.get(timeout=30)
            writer.kill()
            listener.close()
        return False

    @contextmanager
    def send_only(self, room: str) -> Iterator[Way]:
        raise NotImplementedError("there are no accounts")

    def nowhere(self) -> Way:
        file = self._folder / "no room.db"
        file.write_bytes(b"this is not a database" * 100)
        return Way(f"{self.name}://{file}".replace(" ", "%20"))
