"""A RabbitMQ for the tests: the one in the environment, else by Docker, else the machine's own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from tests.brokers import rabbitmq_docker, rabbitmq_machine
from tests.brokers.found import first_that_starts
from tests.brokers.rabbitmq_node import Account, RabbitMQ
from tests.brokers.require import missing
from tests.brokers.shared import one_for_all

__all__ = [
    "Account",
    "RabbitMQ",
    "find_rabbitmq",
    "start_rabbitmq",
    "start_rabbitmq_cluster",
    "start_rabbitmq_with_tls",
]


class ForeignRabbitMQ(RabbitMQ):
    """The RabbitMQ of a URL in the environment, or one that another worker has started. It is not ours to stop."""

    @classmethod
    def from_environment(cls) -> ForeignRabbitMQ | None:
        """Returns the node of ``KCHAT_TEST_RABBITMQ_URL``, or None.

        Its management API is at ``KCHAT_TEST_RABBITMQ_MANAGEMENT_URL``, by default port 15672 of the same
        host. The account needs the ``administrator`` tag: each test gets a vhost of its own.
        """
        url = os.environ.get("KCHAT_TEST_RABBITMQ_URL")
        if not url:
            return None
        host = urlsplit(url).hostname or "localhost"
        management = os.environ.get("KCHAT_TEST_RABBITMQ_MANAGEMENT_URL", f"http://{host}:15672")
        return cls.at(url, management, "KCHAT_TEST_RABBITMQ_URL")

    @classmethod
    def at(cls, url: str, management_url: str, origin: str) -> ForeignRabbitMQ:
        """Returns the node of a URL that has an account in it."""
        parts = urlsplit(url)
        return cls(
            parts.hostname or "localhost",
            parts.port or 5672,
            unquote(parts.username or "guest"),
            unquote(parts.password or "guest"),
            management_url,
            origin,
        )

    def _not_ours(self) -> NoReturn:
        missing(f"the RabbitMQ of {self.origin} is not ours to stop or to change; unset it")

    def ctl(self, *arguments: str) -> str:
        self._not_ours()

    def start(self) -> None:
        self._not_ours()

    def stop(self) -> None:
        self._not_ours()

    def kill(self) -> None:
        self._not_ours()

    @property
    def running(self) -> bool:
        return True


@contextmanager
def find_rabbitmq(folder: Path) -> Iterator[RabbitMQ]:
    """Gives a RabbitMQ that tests share: of the environment, by Docker, or the machine's.

    Arguments:
        folder: an empty one, for data and logs.
    """
    foreign = ForeignRabbitMQ.from_environment()
    if foreign is not None:
        foreign.wait_until_ready(10)
        yield foreign
        return
    with one_for_all("rabbitmq", lambda: start_rabbitmq(folder), _describe, _attach) as node:
        yield node


def _describe(node: RabbitMQ) -> Mapping[str, str]:
    return {"url": node.url, "management_url": node.management_url, "origin": node.origin}


def _attach(described: Mapping[str, str]) -> RabbitMQ:
    return ForeignRabbitMQ.at(**described)


@contextmanager
def start_rabbitmq(folder: Path) -> Iterator[RabbitMQ]:
    """Gives a RabbitMQ that a test may stop, kill and start: by Docker, else the machine's."""
    with start_rabbitmq_cluster(folder, 1) as nodes:
        yield nodes[0]


def start_rabbitmq_cluster(folder: Path, count: int) -> AbstractContextManager[list[RabbitMQ]]:
    """Gives a cluster of a number of nodes, which a test may stop, kill and start one by one."""
    return first_that_starts(
        "RabbitMQ",
        docker=lambda: rabbitmq_docker.cluster(folder, count),
        machine=lambda: rabbitmq_machine.cluster(folder, count),
    )


def start_rabbitmq_with_tls(folder: Path, tls: Path) -> AbstractContextManager[RabbitMQ]:
    """Gives a RabbitMQ that speaks AMQP with TLS and no other.

    Arguments:
        folder: an empty one, for data and logs.
        tls: the folder with its certificates, as `kchat certify` makes them.
    """
    return first_that_starts(
        "RabbitMQ with TLS",
        docker=lambda: rabbitmq_docker.with_tls(tls),
        machine=lambda: rabbitmq_machine.with_tls(folder, tls),
    )
