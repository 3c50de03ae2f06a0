"""Redis with TLS: the same options, the same errors as on AMQP."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kchat import Sender, Settings, Subscriber, Unreachable, Untrusted
from kchat.hosting.certificates import Made, make_server
from kchat.transports.tls import TlsOptions
from tests.brokers.daemon import Daemon
from tests.brokers.ports import free_port
from tests.brokers.require import missing
from tests.brokers.tls_server import Authority, TlsServer
from tests.brokers.wait import wait_until

PASSWORD = "s3cr3t-of-ada"


class TlsRedis:
    """The machine's ``redis-server`` with TLS and no port without it."""

    def __init__(self, folder: Path) -> None:
        server = shutil.which("redis-server")
        if server is None:
            missing("redis-server is not installed")
        self.made: Made = make_server(folder / "tls", ["broker.example"])
        self.port = free_port()
        settings = (
            f"--port 0 --tls-port {self.port} --bind 127.0.0.1 --dir {folder} --appendonly no --tls-auth-clients no "
            f"--tls-cert-file {self.made.certificate} --tls-key-file {self.made.key} --tls-ca-cert-file {self.made.ca}"
        )
        self.daemon = Daemon([server, *settings.split(), "--save", ""], folder / "redis.log")
        self.daemon.start()
        wait_until(self._answers, 20, (folder / "redis.log").read_text)

    def _answers(self) -> bool:
        try:
            ssl.get_server_certificate(("127.0.0.1", self.port), timeout=10)
        except OSError:
            return False
        return True

    def settings(self, host: str = "localhost", **tls: Any) -> Settings:
        return Settings.resolve(url=f"rediss://{host}:{self.port}/0", tls=TlsOptions(**tls))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedis]:
    started = TlsRedis(tmp_path_factory.mktemp("tls-redis"))
    try:
        yield started
    finally:
        started.daemon.kill()


@pytest.mark.parametrize("trust", ["ca", "pin"])
def test_a_message_goes_both_ways_over_tls(server: TlsRedis, trust: str, room: str) -> None:
    there = server.settings(**{trust: str(server.made.ca) if trust == "ca" else server.made.pin})
    with Subscriber(there, "bob") as subscriber, Sender(there, "ada") as sender:
        assert sender.send("hello").confirmed
        assert sender.send("x" * (1 << 20)).confirmed
        messages = subscriber.receive(timeout=30)
        messages += subscriber.receive(timeout=30) if len(messages) < 2 else []
    assert [len(message.text) for message in messages] == [5, 1 << 20]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "CA that is not trusted"),
        ({"pin": "sha256:" + "ab" * 32}, "somebody may be in between"),
    ],
)
def test_a_server_that_cannot_prove_itself_is_refused(
    server: TlsRedis, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(Untrusted, match=words):
        Sender(server.settings(**options), "ada").send("hello")


def test_a_server_that_is_not_the_pinned_one_is_told_nothing(tmp_path: Path) -> None:
    with TlsServer(Authority(tmp_path).context("localhost")) as impostor:
        url = f"rediss://ada:{PASSWORD}@localhost:{impostor.port}/0"
        pin = TlsOptions(pin="sha256:" + "ab" * 32)
        with pytest.raises(Untrusted):
            Sender(Settings.resolve(url=url, tls=pin), "ada").send("hello")
        impostor.wait_until_ended()
        assert impostor.received == b""


def test_a_server_without_tls_is_named_as_one(redis_url: str) -> None:
    url = redis_url.replace("redis://", "rediss://")
    with pytest.raises(Unreachable, match="TLS handshake") as caught:
        Sender(Settings.resolve(url=url, connect_timeout=1), "ada").send("hello")
    assert "is TLS on" in caught.value.hint


@pytest.mark.parametrize("option", ["ssl_ca_certs={ca}", "ssl_cert_reqs=none"])
def test_redis_pys_own_options_may_stand_in_the_url(server: TlsRedis, room: str, option: str) -> None:
    url = f"rediss://localhost:{server.port}/0?{option.format(ca=server.made.ca)}"
    there = Settings.resolve(url=url, room=room)
    with Subscriber(there, "bob"), Sender(there, "ada") as sender:
        assert sender.send("hello").routed is True
