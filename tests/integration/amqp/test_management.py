"""The management API of a real RabbitMQ: rights, reachability and certificates."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from kchat import NotAuthorised, Refused, SettingsError, Unreachable
from kchat.transports.amqp.management import Management
from kchat.transports.tls import TlsOptions, fingerprint
from tests.brokers.ports import free_port
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.tls_server import Authority


def test_an_account_that_is_no_administrator_is_told_so(rabbitmq: RabbitMQ, vhost: str) -> None:
    for tags in ("", "management", "monitoring"):
        with rabbitmq.new_account(vhost, tags=tags) as account:
            access = Management(rabbitmq.management_url, account.username, account.password)
            for ask in (access.require_administrator, access.users):
                with pytest.raises(NotAuthorised, match="not an administrator") as caught:
                    ask()
                assert account.password not in f"{caught.value} {access!r}"


def test_the_management_api_that_is_not_there_is_told_apart(rabbitmq: RabbitMQ) -> None:
    def ask(url: str, password: str = rabbitmq.password) -> None:
        Management(url, rabbitmq.username, password, timeout=30).require_administrator()

    with pytest.raises(NotAuthorised, match="login refused"):
        ask(rabbitmq.management_url, "not this")
    with pytest.raises(Unreachable, match="refused"):
        ask(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable):
        ask(f"http://{rabbitmq.host}:{rabbitmq.port}")
    with pytest.raises(Unreachable, match="not RabbitMQ's management API"):
        ask(f"{rabbitmq.management_url}/somewhere/else")
    for wrong in ("ftp://x", "http://", "http://a:b@h", "http://h:x", "http://h/?x=1", "h:15672"):
        with pytest.raises(SettingsError, match="management URL"):
            ask(wrong)


def test_what_fails_inside_rabbitmq_for_a_moment_is_asked_again(rabbitmq: RabbitMQ) -> None:
    target = urlsplit(rabbitmq.management_url)
    assert target.hostname
    assert target.port
    for failures, told in ((2, 0), (3, 1)):
        with Failing(failures, (target.hostname, target.port)) as front:
            access = Management(
                f"http://127.0.0.1:{front.port}", rabbitmq.username, rabbitmq.password, timeout=30
            )
            if told:
                with pytest.raises(Refused, match="HTTP 500 for connections/username/nobody"):
                    access.connections("nobody")
            else:
                assert access.connections("nobody") == []
            assert front.asked == 3


class Front:
    """Something between a client and a broker's port, on a port of its own. A context manager.

    Arguments:
        target: host and port behind it.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        front = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    front.handle(self.request)

        self._target = target
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def handle(self, near: socket.socket) -> None:
        """Forwards one request and its answer."""
        request = near.recv(65536)
        with socket.create_connection(self._target) as far:
            far.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            while data := far.recv(65536):
                near.sendall(data)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


class Failing(Front):
    """Answers the first requests by 500, as RabbitMQ does for a list of connections one of which goes meanwhile."""

    def __init__(self, failures: int, target: tuple[str, int]) -> None:
        super().__init__(target)
        self.asked = 0
        self._failures = failures

    def handle(self, near: socket.socket) -> None:
        self.asked += 1
        if self.asked > self._failures:
            super().handle(near)
        else:
            near.recv(65536)
            near.sendall(
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )


class TlsFront(Front):
    """TLS in front of a port without it, as a web server in front of the management API has it."""

    def __init__(self, context: ssl.SSLContext, target: tuple[str, int]) -> None:
        super().__init__(target)
        self._context = context

    def handle(self, near: socket.socket) -> None:
        with self._context.wrap_socket(near, server_side=True) as clear:
            super().handle(clear)


def test_the_management_api_over_tls_is_checked_as_the_broker_is(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    behind = urlsplit(rabbitmq.management_url)
    assert behind.port is not None
    with TlsFront(authority.context("localhost"), (behind.hostname or "", behind.port)) as front:

        def ask(host: str = "localhost", **tls: str) -> None:
            url = f"https://{host}:{front.port}"
            access = Management(url, rabbitmq.username, rabbitmq.password, tls=TlsOptions(**tls))  # type: ignore[arg-type]  # by keyword
            access.require_administrator()

        ask(ca=str(authority.file))
        pin = fingerprint(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("localhost", front.port))))
        ask(pin=pin)
        ask("127.0.0.1", pin=pin)
        for wrong in ({}, {"pin": "sha256:" + "ab" * 32}):
            with pytest.raises(Unreachable, match="certificate"):
                ask(**wrong)
        with pytest.raises(Unreachable, match="certificate"):
            ask("127.0.0.1", ca=str(authority.file))
