"""Replies read with bounds: what of redis-py is relied on for that, and how a reply comes out however it is cut."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from redis._parsers import _RESP2Parser
from redis.connection import AbstractConnection
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from kchat.transports.redis.replies import KEPT, Parser


def test_redis_py_has_what_is_overridden() -> None:
    for name in ("on_connect", "on_disconnect", "can_read", "read_response", "parse_error"):
        assert inspect.isfunction(getattr(_RESP2Parser, name)) or inspect.ismethod(
            getattr(_RESP2Parser, name)
        )
    source = inspect.getsource(_RESP2Parser.can_read)
    assert "self._buffer.can_read(timeout)" in source
    for name in ("connect", "_send_ping", "set_parser"):
        assert inspect.isfunction(getattr(AbstractConnection, name)), name
    assert "parser_class(socket_read_size=" in inspect.getsource(AbstractConnection.set_parser)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Parser]]:
    server, ours = socket.socketpair()
    parser = Parser(65536)
    connection: Any = SimpleNamespace(_sock=ours, socket_timeout=0.3, encoder=None)
    parser.on_connect(connection)
    yield server, parser
    server.close()
    ours.close()


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
def test_replies_come_out_however_they_are_cut(ends: tuple[socket.socket, Parser], piece: int) -> None:
    server, parser = ends
    data = b"+OK\r\n:-7\r\n$5\r\nhel\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n*3\r\n$1\r\na\r\n*0\r\n:1\r\n"
    for at in range(0, len(data), piece):
        server.sendall(data[at : at + piece])
    found = [parser.read_response() for _ in range(7)]
    assert found == [b"OK", -7, b"hel\r\n", b"", None, None, [b"a", [], 1]]


@pytest.mark.parametrize("piece", [11, 70, 10_000])
def test_the_fields_that_are_dropped_end_where_they_end(
    ends: tuple[socket.socket, Parser], piece: int
) -> None:
    server, parser = ends
    kept = [b"%d" % number for number in range(64)]
    dropped = [
        *(
            b"$2\r\n\r\n\r\n",
            b"$0\r\n\r\n",
            b"$64\r\n" + b"$" * 64 + b"\r\n",
            b"$65\r\n" + b"$" * 65 + b"\r\n",
        ),
        *(b"$-1\r\n", b":7\r\n", b"*0\r\n", b"+OK\r\n"),
        *[b"$1\r\nx\r\n"] * 230,
    ]
    fields = [b"$%d\r\n%s\r\n" % (len(each), each) for each in kept] + dropped
    data = b"*1\r\n*2\r\n$3\r\n5-1\r\n*%d\r\n%s" % (len(fields), b"".join(fields))
    data += b"$1\r\nx\r\n"  # the next reply looks like one more
    for at in range(0, len(data), piece):
        server.sendall(data[at : at + piece])
    assert parser.read_response() == [[b"5-1", kept]]
    assert parser.read_response() == b"x"


def test_an_error_is_returned_as_redis_py_returns_it(ends: tuple[socket.socket, Parser]) -> None:
    server, parser = ends
    server.sendall(b"-ERR no\r\n-LOADING reading\r\n")
    assert [str(parser.read_response()) for _ in range(2)] == ["no", "LOADING reading"]
    server.sendall(b"*1\r\n-ERR no\r\n")
    assert isinstance(parser.read_response()[0], ResponseError)


@pytest.mark.parametrize(
    "data",
    [b"$ten\r\n", b"$-2\r\n", b"$9999999999\r\n", b"*2000000000\r\n", b"*1\r\n" * 20, b"!x\r\n", b"\r\n"],
)
def test_invalid_and_too_large_replies_are_refused(ends: tuple[socket.socket, Parser], data: bytes) -> None:
    server, parser = ends
    server.sendall(data)
    with pytest.raises(InvalidResponse):
        parser.read_response()


def test_of_a_large_text_as_much_is_kept_as_a_message_may_have(ends: tuple[socket.socket, Parser]) -> None:
    import threading

    server, parser = ends
    size = KEPT + 5_000_000
    threading.Thread(target=server.sendall, args=(b"$%d\r\n%s\r\n:1\r\n" % (size, bytes(size)),)).start()
    assert len(parser.read_response()) == KEPT
    assert parser.read_response() == 1


def test_of_an_announcement_no_more_is_kept_than_one_may_have(ends: tuple[socket.socket, Parser]) -> None:
    server, ordinary = ends
    parser = Parser(65536, keep=100)
    connection: Any = SimpleNamespace(_sock=ordinary._sock, socket_timeout=0.3, encoder=None)
    parser.on_connect(connection)
    server.sendall(b"$5000\r\n%s\r\n:1\r\n" % bytes(5_000))
    assert (len(parser.read_response()), parser.read_response()) == (100, 1)


def test_half_a_reply_is_waited_for_until_the_timeout(ends: tuple[socket.socket, Parser]) -> None:
    server, parser = ends
    server.sendall(b"$10\r\nabc")
    with pytest.raises(RedisTimeoutError):
        parser.read_response()
