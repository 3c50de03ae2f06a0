"""``kchat chat --plain`` without a terminal: what its commands write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kchat.tui.options import ChatOptions
from kchat.tui.people import nobody_knows
from kchat.tui.plain import Plain
from kchat.tui.read_marks import ReadMarks
from tests.brokers.wait import Deadline, soon
from tests.tui.chatting import nobody_answers, run, say, settings


class Talk:
    """What somebody types, and what is written."""

    def __init__(self, plain: Plain, capsys: pytest.CaptureFixture[str]) -> None:
        self.plain = plain
        self._capsys = capsys
        self._written = ""

    async def write(self, text: str) -> None:
        self._written += self._capsys.readouterr().out
        self._written = ""
        await self.plain._enter(text)

    async def sees(self, *words: str) -> str:
        """Wait for words; returns all that was written since the last command."""
        deadline = Deadline(soon(10))
        while not all(each in self._written for each in words):
            if deadline.passed:
                raise TimeoutError(f"{words} in\n{self._written}")
            await asyncio.sleep(0.02)
            self._written += self._capsys.readouterr().out
        return self._written


@asynccontextmanager
async def talking(url: str, capsys: pytest.CaptureFixture[str], **options: Any) -> AsyncIterator[Talk]:
    chosen = ChatOptions(
        [settings(url)], "ada", marks=ReadMarks(Path("/dev/null/none")), presence_of=nobody_knows, **options
    )
    plain = Plain(chosen)
    loop = asyncio.get_running_loop()
    plain._inbox.wake = lambda: loop.call_soon_threadsafe(plain._take)
    plain._session.start()
    talk = Talk(plain, capsys)
    try:
        await talk.sees("connected")
        yield talk
    finally:
        plain._session.close(10)


def test_plain_last_and_search_fetch_what_the_history_has(
    local_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(local_url, "bob", *(f"line {number}{' needle' * (number in (3, 290))}." for number in range(300)))

    async def script() -> None:
        async with talking(local_url, capsys, last=5) as talk:
            await talk.sees("line 299.")
            await talk.write("/last 250")
            written = await talk.sees("line 50.", "line 299.")
            assert "line 49." not in written
            await talk.write("/search needle")
            written = await talk.sees("1 found in the last")
            assert "line 290 needle" in written
            await talk.write("/search line 3 needle")
            await talk.sees("line 3 needle.", "1 found")
            await talk.write("/search no such [line")
            assert (await talk.sees("0 found\n")).count("fetching") <= 1
            await talk.write("/last 9999")
            await talk.sees("line 0.", "there are no more than 300")
            for mistake in ("/last 0", "/last x", "/search"):
                await talk.write(mistake)
                await talk.sees("usage: ")

    run(script)


def test_plain_says_that_a_history_cannot_be_read_and_asks_it_again(
    local_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(local_url, "bob", *(f"line {number}." for number in range(300)))

    async def script() -> None:
        async with talking(local_url, capsys, last=5) as talk:
            await talk.sees("line 299.")
            with nobody_answers(talk.plain._session._workers["lunch"]):
                await talk.write("/last 250")
                assert "no more than" not in await talk.sees("cannot be fetched now", "line 295.")
                await talk.write("/search line 50.")
                await talk.sees("cannot be fetched now", "0 found in the last")
            await talk.write("/last 250")
            await talk.sees("line 50.")

    run(script)
