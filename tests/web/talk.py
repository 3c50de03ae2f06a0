"""A server with two rooms, somebody who writes there from elsewhere, and a page in a browser of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kchat.client.sender import Sender
from kchat.config.settings import Settings
from kchat.message import Message
from tests.brokers.chromium import Page, find_chromium
from tests.brokers.processes import Commands
from tests.brokers.require import missing
from tests.web.serving import ServeProcess, serve_process


class Talk:
    """A server with two rooms, somebody who writes there from elsewhere, and a browser."""

    def __init__(self, url: str, served: ServeProcess, page: Page) -> None:
        self.served = served
        self.page = page
        self._url = url

    def say(self, *texts: str, room: str = "chat", ids: tuple[str, ...] = ()) -> None:
        """Messages of grace's."""
        with Sender(Settings.resolve(url=self._url, room=room), "grace") as sender:
            for number, text in enumerate(texts):
                sender.send(Message.compose("grace", text, id=ids[number] if ids else None))

    def live(self) -> None:
        """Waits until the page is there, with its history."""
        self.page.wait_for("document.body?.dataset.state === 'live'")

    def reload(self) -> None:
        """Loads the page again."""
        self.page.run("document.body.dataset.state = 'old'; location.reload()")
        self.live()

    def write(self, text: str) -> None:
        """Writes into the field, and does not send."""
        self.page.run(
            "(() => { const field = document.getElementById('text');"
            f" field.value = {json.dumps(text)}; field.dispatchEvent(new Event('input')); }})()"
        )

    def send(self, text: str) -> None:
        """Writes and sends."""
        self.write(text)
        self.page.run("document.getElementById('write').requestSubmit()")

    def wait(self, script: str) -> None:
        """Waits for something on the page."""
        self.page.wait_for(script)

    def texts(self, rows: str = ".rows .message") -> list[str]:
        """What the rows say."""
        script = (
            f"[...document.querySelectorAll({json.dumps(rows)} + ' .text')].map((each) => each.textContent)"
        )
        return list(self.page.run(script))

    def wait_for_text(self, text: str) -> None:
        """Waits until a row of the room says this."""
        each = f"(each) => each.textContent === {json.dumps(text)}"
        self.wait(f"[...document.querySelectorAll('.rows .message .text')].some({each})")


@contextmanager
def a_talk(folder: Path) -> Iterator[Talk]:
    """A page that is in both rooms, on a telephone; ``folder`` is an empty one."""
    program = find_chromium()
    if program is None:
        missing("Chromium is not installed")
    url = f"local://{folder}/room.db"
    (folder / "chromium").mkdir()
    (folder / "home").mkdir()
    commands = Commands(folder / "home")
    rooms = ("--room", "chat", "--room", "ops", "--username", "host")
    try:
        with serve_process(commands, url, *rooms) as served, Page(program, folder / "chromium") as page:
            page.look_at(360, 740)
            page.open(served.link)
            made = Talk(url, served, page)
            made.live()
            yield made
    finally:
        commands.end()
