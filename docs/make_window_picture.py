"""Draw docs/pictures/window.svg, window-light.svg, window-away.svg and chat-plain.svg: `kchat chat` with three people.

The room is an embedded one. The last picture is of a terminal in tmux.

python docs/make_window_picture.py
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from kchat.config.settings import Settings
from kchat.events import People, Person
from kchat.message import Message
from kchat.tui.app import ChatApp
from kchat.tui.options import ChatOptions
from kchat.tui.people import nobody_knows
from kchat.tui.read_marks import ReadMarks

FOLDER = Path(__file__).parent / "pictures"
COLUMNS = 100
TALK = [
    (20, 9, 0, "ada", "the broker moves on Monday"),
    (20, 9, 1, "bob", "good, then we have the weekend to try it"),
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
AWAY = "no connection, trying again in 3 s (attempt 2)"


async def draw(theme: str, lines: int, *, away: bool) -> str:
    """The window as SVG; ``away``: while the broker restarts."""
    folder = tempfile.mkdtemp(prefix="kchat-picture-")
    rooms = [Settings.resolve(url=f"local://{folder}/room.db", room=room) for room in ("lunch", "ops")]
    marks = ReadMarks(Path(os.devnull) / "none")
    app = ChatApp(ChatOptions(rooms, "ada", theme=theme, marks=marks, presence_of=nobody_knows))
    async with app.run_test(size=(COLUMNS, lines)) as pilot:
        while not all(room.joined for room in app.session.rooms):
            await pilot.pause(0.05)
        lunch, ops = app.session.rooms
        for day, hour, minute, name, text in TALK:
            message = message_at(day, hour, minute, name, text)
            if name == "ada":
                lunch.outbox.write(message, lunch._entry(message))  # noqa: SLF001 - with a time of its own
                lunch.outbox[0].entry.mine = True
            lunch.arrive([message], watched=True)
        lunch.see_people(People(tuple(map(Person, ("ada", "bob", "cy"))), 3))
        ops.unread, ops.mentions = 2, 1
        if away:
            for text in ("no, what is it about?", "I have a look"):
                message = message_at(23, 12, 7, "ada", text)
                lunch.outbox.write(message, lunch._entry(message)).entry.mine = True  # noqa: SLF001 - likewise
            lunch.status = AWAY
        app.editor.put("and" if away else "no, what is it about")
        app.action_redraw()
        await pilot.pause()
        return app.export_screenshot(title="kchat chat lunch ops")


def message_at(day: int, hour: int, minute: int, name: str, text: str) -> Message:
    """A message of November 2026."""
    return Message.compose(name, text, sent_at=datetime(2026, 11, day, hour, minute, tzinfo=UTC))


def draw_plain() -> str:
    """`kchat chat --plain` in a terminal, as SVG."""
    kchat = [sys.executable, "-m", "kchat"]
    with tempfile.TemporaryDirectory(prefix="kchat-picture-") as folder:
        environment = {
            **os.environ,
            "KCHAT_URL": f"local://{folder}/room.db",
            "KCHAT_ROOM": "lunch",
            "HOME": folder,
        }
        tmux = ["tmux", "-S", f"{folder}/tmux", "-f", os.devnull]

        def run(*command: str) -> str:
            return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

        def wait(words: str) -> str:
            while words not in (shown := run(*tmux, "capture-pane", "-p")):
                time.sleep(0.1)
            return shown

        def say(name: str, text: str) -> None:
            run(*kchat, "send", "-q", "--username", name, text)

        listening = [
            subprocess.Popen(
                [*kchat, "subscribe", "-q", "--username", name], env=environment, stdout=subprocess.DEVNULL
            )
            for name in ("bob", "cy")
        ]
        try:
            command = shlex.join([*kchat, "chat", "lunch", "--plain", "--username", "ada"])
            run(*tmux, "new-session", "-d", "-x", "84", "-y", "12", command)
            wait("connected")
            say("bob", "did anybody look at the pull request?")
            wait("did anybody")
            run(*tmux, "send-keys", "no, what is it about?", "Enter")
            run(*tmux, "send-keys", "/who", "Enter")
            wait("3 here")
            run(*tmux, "send-keys", "I have a lo")
            wait("I have a lo")
            say("cy", "I did, and left two remarks:\nthe timeout is in seconds\nthe name")
            shown = wait("the name")
        finally:
            run(*tmux, "kill-server")
            for process in listening:
                process.terminate()
                process.wait()
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=84, file=nowhere)
        console.print(shown.rstrip(), markup=False, highlight=False)
        return console.export_svg(title="kchat chat lunch --plain")


def without_fonts(svg: str) -> str:
    """Without what differs from one run to the next, and the addresses of fonts."""
    return re.sub(r"terminal-\d+", "window", re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


PICTURES = {
    "window": ("dark", 14, False),
    "window-light": ("light", 14, False),
    "window-away": ("dark", 15, True),
}
"""By the name of the file: theme, lines, and whether the broker is away."""


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    time.tzset()
    for picture, (theme, lines, away) in PICTURES.items():
        drawn = asyncio.run(draw(theme, lines, away=away))
        (FOLDER / f"{picture}.svg").write_text(without_fonts(drawn), encoding="utf-8")
    (FOLDER / "chat-plain.svg").write_text(without_fonts(draw_plain()), encoding="utf-8")
