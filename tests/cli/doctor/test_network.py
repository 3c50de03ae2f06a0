"""Settings, names, ports and TLS that are wrong in one way each: is that way the one that is named?"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.tls_server import Authority, TlsServer
from tests.cli.doctor.asking import PASSWORD, Doctor, by_check

# ---- settings, name, port


def test_settings_that_make_no_sense(doctor: Doctor) -> None:
    assert doctor.first("--url", f"amqp//ada:{PASSWORD}@h")[0] == "settings"
    assert doctor.first("--host", "h", "--tls-ca", "missing.pem")[0] == "settings"
    assert doctor.first("--transport", "pubsub")[0] == "settings"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
def test_a_host_that_does_not_exist(doctor: Doctor, host: str) -> None:
    check, text = doctor.first("--host", host, "--rmq-password", PASSWORD)
    assert check == "dns"
    assert host in text


def test_a_closed_port(doctor: Doctor) -> None:
    port = str(free_port())
    check, text = doctor.first("--host", "127.0.0.1", "--port", port, "--rmq-password", PASSWORD)
    assert check == "tcp"
    assert "refused" in text
    assert port in text


@contextmanager
def dropping_port() -> Iterator[int]:
    """A port at which the kernel drops what comes, as a firewall does: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port: int = server.getsockname()[1]
        waiting: list[socket.socket] = []
        try:
            while len(waiting) < 20:
                waiting.append(socket.create_connection(("127.0.0.1", port), 0.3))
            raise AssertionError("the queue of connections does not fill")
        except TimeoutError:
            yield port
        finally:
            for sock in waiting:
                sock.close()


def test_a_firewall_that_drops_what_comes(doctor: Doctor) -> None:
    with dropping_port() as port:
        check, text = doctor.first("--host", "127.0.0.1", "--port", str(port))
    assert check == "tcp"
    assert "firewall" in text


def test_a_port_that_accepts_and_says_nothing(
    doctor: Doctor, rabbitmq: RabbitMQ, proxy_to: Callable[[int], Proxy]
) -> None:
    proxy = proxy_to(rabbitmq.port)
    proxy.black_hole()
    check, text = doctor.first("--host", proxy.host, "--port", str(proxy.port))
    assert check == "amqp"
    assert "no answer in time" in text


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "web server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak AMQP"),
    ],
)
def test_a_port_at_which_something_else_is(doctor: Doctor, greeting: bytes, words: str) -> None:
    with TlsServer(None, greeting) as server:
        check, text = doctor.first("--host", "127.0.0.1", "--port", str(server.port))
    assert check == "amqp"
    assert words in text


# ---- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def tls_fault(doctor: Doctor, context: ssl.SSLContext, *arguments: str) -> str:
    """What the doctor says of a server with this certificate; no password reached it."""
    with TlsServer(context) as server:
        check, text = doctor.first("--url", f"amqps://ada:{PASSWORD}@localhost:{server.port}", *arguments)
        assert server.received == b""
    assert check == "tls"
    return text


def test_a_certificate_of_an_unknown_ca(doctor: Doctor, authority: Authority) -> None:
    text = tls_fault(doctor, authority.context("localhost"))
    assert "not trusted" in text
    assert "--tls-ca" in text
    assert "pin sha256:" in text


def test_an_expired_certificate(doctor: Doctor, authority: Authority) -> None:
    text = tls_fault(
        doctor, authority.context("localhost", starts=-9, ends=-2), "--tls-ca", str(authority.file)
    )
    assert "has expired" in text
    assert "until 20" in text


def test_a_certificate_for_another_name(doctor: Doctor, authority: Authority) -> None:
    text = tls_fault(doctor, authority.context("other.example"), "--tls-ca", str(authority.file))
    assert "other names than localhost" in text
    assert "for other.example" in text


def test_a_certificate_that_is_not_the_pinned_one(doctor: Doctor, authority: Authority) -> None:
    text = tls_fault(doctor, authority.context("localhost"), "--tls-pin", "sha256:" + "ab" * 32)
    assert "in between" in text


def test_tls_on_a_port_without_it_and_the_reverse(
    doctor: Doctor, rabbitmq: RabbitMQ, tls_rabbitmq: RabbitMQ
) -> None:
    check, text = doctor.first("--url", f"amqps://localhost:{rabbitmq.port}")
    assert check == "tls"
    assert "does not speak TLS" in text
    check, text = doctor.first("--url", f"amqp://localhost:{tls_rabbitmq.port}")
    assert check == "amqp"
    assert "TLS is on" in text


def test_a_client_certificate_of_another_ca(
    doctor: Doctor, commands: Commands, tls_rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    assert commands.run_kchat("certify", str(folder), "--client", "ada").code == 0
    check, text = doctor.first(
        *("--url", f"amqps://localhost:{tls_rabbitmq.port}", "--tls-ca", f"{tls_rabbitmq.tls}/ca.pem"),
        *("--tls-cert", f"{folder}/client-ada.pem", "--tls-key", f"{folder}/client-ada-key.pem"),
    )
    assert check == "tls"
    assert "CA of the client's certificate" in text


def test_a_broker_with_tls_on_which_all_is_well(doctor: Doctor, tls_rabbitmq: RabbitMQ) -> None:
    ca = f"{tls_rabbitmq.tls}/ca.pem"
    told = doctor("--url", tls_rabbitmq.url_for(host="localhost"), "--tls-ca", ca)
    assert told["ok"], told
    text = by_check(told)["tls"]["text"]
    assert "TLSv1." in text
    assert "broker.example" in text
    pin = text.partition("pin ")[2].split()[0]
    assert doctor("--url", tls_rabbitmq.url_for(host="localhost"), "--tls-pin", pin)["ok"]
