"""Draw docs/pictures/window.svg and window-light.svg: `kchat chat` with three people, in an embedded room.

python docs/make_window_picture.py
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from kchat.config.settings import Settings
from kchat.events import People, Person
from kchat.message import Message
from kchat.tui.app import ChatApp
from kchat.tui.options import ChatOptions
from kchat.tui.people import nobody_knows
from kchat.tui.read_marks import ReadMarks

FOLDER = Path(__file__).parent / "pictures"
PICTURES = {"dark": FOLDER / "window.svg", "light": FOLDER / "window-light.svg"}
COLUMNS, LINES = 100, 22
TALK = [
    (20, 9, 0, "ada", "the broker moves on Monday"),
    (23, 12, 4, "bob", "did anybody look at the pull request? It has been there for a week and it blocks me"),
    (
        23,
        12,
        5,
        "cy",
        "I did, and left two remarks:\n  - the timeout is in seconds, not milliseconds\n  - the name",
    ),
    (23, 12, 6, "cy", "@ada did you see https://example.org/pull/1234 ?"),
]


async def draw(theme: str) -> str:
    """The window as SVG."""
    folder = tempfile.mkdtemp(prefix="kchat-picture-")
    rooms = [Settings.resolve(url=f"local://{folder}/room.db", room=room) for room in ("lunch", "ops")]
    marks = ReadMarks(Path(os.devnull) / "none")
    app = ChatApp(ChatOptions(rooms, "ada", theme=theme, marks=marks, presence_of=nobody_knows))
    async with app.run_test(size=(COLUMNS, LINES)) as pilot:
        while not all(room.joined for room in app.session.rooms):
            await pilot.pause(0.05)
        lunch, ops = app.session.rooms
        for day, hour, minute, name, text in TALK:
            sent_at = datetime(2026, 11, day, hour, minute, tzinfo=UTC)
            message = Message.compose(name, text, sent_at=sent_at)
            if name == "ada":
                lunch.outbox.write(message, lunch._entry(message))  # noqa: SLF001 - with a time of its own
                lunch.outbox[0].entry.mine = True
            lunch.arrive([message], watched=True)
        lunch.see_people(People(tuple(map(Person, ("ada", "bob", "cy"))), 3))
        ops.unread, ops.mentions = 2, 1
        app.editor.put("no, what is it about")
        app.action_redraw()
        await pilot.pause()
        return app.export_screenshot(title="kchat chat lunch ops")


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    time.tzset()
    for theme, picture in PICTURES.items():
        drawn = re.sub(r"@font-face \{.*?\}\s*", "", asyncio.run(draw(theme)), flags=re.DOTALL)
        picture.write_text(re.sub(r"terminal-\d+", "window", drawn), encoding="utf-8")
