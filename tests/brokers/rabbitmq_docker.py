"""RabbitMQ by Docker: ``compose/rabbitmq.yml``, brought up through pytest-docker under a name of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.brokers.docker import COMPOSE, Compose, compose_up
from tests.brokers.found import NotHere
from tests.brokers.ports import free_port
from tests.brokers.rabbitmq_node import RabbitMQ

HOST = "127.0.0.1"


class DockerRabbitMQ(RabbitMQ):
    """A node in a container.

    Arguments:
        compose: the project it belongs to.
        service: its service in the compose files.
        ports: on this machine, of AMQP and of the management API.
        password: of the account ``rmq``.
        tls: the folder of its certificates. Default none.
    """

    def __init__(
        self, compose: Compose, service: str, ports: tuple[int, int], password: str, tls: Path | None = None
    ) -> None:
        self._compose = compose
        self._service = service
        port, management_port = ports
        super().__init__(HOST, port, "rmq", password, f"http://{HOST}:{management_port}", "Docker", tls)

    @property
    def running(self) -> bool:
        return self._compose.running(self._service)

    def log_tail(self) -> str:
        return self._compose.run("logs", "--no-color", "--tail", "40", self._service)

    def start(self) -> None:
        self._compose.run("start", self._service)
        self.wait_until_ready()

    def stop(self) -> None:
        self._compose.run("stop", self._service)

    def kill(self) -> None:
        if self.running:
            self._compose.run("kill", self._service)

    def ctl(self, *arguments: str) -> str:
        return self._compose.run("exec", "-T", self._service, "rabbitmqctl", "-q", *arguments)


@contextmanager
def cluster(folder: Path, count: int = 1) -> Iterator[list[RabbitMQ]]:
    """Gives a number of running nodes of one cluster; one is a cluster of one.

    Raises:
        NotHere: no engine answers, or it has no such image and cannot get it.
    """
    if count > 2:
        raise NotHere("the compose files describe two nodes at most")
    password = secrets.token_urlsafe(12)
    ports = [(free_port(HOST), free_port(HOST)) for _ in range(count)]
    variables = {
        "RABBITMQ_DEFAULT_USER": "rmq",
        "RABBITMQ_DEFAULT_PASS": password,
        "KCHAT_BIND": HOST,
        "KCHAT_AMQP_PORT": str(ports[0][0]),
        "KCHAT_MANAGEMENT_PORT": str(ports[0][1]),
    }
    files, services = [COMPOSE / "rabbitmq.yml"], ["rabbitmq"]
    if count == 2:
        files.append(Path(__file__).with_name("rabbitmq-cluster.yml"))
        services.append("rabbitmq2")
        variables |= {
            "KCHAT_TEST_COOKIE": secrets.token_hex(16),
            "KCHAT_TEST_AMQP_PORT_2": str(ports[1][0]),
            "KCHAT_TEST_MANAGEMENT_PORT_2": str(ports[1][1]),
        }
    with compose_up(files, "KCHAT_RABBITMQ_NAME", variables) as compose:
        nodes = [DockerRabbitMQ(compose, *pair, password) for pair in zip(services, ports, strict=True)]
        for node in nodes:
            node.wait_until_ready()
        yield list(nodes)


@contextmanager
def with_tls(tls: Path) -> Iterator[RabbitMQ]:
    """Gives a running node with TLS: ``compose/rabbitmq-tls.yml``.

    Arguments:
        tls: the folder with its certificates.

    Raises:
        NotHere: no engine answers, or it has no such image and cannot get it.
    """
    password = secrets.token_urlsafe(12)
    ports = free_port(HOST), free_port(HOST)
    variables = {
        "RABBITMQ_DEFAULT_USER": "rmq",
        "RABBITMQ_DEFAULT_PASS": password,
        "KCHAT_BIND": HOST,
        "KCHAT_AMQPS_PORT": str(ports[0]),
        "KCHAT_MANAGEMENT_PORT": str(ports[1]),
        "KCHAT_TLS_DIR": str(tls),
    }
    with compose_up([COMPOSE / "rabbitmq-tls.yml"], "KCHAT_RABBITMQ_NAME", variables) as compose:
        node = DockerRabbitMQ(compose, "rabbitmq", ports, password, tls)
        node.wait_until_ready()
        yield node
