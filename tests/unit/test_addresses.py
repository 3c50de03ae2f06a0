"""A host with several addresses: each is tried, in turn, within one limit of time."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from kchat.transports import addresses
from tests.brokers.ports import free_port

LOOPBACK = "127.0.0.1"


def names(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Makes every name stand for these addresses."""
    real = socket.getaddrinfo

    def resolve(_host: object, port: int, **more: Any) -> list[Any]:
        return [found for host in hosts for found in real(host, port, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_the_next_address_is_tried_where_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        names(monkeypatch, "127.0.0.2", LOOPBACK)
        with addresses.connect("broker.example", server.getsockname()[1], 5) as sock:
            assert sock.getpeername()[0] == LOOPBACK
            assert sock.gettimeout() == 5


def test_localhost_is_ipv6_where_the_system_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        names(monkeypatch, "::1")
        with addresses.connect("localhost", server.getsockname()[1], 5) as sock:
            assert sock.getpeername()[0] == "::1"


def test_an_address_that_does_not_answer_takes_its_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A listener that accepts nothing, and whose queue is full, answers no more.
    with socket.socket() as silent, socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        silent.bind(("127.0.0.2", port))
        silent.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.2", port))
        names(monkeypatch, "127.0.0.2", LOOPBACK)
        # Were all of the second spent on the first address, there would be none left for the next one.
        with addresses.connect("broker.example", port, 1) as sock:
            assert sock.getpeername()[0] == LOOPBACK
        for each in waiting:
            each.close()


def test_the_error_is_the_one_that_says_most(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "127.0.0.2", LOOPBACK)
    with pytest.raises(ConnectionRefusedError):
        addresses.connect("broker.example", free_port(), 5)
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(ConnectionRefusedError):
        addresses.connect("broker.example", free_port(), 5)
