"""Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
import redis

from tests.brokers.ports import free_port
from tests.brokers.redis import Redis
from tests.contract.places import base
from tests.contract.places.base import Way


class Place(base.Place):
    """A database of a Redis."""

    name: ClassVar[str] = "redis"
    keeps_foreign: ClassVar[bool] = False  # a PUBLISH alone is written nowhere

    def __init__(self, server: Redis, url: str) -> None:
        super().__init__(Way(url))
        self._server = server
        self._database = int(urlsplit(url).path[1:])

    @classmethod
    @contextmanager
    def shared(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls(request.getfixturevalue("redis_server"), request.getfixturevalue("redis_url"))

    @classmethod
    @contextmanager
    def own(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        server = request.getfixturevalue("own_redis")
        yield cls(server, server.url)

    def _channel(self, room: str) -> str:
        return f"/{self._database}.{room}"

    def publish(self, room: str, body: bytes) -> None:
        with redis.Redis.from_url(self.way.url) as client:
            client.publish(self._channel(room), body)

    def leftovers(self, room: str) -> list[str]:
        with redis.Redis.from_url(self.way.url) as client:
            return [str(each) for each in [*client.pubsub_channels(), *client.keys("*")]]

    def restart(self) -> bool:
        self._server.restart()
        return True

    @contextmanager
    def send_only(self, room: str) -> Iterator[Way]:
        name = f"sender-{secrets.token_hex(4)}"
        rights = ["resetchannels", f"&{self._channel(room)}", "+publish", "+ping", "+select"]
        self._server.command("ACL", "SETUSER", name, "on", ">secret", *rights)
        try:
            yield Way(self.way.url.replace("redis://", f"redis://{name}:secret@"))
        finally:
            self._server.command("ACL", "DELUSER", name)

    def nowhere(self) -> Way:
        return Way(f"redis://127.0.0.1:{free_port()}/0")
