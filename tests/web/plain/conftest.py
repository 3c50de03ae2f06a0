"""A page without JavaScript, and a browser that is in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.web.plain.pages import read
from tests.web.serving import ServeThread, browser, serve_thread


@pytest.fixture
def room_url(tmp_path: Path) -> str:
    return f"local://{tmp_path / 'room.db'}"


@pytest.fixture
def served(tmp_path: Path, room_url: str) -> Iterator[ServeThread]:
    with serve_thread(room_url, tmp_path / "web.db", "tea", "a/b c") as running:
        yield running


@pytest.fixture
def guest(served: ServeThread) -> Iterator[httpx.Client]:
    """A browser that is in, by the forms alone."""
    with browser(served.base) as client:
        door = read(client.get("/plain"))
        answer = client.post("/enter", data={**door.fields, "link": served.link})
        assert (answer.status_code, answer.headers["location"]) == (303, "plain#write")
        yield client
