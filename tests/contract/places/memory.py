"""Kombu's transport inside one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import kombu
import pytest

from tests.contract.places import base
from tests.contract.places.base import Way


class Place(base.Place):
    """This process. What is said to another cannot be heard, so there is nothing that kills, restarts or is refused."""

    name: ClassVar[str] = "memory"

    @classmethod
    @contextmanager
    def shared(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls(Way("memory://"))

    @classmethod
    @contextmanager
    def own(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls(Way("memory://"))

    def publish(self, room: str, body: bytes) -> None:
        with kombu.Connection(self.way.url) as connection, connection.channel() as channel:
            channel.basic_publish(channel.prepare_message(body), exchange=room, routing_key="")

    def leftovers(self, room: str) -> list[str]:
        raise NotImplementedError("nobody can be killed and leave something")

    def restart(self) -> bool:
        raise NotImplementedError("nothing outlives the process")

    @contextmanager
    def send_only(self, room: str) -> Iterator[Way]:
        raise NotImplementedError("there are no accounts")

    def nowhere(self) -> Way:
        raise NotImplementedError("the process is always there")
