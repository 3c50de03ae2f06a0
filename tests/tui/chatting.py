"""The window without a terminal, by Textual's pilot, on a real room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from textual.pilot import Pilot

from kchat.client.sender import Sender
from kchat.config.settings import Settings
from kchat.tui.app import ChatApp
from kchat.tui.options import ChatOptions
from kchat.tui.read_marks import ReadMarks
from kchat.tui.worker import Worker
from tests.brokers.ports import free_port
from tests.brokers.wait import Deadline, soon


class Chat:
    """A window that a test types into and looks at.

    Arguments:
        app: the window.
        pilot: Textual's.
    """

    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def messages(self) -> list[str]:
        """The rows of messages, without those that are empty."""
        return [strip.text.rstrip() for strip in self.app.messages.drawn()]

    @property
    def draft(self) -> str:
        """What is in the prompt."""
        return self.app.editor.text

    @property
    def status(self) -> str:
        return self.lines[-1]

    def styles(self, words: str) -> set[str]:
        """The styles of the spans that have these words in them."""
        return {
            span.style for seen in self.app.messages.view.seen() for span in seen.row if words in span.text
        }

    async def until(self, look: Callable[[], object], what: str = "") -> None:
        """Wait until what is looked at is true."""
        deadline = Deadline(soon(10))
        while not look():
            if deadline.passed:
                raise TimeoutError(f"{what}\n{self.text}")
            await self.pilot.pause(0.02)

    async def sees(self, *words: str) -> None:
        """Wait until all these words are on the screen."""
        await self.until(lambda: all(each in self.text for each in words), f"not seen: {words}")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def write(self, text: str) -> None:
        """Type a text, and Enter."""
        await self.pilot.press(*(_KEYS.get(each, each) for each in text), "enter")

    async def paste(self, text: str) -> None:
        from textual.events import Paste

        self.app.post_message(Paste(text))
        await self.pilot.pause()

    async def joined(self) -> None:
        """Wait until all rooms are joined."""
        await self.until(lambda: all(room.joined for room in self.app.session.rooms), "not joined")
        await self.pilot.pause()


_KEYS = {
    " ": "space",
    "/": "slash",
    "@": "at",
    ".": "full_stop",
    "?": "question_mark",
    ":": "colon",
    "!": "exclamation_mark",
}


def settings(url: str, room: str = "lunch") -> Settings:
    return Settings.resolve(url=url, room=room)


@asynccontextmanager
async def chatting(
    url: str,
    *rooms: str,
    size: tuple[int, int] = (80, 24),
    marks: Path | None = None,
    username: str = "ada",
    join: bool = True,
    **options: Any,
) -> AsyncIterator[Chat]:
    """Open a window.

    Arguments:
        url: of the broker.
        rooms: to join. Default: ``lunch``.
        size: columns and lines.
        marks: the file with where one left off. Default: none.
        username: who one is.
        join: wait until the rooms are joined.
        options: of :class:`~kchat.tui.session.ChatOptions`.
    """
    chosen = ChatOptions(
        [settings(url, room) for room in rooms or ("lunch",)],
        username,
        marks=ReadMarks(marks or Path("/dev/null/none")),
        theme=options.pop("theme", "dark"),
        **options,
    )
    app = ChatApp(chosen)
    async with app.run_test(size=size) as pilot:
        chat = Chat(app, pilot)
        if join:
            await chat.joined()
        yield chat
        if not app._exit:
            app._end()


def say(url: str, username: str, *texts: str, room: str = "lunch") -> None:
    """Have somebody else say something, with a sender of their own."""
    with Sender(settings(url, room), username) as sender:
        for text in texts:
            sender.send(text)


@contextmanager
def nobody_answers(worker: Worker) -> Iterator[None]:
    """Within the block, what a worker begins goes to a broker that is not there; what it has begun goes on."""
    with patch.object(worker, "_settings", settings(f"amqp://127.0.0.1:{free_port()}/", worker.room)):
        yield


def run(script: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine."""

    async def whole() -> None:
        await script()

    asyncio.run(whole())
