"""The window as pictures, which are compared with those that were looked at.

``pytest tests/tui/test_pictures.py --snapshot-update`` draws them anew, with the release of Textual that they are for.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from textual.pilot import Pilot

from kchat.message import Message
from kchat.tui.app import ChatApp
from kchat.tui.options import ChatOptions
from kchat.tui.people import nobody_knows
from kchat.tui.read_marks import ReadMarks
from kchat.tui.timeline import Entry, Kind
from tests.tui.chatting import settings
from tests.unit.tui.making import people

TEXTUAL = "8.2.8"
"""The release that draws the pictures: each draws SVG a little differently."""

pytestmark = [
    pytest.mark.skipif(
        importlib.metadata.version("textual") != TEXTUAL, reason=f"the pictures are Textual {TEXTUAL}'s"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

TALK = [
    (9, 0, "ada", "said on friday"),
    (12, 4, "bob", "did anybody look at the pull request? It has been there for a week and it blocks me"),
    (12, 5, "cy", "@ada did you see https://example.org/long/link ?"),
    (12, 6, "\u0430da", "I am ada"),
    (12, 6, "mallory", "an alarm \x1b[31m[bold]that does not go off[/bold]"),
    (12, 7, "zoë", "Grüße aus Köln"),
    (12, 7, "zoë", "several\nlines"),
]


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def filled(*rooms: str, theme: str) -> tuple[ChatApp, Callable[[Pilot[None]], object]]:
    """A window, and what brings people and messages of one day into it."""
    options = ChatOptions(
        [settings("memory://", room) for room in rooms],
        "ada",
        theme=theme,
        presence_of=nobody_knows,
        marks=ReadMarks(Path("/dev/null/none")),
    )
    app = ChatApp(options)

    async def fill(pilot: Pilot[None]) -> None:
        room = app.session.current
        while not all(each.joined for each in app.session.rooms):
            await pilot.pause(0.02)
        for number, (hour, minute, name, text) in enumerate(TALK):
            day = 20 if number == 0 else 21
            sent_at = datetime(2020, 11, day, hour, minute, tzinfo=UTC)
            room.arrive([Message.compose(name, text, sent_at=sent_at)], watched=number < 5)
        written_at = datetime(2020, 11, 21, 12, 8, tzinfo=UTC)
        for text in ("yes, I look at it now", "and at the other one"):
            message = Message.compose("ada", text, id=f"id of {text}", sent_at=written_at)
            entry = Entry(Kind.MESSAGE, "ada", None, written_at.timestamp(), text, mine=True)
            room.outbox.write(message, entry)
        room.outbox.fail("id of yes, I look at it now", "the broker refused it")
        room.see_people(people("ada", "bob", "cy", "zoë"))
        assert not any(each.door.tell() for each in app.session.rooms)
        for other in app.session.rooms[1:]:
            other.unread, other.mentions = 3, 1
        app.editor.put("no, what is it")
        app._draw()
        await pilot.pause()

    return app, fill


def test_a_room_on_dark(snap_compare: Callable[..., bool]) -> None:
    app, fill = filled("lunch", theme="dark")
    assert snap_compare(app, terminal_size=(80, 24), run_before=fill)


def test_two_rooms_on_light(snap_compare: Callable[..., bool]) -> None:
    app, fill = filled("lunch", "ops", theme="light")
    assert snap_compare(app, terminal_size=(120, 24), run_before=fill)


def test_two_rooms_in_a_small_window(snap_compare: Callable[..., bool]) -> None:
    app, fill = filled("lunch", "ops", theme="dark")
    assert snap_compare(app, terminal_size=(40, 12), run_before=fill)
