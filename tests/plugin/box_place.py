"""Where the contract of the transport ``box`` is tested: ``pytest tests/contract --place box_place:Place``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import kombu
import pytest

from tests.contract import places


class Place(places.Place):
    """This process."""

    name: ClassVar[str] = "box"

    @classmethod
    @contextmanager
    def shared(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls(places.Way("box://"))

    @classmethod
    @contextmanager
    def own(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls(places.Way("box://"))

    def publish(self, room: str, body: bytes) -> None:
        connection = kombu.Connection("box://", transport="kchat_box.transport:Transport")
        with connection, connection.channel() as channel:
            channel.basic_publish(channel.prepare_message(body), exchange=room, routing_key="")

    def leftovers(self, room: str) -> list[str]:
        raise NotImplementedError("nobody can be killed and leave something")

    def restart(self) -> bool:
        raise NotImplementedError("nothing outlives the process")

    @contextmanager
    def send_only(self, room: str) -> Iterator[places.Way]:
        raise NotImplementedError("there are no accounts")

    def nowhere(self) -> places.Way:
        raise NotImplementedError("the process is always there")
