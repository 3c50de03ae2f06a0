"""RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import ClassVar

import pika
import pytest

from tests.brokers.ports import free_port
from tests.brokers.rabbitmq import RabbitMQ
from tests.contract.places import base
from tests.contract.places.base import Way


class Place(base.Place):
    """A virtual host of a RabbitMQ."""

    name: ClassVar[str] = "amqp"

    def __init__(self, node: RabbitMQ, vhost: str) -> None:
        super().__init__(Way(node.url_for(vhost)))
        self.management_url = node.management_url
        self._node = node
        self._vhost = vhost

    @classmethod
    @contextmanager
    def shared(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        yield cls(request.getfixturevalue("rabbitmq"), request.getfixturevalue("vhost"))

    @classmethod
    @contextmanager
    def own(cls, request: pytest.FixtureRequest) -> Iterator[Place]:
        node = request.getfixturevalue("own_rabbitmq")
        yield cls(node, node.vhost)

    def publish(self, room: str, body: bytes) -> None:
        with closing(pika.BlockingConnection(pika.URLParameters(self.way.url))) as connection:
            connection.channel().basic_publish(room, "", body)

    def leftovers(self, room: str) -> list[str]:
        return [queue["name"] for queue in self._node.management.queues(self._vhost)]

    def restart(self) -> bool:
        self._node.restart()
        return True

    @contextmanager
    def send_only(self, room: str) -> Iterator[Way]:
        with self._node.new_account(self._vhost, write=f"^{room}$") as account:
            yield Way(account.url)

    def nowhere(self) -> Way:
        return Way(f"amqp://127.0.0.1:{free_port()}/")
