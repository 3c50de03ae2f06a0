"""A self-signed broker with TLS, joined by an invitation that carries its fingerprint or its CA."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from kchat.transports.tls import fingerprint
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.tls_server import Authority, TlsServer


@pytest.fixture
def name(tls_rabbitmq: RabbitMQ) -> Iterator[str]:
    chosen = f"ada{secrets.token_hex(3)}"
    yield chosen
    if tls_rabbitmq.management.find("users", chosen):
        tls_rabbitmq.management.delete_user(chosen)


def files(node: RabbitMQ) -> Path:
    assert node.tls is not None
    return node.tls


def host(node: RabbitMQ, vhost: str, **more: str) -> dict[str, str]:
    """The environment of the host's commands."""
    url = node.url_for(vhost, host="127.0.0.1")
    return {"KCHAT_URL": url, "KCHAT_MANAGEMENT_URL": node.management_url, **more}


def test_with_the_pin_a_guest_knows_the_server_at_any_address_and_nobody_in_between(
    commands: Commands, guests: Commands, tls_rabbitmq: RabbitMQ, name: str, tmp_path: Path
) -> None:
    pin = fingerprint(ssl.PEM_cert_to_DER_cert((files(tls_rabbitmq) / "server.pem").read_text()))
    with (
        tls_rabbitmq.new_vhost() as vhost,
        Proxy(tls_rabbitmq.port, listen="127.0.0.2") as network,
        TlsServer(Authority(tmp_path).context("127.0.0.2")) as in_between,
    ):
        env = host(tls_rabbitmq, vhost, KCHAT_TLS_PIN=pin)
        invited = commands.run_kchat(
            "invite", name, "--address", f"amqps://127.0.0.2:{network.port}", env=env
        )
        assert invited.code == 0, invited.stderr
        joined = guests.run_kchat("join", "--yes", "-", stdin=invited.stdout)
        assert joined.code == 0, joined.stderr
        assert pin in joined.stderr
        assert guests.run_kchat("send", "hello").code == 0
        # Somebody takes over the way to the broker, with a certificate for that very address.
        network._target = ("127.0.0.1", in_between.port)
        for command in (["send", "my secret"], ["subscribe"], ["join", "--yes", "-"]):
            refused = guests.run_kchat(*command, stdin=invited.stdout if "join" in command else None)
            assert refused.code == 1, refused.stderr
            assert "certificate" in refused.stderr
            assert "Traceback" not in refused.stderr
        assert in_between.received == b""


def test_with_the_ca_a_guest_needs_no_file_of_the_hosts(
    commands: Commands, guests: Commands, tls_rabbitmq: RabbitMQ, name: str
) -> None:
    authority = files(tls_rabbitmq) / "ca.pem"
    with tls_rabbitmq.new_vhost() as vhost:
        env = host(tls_rabbitmq, vhost, KCHAT_TLS_CA=str(authority))
        invited = commands.run_kchat("invite", name, env=env)
        assert invited.code == 0, invited.stderr
        joined = guests.run_kchat("join", "--yes", "-", stdin=invited.stdout)
        assert joined.code == 0, joined.stderr
        assert guests.run_kchat("send", "hello").code == 0
        (kept,) = (guests.home / "config" / "kchat").glob("*.pem")
        assert kept.read_text().split() == authority.read_text().split()
        assert guests.run_kchat("profile", "remove", "chat").code == 0
        assert not kept.exists()
