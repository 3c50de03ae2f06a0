"""A Redis for the tests: the one in the environment, else by Docker, else the machine's ``redis-server``."""

from __future__ import annotations

import abc
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import redis

from tests.brokers.daemon import Daemon
from tests.brokers.docker import COMPOSE, Compose, compose_up
from tests.brokers.found import NotHere, first_that_starts
from tests.brokers.ports import free_port, listens
from tests.brokers.require import missing
from tests.brokers.wait import wait_until

HOST = "127.0.0.1"
DATABASES = 16
"""How many numbered databases a Redis has by default."""


class Redis(abc.ABC):
    """One Redis server.

    Arguments:
        url: of its database 0.
        origin: where it came from, for the summary.
    """

    def __init__(self, url: str, origin: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or HOST
        self.port = parts.port or 6379
        self.origin = origin
        self._databases = 0

    def __repr__(self) -> str:
        return f"<Redis at {self.host}:{self.port} from {self.origin}>"

    def url_for(self, database: int) -> str:
        """Returns the URL of one numbered database."""
        return urlsplit(self.url)._replace(path=f"/{database}").geturl()

    def new_database(self) -> str:
        """Returns the URL of an empty database; after the sixteenth they come round again, emptied."""
        self._databases += 1
        url = self.url_for(self._databases % DATABASES)
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        return url

    def command(self, *words: str) -> object:
        """Sends one Redis command to database 0, such as ``CLIENT LIST``, and returns the answer."""
        with redis.Redis.from_url(self.url) as client:
            answer: object = client.execute_command(*words)
            return answer

    def wait_until_ready(self, seconds: float = 20.0) -> None:
        """Returns when the server answers."""
        wait_until(self._ready, seconds, f"{self} ready")

    def _ready(self) -> bool:
        try:
            return bool(self.command("PING"))
        except redis.ConnectionError:
            return False

    def restart(self) -> None:
        """Ends the server by ``kill -9`` and starts it again on the same port, empty."""
        self.kill()
        self.start()

    @abc.abstractmethod
    def start(self) -> None:
        """Starts the server and returns when it answers."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Ends the server by ``kill -9``."""


class ForeignRedis(Redis):
    """The Redis of a URL in the environment. It is not ours to stop."""

    def start(self) -> None:
        missing(f"the Redis of {self.origin} is not ours to start; unset it")

    def kill(self) -> None:
        missing(f"the Redis of {self.origin} is not ours to stop; unset it")


class MachineRedis(Redis):
    """The machine's own ``redis-server`` on a free port, keeping nothing on disk."""

    def __init__(self, folder: Path) -> None:
        server = shutil.which("redis-server")
        if server is None:
            raise NotHere("redis-server is not installed")
        port = free_port(HOST)
        super().__init__(f"redis://{HOST}:{port}/0", server)
        settings = f"--bind {HOST} --port {port} --dir {folder} --appendonly no"
        self._server = Daemon([server, *settings.split(), "--save", ""], folder / "redis.log")

    def start(self) -> None:
        self._server.start()
        self.wait_until_ready()

    def kill(self) -> None:
        self._server.kill()
        wait_until(lambda: not listens(self.host, self.port), 5, "the killed server's port to close")


class DockerRedis(Redis):
    """A Redis in a container."""

    def __init__(self, compose: Compose, port: int) -> None:
        super().__init__(f"redis://{HOST}:{port}/0", "Docker")
        self._compose = compose

    def start(self) -> None:
        self._compose.run("start", "redis")
        self.wait_until_ready()

    def kill(self) -> None:
        self._compose.run("kill", "redis")


@contextmanager
def find_redis(folder: Path) -> Iterator[Redis]:
    """Gives a Redis that tests share: of ``KCHAT_TEST_REDIS_URL``, by Docker, or the machine's.

    The databases of a Redis in the environment are emptied.
    """
    if url := os.environ.get("KCHAT_TEST_REDIS_URL"):
        foreign = ForeignRedis(url, "KCHAT_TEST_REDIS_URL")
        foreign.wait_until_ready()
        yield foreign
        return
    with start_redis(folder) as server:
        yield server


def start_redis(folder: Path) -> AbstractContextManager[Redis]:
    """Gives a Redis that a test may kill and start: by Docker, else the machine's."""
    return first_that_starts("Redis", docker=_by_docker, machine=lambda: _by_machine(folder))


@contextmanager
def _by_docker() -> Iterator[Redis]:
    port = free_port(HOST)
    variables = {"KCHAT_BIND": HOST, "KCHAT_REDIS_PORT": str(port)}
    with compose_up([COMPOSE / "redis.yml"], "KCHAT_REDIS_NAME", variables) as compose:
        server = DockerRedis(compose, port)
        server.wait_until_ready()
        yield server


@contextmanager
def _by_machine(folder: Path) -> Iterator[Redis]:
    server = MachineRedis(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
