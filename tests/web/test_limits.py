"""Slow, large and many requests and connections, by hand on the socket."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from kchat.web import connections
from kchat.web.connections import HEAD_BYTES, HEADERS, TARGET_BYTES
from kchat.web.options import Limits, ServeOptions
from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until
from tests.web.serving import ServeProcess, ServeThread, browser, guest_browser, serve_thread


@pytest.fixture
def served(local_url: str, tmp_path: Path) -> Iterator[ServeThread]:
    with serve_thread(local_url, tmp_path / "web.db") as server:
        yield server


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 30)
    connection.settimeout(30)
    return connection


def rest(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    answer = b""
    try:
        while data := connection.recv(65536):
            answer += data
    except ConnectionResetError:
        pass
    return answer


def test_a_request_that_does_not_come_in_time_is_ended(
    served: ServeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.3)
    host = f"Host: 127.0.0.1:{served.port}".encode()
    head = b"POST /api/session HTTP/1.1\r\n" + host + b"\r\nOrigin: " + served.base.encode()
    head += b"\r\nContent-Type: application/json\r\n"
    for what, sent, status in (
        ("nothing", b"", b""),
        ("half a line", b"GET /hea", b"408"),
        ("half the headers", b"GET /healthz HTTP/1.1\r\n" + host + b"\r\nX-A: ", b"408"),
        ("line ends alone", b"\r\n\r\n\r\n", b""),
        ("half a body", head + b"Content-Length: 10\r\n\r\n{", b"408"),
        ("half a chunk", head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", b"408"),
    ):
        with connect(served.port) as connection:
            connection.sendall(sent)
            answer = rest(connection)
        assert answer.split(b" ")[1:2] == ([status] if status else []), (what, answer)
    assert not served.told


def test_a_client_that_goes_on_slowly_has_no_more_time(
    served: ServeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with connect(served.port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")

        def ended() -> bool:
            try:
                connection.sendall(b"X-A: 1\r\n")
                connection.settimeout(0.01)
                return connection.recv(100) is not None
            except TimeoutError:
                return False
            except OSError:
                return True

        wait_until(ended, 10, "the end of a connection that sends a header now and then")


def test_heads_that_are_too_large_are_refused(served: ServeThread) -> None:
    host = f"Host: 127.0.0.1:{served.port}\r\n".encode()
    line = b"GET /healthz HTTP/1.1\r\n" + host
    for what, request, status in (
        ("target", b"GET /" + b"x" * (TARGET_BYTES + 1) + b" HTTP/1.1\r\n" + host + b"\r\n", b"414"),
        ("count", line + b"X-A: 1\r\n" * (HEADERS + 1) + b"\r\n", b"431"),
        ("one header", line + b"X-A: " + b"x" * HEAD_BYTES + b"\r\n\r\n", b"431"),
        ("one that never ends", line + b"X-A: " + b"x" * (4 * HEAD_BYTES), b"431"),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        ("both lengths", line + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        ("two lengths", line + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        ("a bare host", b"CONNECT evil.example:443 HTTP/1.1\r\n" + host + b"\r\n", b"400"),
    ):
        with connect(served.port) as connection:
            connection.sendall(request)
            answer = rest(connection)
        assert answer.split(b" ")[1:2] in ([status], []), (what, answer[:200])  # a reset may take it away
    with connect(served.port) as connection:
        connection.sendall(line + b"Connection: close\r\n\r\n")
        assert b" 200 OK" in rest(connection)
    assert not served.told


def test_connections_of_one_address_and_in_all_are_limited(local_url: str, tmp_path: Path) -> None:
    for limits, status in (
        (Limits(streams=3), b"503"),
        (Limits(streams_per_address=3), b"429"),
    ):
        options = ServeOptions([], limits=limits)
        with serve_thread(local_url, tmp_path / f"{status.decode()}.db", options=options) as served:
            with ExitStack() as stack:
                idle = [stack.enter_context(connect(served.port)) for _ in range(6)]
                with connect(served.port) as seventh:
                    answer = rest(seventh)
                assert answer.split(b" ")[1] == status
                assert b"retry-after" in answer
                assert len(idle) == 6
            url = f"{served.base}/healthz"
            wait_until(partial(_answers, url), 10, "room for others again")


def test_streams_of_a_guest_are_limited(local_url: str, tmp_path: Path) -> None:
    options = ServeOptions([], limits=Limits(streams_per_guest=2))
    with (
        serve_thread(local_url, tmp_path / "web.db", options=options) as served,
        guest_browser(served) as page,
        page.stream("GET", "api/events"),
        page.stream("GET", "api/events"),
    ):
        third = page.get("api/events")
        assert third.status_code == 429
        assert int(third.headers["retry-after"]) > 0


def test_those_who_read_without_a_link_are_limited_by_network_and_not_as_if_they_were_one_guest(
    local_url: str, tmp_path: Path
) -> None:
    options = ServeOptions([], open_reading=True, limits=Limits(streams_per_guest=1, streams_per_address=3))
    with ExitStack() as stack:
        served = stack.enter_context(serve_thread(local_url, tmp_path / "web.db", options=options))
        page = stack.enter_context(browser(served.base))
        opened = [stack.enter_context(page.stream("GET", "api/events")) for _ in range(4)]
        assert [each.status_code for each in opened] == [200, 200, 200, 429]


def test_more_messages_than_a_guest_may_send_have_to_wait(served: ServeThread) -> None:
    with guest_browser(served) as page:
        answers = [page.post("api/rooms/chat/messages", json={"text": str(number)}) for number in range(16)]
    codes = {each.status_code for each in answers}
    assert codes == {200, 429}
    assert answers[0].status_code == 200
    refused = next(each for each in answers if each.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1


def test_a_server_without_descriptors_says_so_and_recovers(commands: Commands, local_url: str) -> None:
    served = ServeProcess(commands, local_url)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    commands.start = limited(commands, 150)  # type: ignore[method-assign]
    served.start()
    try:
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
        assert "connections at once" in served.process.stderr
        with ExitStack() as stack:
            served.process.pause()  # so that it meets all of them at once
            for _ in range(200):
                stack.enter_context(connect(served.port))
            served.process.resume()
        url = f"{served.base}/healthz"
        wait_until(lambda: _answers(url), 20, "an answer after the flood")
        assert served.process.running
        assert len(served.process.stderr) < 5000
        assert served.terminate() == 0
    finally:
        served.kill()


def limited(commands: Commands, files: int):  # type: ignore[no-untyped-def]  # noqa: ANN201 - as Commands.start
    start = commands.start

    def start_limited(command, **given):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
        return start(["prlimit", f"--nofile={files}:{files}", *command], **given)

    return start_limited


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=20).status_code == 200
    except httpx.HTTPError:
        return False
