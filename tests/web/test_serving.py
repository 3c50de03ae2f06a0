"""A server as a process, ended and started again, and one in a thread: what the other tests of this folder stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers.processes import Commands
from tests.web.serving import guest_browser, serve_process, serve_thread


@pytest.mark.parametrize("broker", ["local_url", "amqp_url"])
def test_a_message_comes_back_from_the_room(
    broker: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with (
        serve_thread(request.getfixturevalue(broker), tmp_path / "web.db", "tea") as served,
        guest_browser(served) as page,
        page.stream("GET", "api/events") as events,
    ):
        sent = page.post("api/rooms/tea/messages", json={"text": "hello"})
        assert sent.status_code == 200
        assert any(f'"id":"{sent.json()["id"]}"' in line for line in events.iter_lines())


def test_a_killed_server_starts_again_on_the_same_port_and_knows_the_browser(
    commands: Commands, local_url: str
) -> None:
    with serve_process(commands, local_url) as served, guest_browser(served) as page:
        base = served.base
        served.kill()
        served.start()
        assert served.base == base
        assert page.get("api/session").json()["username"]
        assert served.terminate() == 0
