"""The page on Pub/Sub, whose topics keep messages by time alone, and only where the host has them do so."""

from __future__ import annotations

from tests.brokers.processes import Commands
from tests.brokers.pubsub import Emulator
from tests.web.event_streams import stream, texts
from tests.web.serving import guest_browser, serve_process


def test_rooms_are_served_with_a_history_and_without(commands: Commands, pubsub_emulator: Emulator) -> None:
    url, environment = pubsub_emulator.url(pubsub_emulator.new_project()), pubsub_emulator.environment

    def kchat(*arguments: str) -> None:
        result = commands.run_kchat(*arguments, "--url", url, env=environment, seconds=60)
        assert result.code == 0, result.stderr

    kchat("history", "on", "--keep", "1h", "--room", "kept")
    kchat("send", "said before", "--room", "kept")
    rooms = "--room", "chat", "--room", "kept"
    with (
        serve_process(commands, url, *rooms, environment=environment) as served,
        guest_browser(served) as page,
    ):
        described = page.get("api/session").json()["rooms"]
        assert {each["name"]: each["history"] for each in described} == {"chat": False, "kept": True}
        with stream(page, "api/rooms/kept/events") as events:
            assert texts(events.messages(1)) == ["said before"]
        with stream(page, "api/rooms/chat/events") as events:
            events.until("live")
            assert page.post("api/rooms/chat/messages", json={"text": "one"}).status_code == 200
            assert texts(events.messages(1)) == ["one"]
