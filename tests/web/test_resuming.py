"""A page comes back: to the same server, to one that was killed, beyond what it keeps in memory."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from kchat.client.sender import Sender
from kchat.config.settings import Settings
from kchat.web.options import Limits, ServeOptions
from tests.brokers.processes import Commands
from tests.web.event_streams import stream, texts
from tests.web.serving import guest_browser, serve_process, serve_thread

FEW = Limits(kept=5)


def say(url: str, *lines: str, room: str = "chat") -> None:
    with Sender(Settings.resolve(url=url, room=room), "ada") as sender:
        for line in lines:
            sender.send(line)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A room with a history, on no server."""
    return f"local://{tmp_path}/room.db"


def test_a_page_that_was_cut_in_the_backlog_of_two_rooms_gets_the_rest(url: str, tmp_path: Path) -> None:
    with serve_thread(url, tmp_path / "web.db", "chat", "other") as served, guest_browser(served) as page:
        with stream(page) as first:
            first.until("live")
            for number in range(3):
                say(url, f"chat {number}")
                say(url, f"other {number}", room="other")
            first.messages(6)
        with stream(page) as again:
            seen = texts(again.messages(3))
        with stream(page, after=again.last_id) as rest:
            seen += texts(rest.until("live"))
        assert sorted(seen) == sorted(f"{room} {number}" for room in ("chat", "other") for number in range(3))
        with stream(page, after=rest.last_id) as nothing:
            assert [each.name for each in nothing.until("live")] == ["hello", "live"]


def test_a_page_catches_up_from_the_history_beyond_memory(url: str, tmp_path: Path) -> None:
    options = ServeOptions([Settings.resolve(url=url, room="chat")], limits=FEW)
    with serve_thread(url, tmp_path / "web.db", options=options) as served, guest_browser(served) as page:
        with stream(page) as first:
            first.until("live")
            say(url, "first")
            first.messages(1)
        lines = [f"line {number}" for number in range(40)]
        with stream(page) as other:
            say(url, *lines)
            while "line 39" not in texts(other.messages(1)):
                pass
        with stream(page, after=first.last_id) as again:
            events = again.until("live")
        assert texts(events) == lines
        assert not [each for each in events if each.name == "missed"]


def test_a_page_finds_its_place_after_the_server_was_killed(commands: Commands, url: str) -> None:
    with serve_process(commands, url, "--room", "chat") as served, guest_browser(served) as page:
        with stream(page) as first:
            first.until("live")
            say(url, "one", "two")
            first.messages(2)
            served.kill()
            with pytest.raises(httpx.HTTPError):
                first.until("never")
        say(url, "three", "four")
        served.start()
        say(url, "five")
        with stream(page, after=first.last_id) as again:
            events = again.until("live")
            seen = texts(events)
            if len(seen) < 3:
                seen += texts(again.messages(3 - len(seen)))
        assert seen == ["three", "four", "five"]
        assert not [each for each in events if each.name == "missed"]


def test_older_messages_are_read_page_by_page_from_the_history(url: str, tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(30)]
    say(url, *lines)
    options = ServeOptions([Settings.resolve(url=url, room="chat")], limits=FEW)
    with serve_thread(url, tmp_path / "web.db", options=options) as served, guest_browser(served) as page:
        seen: list[str] = []
        before: dict[str, str] = {}
        more = True
        while more:
            answer = page.get("api/rooms/chat/messages", params={"last": "5", **before}).json()
            assert "messages" in answer, answer
            seen = [each["text"] for each in answer["messages"]] + seen
            more = answer["more"]
            oldest = answer["messages"][0]["id"] if len(seen) % 2 else answer["first"]
            before = {"before": oldest}
            assert len(seen) <= len(lines), seen
        assert seen == lines


def test_a_history_longer_than_the_prefetch_is_read_to_its_beginning(url: str, tmp_path: Path) -> None:
    say(url, *(f"line {number}" for number in range(1200)))
    options = ServeOptions([Settings.resolve(url=url, room="chat")], limits=FEW)
    with serve_thread(url, tmp_path / "web.db", options=options) as served, guest_browser(served) as page:
        answer = page.get("api/rooms/chat/messages", params={"last": "5"}).json()
        seen = len(answer["messages"])
        while answer["more"]:
            before = {"last": str(FEW.kept), "before": answer["first"]}
            answer = page.get("api/rooms/chat/messages", params=before).json()
            seen += len(answer["messages"])
            assert answer["messages"], seen
    assert (seen, answer["messages"][0]["text"]) == (1200, "line 0")


def test_hostile_positions_open_a_stream_from_the_beginning(url: str, tmp_path: Path) -> None:
    say(url, "one")
    with serve_thread(url, tmp_path / "web.db") as served, guest_browser(served) as page:
        for hostile in ("0", "a.b.c.d", "x" * 5000, "9" * 300, "0.0.0-0--", "../../etc", "1.2.ffffff-1--.0"):
            with stream(page, after=hostile) as opened:
                assert texts(opened.until("live")) == ["one"], hostile
