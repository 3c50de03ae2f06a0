"""A ClickHouse for the tests: the one in the environment, else by Docker, else the machine's ``clickhouse-server``."""

from __future__ import annotations

import abc
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_driver
from clickhouse_driver.errors import Error

from kchat.hosting.certificates import make_server
from tests.brokers.daemon import Daemon
from tests.brokers.docker import COMPOSE, Compose, compose_up
from tests.brokers.found import NotHere, first_that_starts
from tests.brokers.ports import free_port, listens
from tests.brokers.require import missing
from tests.brokers.wait import wait_until

HOST = "127.0.0.1"

_CONFIG = """\
<yandex>
    <logger><level>warning</level><console>1</console></logger>
    <listen_host>{host}</listen_host>
    <tcp_port>{port}</tcp_port>
    <tcp_port_secure>{tls_port}</tcp_port_secure>
    <openSSL>
        <server>
            <certificateFile>{folder}/tls/server.pem</certificateFile>
            <privateKeyFile>{folder}/tls/server-key.pem</privateKeyFile>
            <verificationMode>none</verificationMode>
        </server>
    </openSSL>
    <path>{folder}/data/</path>
    <tmp_path>{folder}/tmp/</tmp_path>
    <user_files_path>{folder}/files/</user_files_path>
    <format_schema_path>{folder}/formats/</format_schema_path>
    <users_config>{folder}/users.xml</users_config>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
    <timezone>UTC</timezone>
    <mark_cache_size>67108864</mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <max_concurrent_queries>50</max_concurrent_queries>
    <remote_servers>
        <kchat><shard><replica><host>{host}</host><port>{port}</port></replica></shard></kchat>
    </remote_servers>
</yandex>
"""

_USERS = """\
<yandex>
    <profiles>
        <default><max_threads>2</max_threads><background_pool_size>2</background_pool_size></default>
    </profiles>
    <users>
        <default>
            <password></password><networks><ip>::/0</ip></networks>
            <profile>default</profile><quota>default</quota>
        </default>
        <ada>
            <password>s3cret</password><networks><ip>::/0</ip></networks>
            <profile>default</profile><quota>default</quota>
        </ada>
    </users>
    <quotas><default></default></quotas>
</yandex>
"""


class ClickHouse(abc.ABC):
    """One ClickHouse server.

    Arguments:
        url: of its database ``default``.
        origin: where it came from, for the summary.
    """

    def __init__(self, url: str, origin: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or HOST
        self.port = parts.port or 9000
        self.origin = origin

    def __repr__(self) -> str:
        return f"<ClickHouse at {self.host}:{self.port} from {self.origin}>"

    def url_for(self, database: str) -> str:
        """Returns the URL of a database."""
        return urlsplit(self.url)._replace(path=f"/{database}").geturl()

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """Gives the URL of an empty database, which is dropped at the end."""
        name = f"kchat_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url_for(name)
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name}")

    def execute(self, sql: str, url: str = "") -> list[tuple[Any, ...]]:
        """Runs a statement, in the database of a URL, and returns the answer."""
        with clickhouse_driver.Client.from_url(url or self.url) as client:
            answer: list[tuple[Any, ...]] = client.execute(sql)
            return answer

    def wait_until_ready(self, seconds: float = 30.0) -> None:
        """Returns when the server answers."""
        wait_until(self._ready, seconds, f"{self} ready")

    def _ready(self) -> bool:
        try:
            return self.execute("SELECT 1") == [(1,)]
        except (Error, EOFError, OSError):
            return False

    def restart(self) -> None:
        """Ends the server by ``kill -9`` and starts it again on the same port, with its data."""
        self.kill()
        self.start()

    @abc.abstractmethod
    def start(self) -> None:
        """Starts the server and returns when it answers."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Ends the server by ``kill -9``."""


class ForeignClickHouse(ClickHouse):
    """The ClickHouse of a URL in the environment. It is not ours to stop."""

    def start(self) -> None:
        missing(f"the ClickHouse of {self.origin} is not ours to start; unset it")

    def kill(self) -> None:
        missing(f"the ClickHouse of {self.origin} is not ours to stop; unset it")


class MachineClickHouse(ClickHouse):
    """The machine's own ``clickhouse-server`` on free ports, in a folder of its own.

    Attributes:
        tls_port: the port for TLS, whose certificate is by the CA in ``tls/ca.pem`` of the folder.
        folder: of all that it has.
    """

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])  # where Debian has it
        server = shutil.which("clickhouse-server", path=path)
        both = shutil.which("clickhouse")
        if server is None and both is None:
            raise NotHere("clickhouse-server is not installed")
        port = free_port(HOST)
        super().__init__(f"clickhouse://{HOST}:{port}/default", server or both or "")
        for name in ("data", "tmp", "files", "formats"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        config = folder / "config.xml"
        self.folder = folder
        self.tls_port = free_port(HOST)
        make_server(folder / "tls", [])
        config.write_text(_CONFIG.format(host=HOST, port=port, tls_port=self.tls_port, folder=folder))
        (folder / "users.xml").write_text(_USERS)
        command = [server] if server else [str(both), "server"]
        self._server = Daemon([*command, f"--config-file={config}"], folder / "clickhouse.log")

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._server.running

    def start(self) -> None:
        self._server.start()
        self.wait_until_ready()

    def kill(self) -> None:
        self._server.kill()
        wait_until(lambda: not listens(self.host, self.port), 5, "the killed server's port to close")


class DockerClickHouse(ClickHouse):
    """A ClickHouse in a container."""

    def __init__(self, compose: Compose, port: int) -> None:
        super().__init__(f"clickhouse://{HOST}:{port}/default", "Docker")
        self._compose = compose

    def start(self) -> None:
        self._compose.run("start", "clickhouse")
        self.wait_until_ready()

    def kill(self) -> None:
        self._compose.run("kill", "clickhouse")


@contextmanager
def find_clickhouse(folder: Path) -> Iterator[ClickHouse]:
    """Gives a ClickHouse that tests share: of ``KCHAT_TEST_CLICKHOUSE_URL``, by Docker, or the machine's."""
    if url := os.environ.get("KCHAT_TEST_CLICKHOUSE_URL"):
        foreign = ForeignClickHouse(url, "KCHAT_TEST_CLICKHOUSE_URL")
        foreign.wait_until_ready()
        yield foreign
        return
    with start_clickhouse(folder) as server:
        yield server


def start_clickhouse(folder: Path) -> AbstractContextManager[ClickHouse]:
    """Gives a ClickHouse that a test may kill and start: by Docker, else the machine's."""
    return first_that_starts("ClickHouse", docker=_by_docker, machine=lambda: _by_machine(folder))


@contextmanager
def _by_docker() -> Iterator[ClickHouse]:
    port = free_port(HOST)
    variables = {"KCHAT_BIND": HOST, "KCHAT_CLICKHOUSE_PORT": str(port)}
    with compose_up([COMPOSE / "clickhouse.yml"], "KCHAT_CLICKHOUSE_NAME", variables) as compose:
        server = DockerClickHouse(compose, port)
        server.wait_until_ready()
        yield server


@contextmanager
def _by_machine(folder: Path) -> Iterator[ClickHouse]:
    server = MachineClickHouse(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
