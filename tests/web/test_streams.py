"""Streams of pages: readers that are slow or take nothing, revoked ones, and the end of the server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from kchat.config.settings import Settings
from kchat.web import connections
from kchat.web.guests import Guest
from kchat.web.options import Limits, ServeOptions
from kchat.web.store import GuestStore
from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until
from tests.web.event_streams import stream, texts
from tests.web.serving import browser, cookie_of, guest_browser, serve_process, serve_thread
from tests.web.test_resuming import say

BIG = "x" * 15_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A room with a history, on no server."""
    return f"local://{tmp_path}/room.db"


def deaf(base: str, cookie: str) -> socket.socket:
    """A page that opens its stream and reads nothing of it."""
    parts = httpx.URL(base)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.connect((parts.host, parts.port))
    head = f"GET /api/events HTTP/1.1\r\nHost: {parts.host}:{parts.port}\r\nOrigin: {base}\r\n"
    opened.sendall(f"{head}Cookie: {cookie}\r\n\r\n".encode())
    return opened


def flood(url: str, has_room: Callable[[], bool]) -> None:
    """More than the system's buffers and the stream's hold."""
    for _ in range(40):
        say(url, *[BIG] * 40)
        if not has_room():
            return


def test_a_slow_reader_is_told_and_gets_the_rest_when_it_comes_back(url: str, tmp_path: Path) -> None:
    options = ServeOptions([Settings.resolve(url=url, room="chat")], limits=Limits(waiting_bytes=100_000))
    with serve_thread(url, tmp_path / "web.db", options=options) as served, guest_browser(served) as page:
        with stream(page) as slow:
            slow.until("live")
            (its,) = served.hub._streams
            flood(url, lambda: not its.ended)
            say(url, "the end")
            events = list(slow.events())
            assert events[-1].name == "slow"
        before = len(texts(events))
        rest: list[str] = []
        last_id = slow.last_id
        while "the end" not in rest:  # while the server still reads the flood, the page may be too slow again
            with stream(page, after=last_id) as again:
                for event in again.events():
                    rest += texts([event])
                    if "the end" in rest:
                        break
            last_id = again.last_id
        total = page.get("api/rooms/chat/messages", params={"last": "1"}).json()["messages"]
        assert total[0]["text"] == "the end"
        assert (before + len(rest) - 1) % 40 == 0, "each message once"


def test_a_reader_that_takes_nothing_is_cut_off_and_forgotten(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.5)
    with (
        serve_thread(url, tmp_path / "web.db") as served,
        guest_browser(served) as page,
        deaf(served.base, cookie_of(page)),
    ):
        wait_until(lambda: len(served.hub._streams) == 1, what="its stream")
        flood(url, lambda: len(served.hub._streams) == 1)
        wait_until(lambda: not served.hub._streams, what="its stream has ended")
        assert page.get("healthz").status_code == 200


def test_a_revoked_guest_is_told_and_its_stream_ends(url: str, tmp_path: Path) -> None:
    with serve_thread(url, tmp_path / "web.db") as served, GuestStore(tmp_path / "web.db") as guests:
        grace = guests.add(Guest(0, "grace", None, None, ("chat",)))
        with browser(served.base, f"{served.base}/#{guests.new_link(grace)}") as page, stream(page) as opened:
            opened.until("live")
            guests.revoke("grace")
            assert [each.name for each in opened.events() if each.name != "people"] == ["revoked"]


def test_the_end_of_the_server_sends_pages_away_with_a_pause(commands: Commands, url: str) -> None:
    with serve_process(commands, url) as served, guest_browser(served) as page, stream(page) as opened:
        opened.until("live")
        served.process.terminate()
        assert [each.name for each in opened.events() if each.name != "people"] == ["closing"]
        assert opened.retry is not None
        assert 1000 <= opened.retry <= 5000
        assert served.process.wait(30) == 0
