"""Which requests the server takes as its own pages', and what each of its answers carries."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from kchat.web.guard import FAILED_LOGINS, HEADERS
from kchat.web.options import ServeOptions
from kchat.web.store import GuestStore
from tests.brokers.wait import wait_until
from tests.web.serving import ServeThread, secret_of, serve_thread


@pytest.fixture
def served(local_url: str, tmp_path: Path) -> Iterator[ServeThread]:
    with serve_thread(local_url, tmp_path / "web.db") as server:
        yield server


@pytest.fixture
def cookie(served: ServeThread) -> str:
    answer = httpx.post(
        f"{served.base}/api/session",
        json={"secret": secret_of(served.link)},
        headers={"Origin": served.base},
        timeout=60,
    )
    return answer.headers["set-cookie"].partition(";")[0]


@pytest.fixture
def token(served: ServeThread, tmp_path: Path) -> str:
    with GuestStore(tmp_path / "web.db") as store:
        (host,) = store.guests()
        return store.new_token(host)


def raw(port: int, request: bytes) -> bytes:
    """What the server answers to these bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.settimeout(20)
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_another_hosts_name_is_refused(served: ServeThread) -> None:
    port = served.port
    local = f"127.0.0.1:{port}"
    cases = {
        f"Host: {local}": 200,
        f"Host: localhost:{port}": 200,
        f"Host: LOCALHOST:{port}": 200,
        f"Host: localhost.:{port}": 200,
        f"Host: [::1]:{port}": 200,
        f"Host: [0:0:0:0:0:0:0:1]:{port}": 200,
        "Host: localhost": 421,
        "Host: evil.example": 421,
        f"Host: evil.example:{port}": 421,
        f"Host: localhost.evil.example:{port}": 421,
        f"Host: {local}@evil.example": 421,
        f"Host: {local}.evil.example": 421,
        f"Host: 127.0.0.1:{port + 1}": 421,
        f"Host: [::1:{port}": 421,
        "Host:": 421,
        "X-No-Host: 1": 421,
        f"X-Forwarded-Host: {local}\r\nHost: evil.example": 421,
        f"Host: {local}\r\nHost: evil.example": 421,
        f"Host: evil.example\r\nHost: {local}": 421,
    }
    got = {
        lines: status(raw(port, f"GET /healthz HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n".encode()))
        for lines in cases
    }
    assert got == cases


def test_the_host_of_an_absolute_target_counts(served: ServeThread) -> None:
    port = served.port
    for target, host, expected in (
        (f"http://127.0.0.1:{port}/healthz", f"127.0.0.1:{port}", 200),
        ("http://evil.example/healthz", f"127.0.0.1:{port}", 421),
        (f"http://127.0.0.1:{port}/healthz", "evil.example", 200),  # RFC 9112, 3.2.2: the target's
    ):
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        assert status(raw(port, request.encode())) == expected, (target, host)


def test_what_a_request_says_of_its_page_decides(served: ServeThread, cookie: str, token: str) -> None:
    own, site = served.base, "Sec-Fetch-Site"
    parts = urlsplit(own)
    by_cookie, by_token = {"Cookie": cookie}, {"Authorization": f"Bearer {token}"}
    cases: list[tuple[dict[str, str], bool]] = [
        ({**by_cookie, "Origin": own}, True),
        ({**by_cookie, "Origin": own.upper()}, True),
        ({**by_cookie, "Origin": own, site: "same-origin"}, True),
        ({**by_cookie, site: "same-origin"}, True),
        ({**by_cookie, "Origin": "null", site: "same-origin"}, True),  # a form of a page without referrer
        (by_cookie, False),
        ({**by_cookie, "Origin": "null"}, False),
        ({**by_cookie, "Origin": "null", site: "cross-site"}, False),
        ({**by_cookie, "Origin": ""}, False),
        ({**by_cookie, "Origin": "https://evil.example"}, False),
        ({**by_cookie, "Origin": own + ".evil.example"}, False),
        ({**by_cookie, "Origin": own.replace("http:", "https:")}, False),
        ({**by_cookie, "Origin": f"http://127.0.0.1:{(parts.port or 0) + 1}"}, False),
        ({**by_cookie, "Origin": "http://127.0.0.1"}, False),
        ({**by_cookie, "Origin": own, site: "cross-site"}, False),
        ({**by_cookie, "Origin": own, site: "same-site"}, False),
        ({**by_cookie, site: "cross-site"}, False),
        ({**by_cookie, site: "same-site"}, False),
        ({**by_cookie, site: "none"}, False),
        ({**by_cookie, "Origin": "https://evil.example", site: "same-origin"}, False),
        ({**by_cookie, "Referer": own}, False),
        (by_token, True),
        ({**by_token, "Origin": "https://evil.example"}, True),
        ({**by_token, **by_cookie}, False),
        ({**by_token, **by_cookie, "Origin": own}, True),
        ({"Authorization": "Basic eDp5", **by_cookie}, False),
    ]
    wrong = []
    for headers, taken in cases:
        answer = httpx.post(f"{own}/api/rooms/chat/messages", headers=headers, json={}, timeout=60)
        if (answer.status_code == 422) != taken or answer.status_code not in {403, 422}:
            wrong.append((headers, answer.status_code, answer.text))
    assert not wrong


def test_another_sites_page_opens_no_stream_by_the_cookie(
    served: ServeThread, cookie: str, token: str
) -> None:
    url = f"{served.base}/api/events"
    for headers, taken in (
        ({"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Cookie": cookie, "Origin": served.base}, True),
        ({"Cookie": cookie, "Sec-Fetch-Site": "none"}, True),  # typed into the address bar
        ({"Authorization": f"Bearer {token}"}, True),
        ({"Cookie": cookie}, False),
        ({"Cookie": cookie, "Sec-Fetch-Site": "same-site"}, False),
        ({"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}, False),
        ({"Cookie": cookie, "Origin": "https://evil.example"}, False),
    ):
        with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
            assert answer.status_code == (200 if taken else 403), headers


def test_every_answer_carries_the_headers(served: ServeThread, cookie: str) -> None:
    base, by = served.base, {"Cookie": cookie, "Origin": served.base}
    answers = [
        httpx.get(f"{base}/", timeout=60),
        httpx.get(f"{base}/page.js", timeout=60),
        httpx.get(f"{base}/healthz", timeout=60),
        httpx.get(f"{base}/nothing-here", timeout=60),
        httpx.put(f"{base}/api/session", headers=by),
        httpx.get(f"{base}/api/session", timeout=60),
        httpx.get(f"{base}/api/session", headers={"Host": "evil.example"}, timeout=60),
        httpx.post(f"{base}/api/session", headers={"Origin": "https://evil.example"}, timeout=60),
        httpx.post(f"{base}/api/rooms/chat/messages", headers=by, content=b"text=x", timeout=60),
    ]
    assert [each.status_code for each in answers] == [200, 200, 200, 404, 405, 401, 421, 403, 415]
    for each in answers:
        missing = {
            name: each.headers.get(name) for name in HEADERS if each.headers.get(name) != HEADERS[name]
        }
        assert not missing, each
        assert "server" not in each.headers
        assert "access-control-allow-origin" not in each.headers
    bad = raw(served.port, b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
    assert status(bad) == 400
    for name, value in HEADERS.items():
        assert f"{name}: {value}".encode() in bad
    assert b"content-type: application/json" in bad


def test_the_policy_is_the_one_that_is_promised() -> None:
    assert HEADERS["content-security-policy"].split("; ") == [
        *(
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
        ),
        *("base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"),
    ]


def test_a_fault_of_the_server_shows_nothing_and_is_told(
    served: ServeThread, cookie: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("at amqp://ada:hidden@broker/")

    monkeypatch.setattr(served.hub.store.now, "session", fault)
    answer = httpx.get(f"{served.base}/api/session", headers={"Cookie": cookie}, timeout=60)
    assert answer.status_code == 500
    assert answer.json().keys() == {"error"}
    assert "Runtime" not in answer.text
    assert answer.headers["content-security-policy"]
    wait_until(lambda: any("RuntimeError" in each for each in served.told), 10, "the fault is told")
    assert "hidden" not in "".join(served.told)
    assert "Traceback" not in capsys.readouterr().err


def test_a_path_before_the_page_is_taken_with_and_without_it(local_url: str, tmp_path: Path) -> None:
    options = ServeOptions([], public_url="https://chat.example.org/tea/", behind_proxy=True)
    with serve_thread(local_url, tmp_path / "web.db", options=options) as served:
        assert served.link.startswith("https://chat.example.org/tea/#")
        by = {"Host": "chat.example.org", "Origin": "https://chat.example.org"}
        here = f"http://127.0.0.1:{options_port(served)}"
        kept = httpx.get(f"{here}/tea", headers=by, timeout=60)
        assert (kept.status_code, kept.headers["location"]) == (308, "/tea/")
        assert (
            httpx.get(f"{here}/tea/", headers=by, timeout=60).text
            == httpx.get(f"{here}/", headers=by, timeout=60).text
        )
        answer = httpx.post(
            f"{here}/tea/api/session", json={"secret": secret_of(served.link)}, headers=by, timeout=60
        )
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        for part in ("Path=/tea/", "Secure", "HttpOnly", "SameSite=strict"):
            assert part in cookie
        assert answer.headers["strict-transport-security"]
        by_cookie = {"Host": "chat.example.org", "Cookie": cookie.partition(";")[0]}
        for origin, status in ((None, 403), ("https://evil.example", 403), ("https://chat.example.org", 422)):
            headers = by_cookie | ({"Origin": origin} if origin else {})
            sent = httpx.post(f"{here}/api/rooms/chat/messages", json={}, headers=headers, timeout=60)
            assert sent.status_code == status, origin
        assert httpx.get(f"{here}/api/events", headers=by_cookie, timeout=60).status_code == 403


def options_port(served: ServeThread) -> int:
    return served.server._options.port


def test_only_the_proxy_on_this_machine_names_the_guests_address(local_url: str, tmp_path: Path) -> None:
    def addresses(behind: bool, forwarded: list[str]) -> list[str]:
        public = "https://chat.example.org" if behind else None
        options = ServeOptions([], public_url=public, behind_proxy=behind)
        store = tmp_path / f"{behind}.db"
        with serve_thread(local_url, store, options=options) as served:
            for each in forwarded:
                url = f"http://127.0.0.1:{options_port(served)}/healthz"
                assert httpx.get(url, headers={"X-Forwarded-For": each}, timeout=60).status_code == 200
            wait_until(lambda: len(served.log) == len(forwarded), 10, "a line for each request")
            return [line.rpartition(" ")[2] for line in served.log]

    spoofed = [
        "192.0.2.7",
        "198.51.100.1, 192.0.2.7",
        "192.0.2.7, 127.0.0.1",
        "2001:db8:1:2:3::4",
        "<script>",
    ]
    assert addresses(False, spoofed) == ["127.0.0.1"] * 5
    expected = ["192.0.2.7", "192.0.2.7", "192.0.2.7", "2001:db8:1:2::/64", "unknown"]
    assert addresses(True, spoofed) == expected


def test_the_log_of_requests_holds_no_secret(served: ServeThread, cookie: str, token: str) -> None:
    httpx.get(
        f"{served.base}/api/session?secret=q1", headers={"Authorization": f"Bearer {token}"}, timeout=60
    )
    httpx.post(
        f"{served.base}/api/rooms/chat/messages",
        json={"text": "what is said"},
        headers={"Cookie": cookie, "Origin": served.base},
        timeout=60,
    )
    httpx.get(f"{served.base}/a%0A%1b[31m", timeout=60)
    wait_until(lambda: len(served.log) == 4, 10, "a line for each request")
    log = "\n".join(served.log)
    assert log.count("\n") == 3
    assert "POST /api/rooms/chat/messages 200" in log
    for secret in ("q1", token, cookie.partition("=")[2], secret_of(served.link), "what is said", "\x1b"):
        assert secret not in log


def test_many_failed_logins_of_one_address_have_to_wait(served: ServeThread) -> None:
    with httpx.Client(base_url=served.base, headers={"Origin": served.base}, timeout=60) as client:
        codes = [client.post("api/session", json={"secret": "x" * 43}).status_code for _ in range(25)]
        assert codes.index(429) >= FAILED_LOGINS
        last = client.post("api/session", json={"secret": secret_of(served.link)})
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) > 0


def test_bodies_over_the_limit_are_refused_before_they_are_kept(served: ServeThread, cookie: str) -> None:
    by = {"Cookie": cookie, "Origin": served.base, "Content-Type": "application/json"}
    url = f"{served.base}/api/rooms/chat/messages"
    most = served.hub.options.limits.body_bytes

    def pieces() -> Iterator[bytes]:
        for _ in range(most // 1024 + 8):
            yield b" " * 1024

    assert httpx.post(url, content=b" " * (most + 1), headers=by, timeout=60).status_code == 413
    assert httpx.post(url, content=pieces(), headers=by, timeout=60).status_code == 413
    text = "x" * (served.hub.options.limits.message_bytes + 1)
    assert httpx.post(url, json={"text": text}, headers=by, timeout=60).status_code == 413
