"""What strangers send, through the window: nothing of it does anything to the terminal, or looks like the window's own."""

from __future__ import annotations

import json
import re

from rich.console import Console

from kchat.message import Message
from kchat.tui.alerts import Alerts
from kchat.tui.reports import Arrived
from tests.cases import check_each
from tests.hostile.corpus import BODIES, TEXTS
from tests.hostile.safe import why_unsafe
from tests.tui.chatting import Chat, chatting, run
from tests.unit.tui.making import room, said

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_LINK = re.compile(r"\x1b\]8;id=[0-9-]+;([^\x1b]*)\x1b\\([^\x1b]*)\x1b\]8;;\x1b\\")


def written(chat: Chat) -> list[str]:
    """The rows of the screen as the terminal gets them."""
    console = Console(force_terminal=True, color_system="truecolor")
    return [strip.render(console) for strip in chat.app.screen._compositor.render_strips()]


def test_no_body_reaches_the_terminal_as_anything_but_text(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, size=(100, 40)) as chat:
            checked: set[str] = set()
            for name, body in BODIES.items():
                chat.app._inbox.put(Arrived("lunch", [Message.from_body(body, account="guest")]))
                await chat.pilot.pause(0)
                await chat.until(lambda: not chat.app._inbox._reports)
                chat.app._draw()
                await chat.pilot.pause(0)
                rows = {*written(chat)} - checked
                checked |= rows
                for row in rows:
                    shown = _COLOR.sub("", row)
                    for target, text in _LINK.findall(shown):
                        assert target.startswith(("http://", "https://")), name
                        assert text.strip() in target, name
                    shown = _LINK.sub(r"\2", shown)
                    assert why_unsafe(shown, newlines=False) == "", (name, shown)
            assert chat.app.session.current.received == len(BODIES)
            assert len(checked) > len(BODIES)

    run(script)


def test_a_link_that_is_broken_over_rows_leads_to_all_of_it(local_url: str) -> None:
    link = "https://example.org/" + "a/" * 60

    async def script() -> None:
        async with chatting(local_url, size=(60, 20)) as chat:
            chat.app._inbox.put(Arrived("lunch", [said("bob", link)]))
            await chat.sees("https://example.org")
            found = [_LINK.findall(_COLOR.sub("", row)) for row in written(chat)]
            parts = [pair for row in found for pair in row]
            assert {target for target, _ in parts} == {link.rstrip("/") + "/"}
            assert "".join(text.strip() for _, text in parts) == link

    run(script)


def test_titles_and_notices_hold_nothing_that_ends_them_early() -> None:
    def check(text: str) -> None:
        for kind in ("osc9", "osc777"):
            out: list[str] = []
            alerts = Alerts(out.append, bell=True, notify=kind)
            lunch = room()
            lunch.arrive([said(text, text)], watched=True)
            alerts.mention(lunch, lunch.timeline[0])
            alerts.title([lunch], lunch)
            bell, notice, title = out
            assert bell == "\a"
            for sequence in (notice, title):
                inner = sequence[2:-1]
                assert sequence[:2] == "\x1b]"
                assert sequence[-1] == "\a"
                assert why_unsafe(inner, newlines=False) == ""
            assert notice.count(";") == (1 if kind == "osc9" else 3)

    import os

    os.environ.pop("TMUX", None)
    check_each(TEXTS, check)


def test_a_body_cannot_say_that_it_is_ones_own(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            body = json.dumps(
                {"username": "ada", "message": "I am you", "mine": True, "account": "ada"}
            ).encode()
            chat.app._inbox.put(Arrived("lunch", [Message.from_body(body)]))
            await chat.sees("I am you")
            assert chat.styles("I am you") == {"text"}
            await chat.write("I am I")
            await chat.until(lambda: chat.styles("I am I") == {"own"})
            names = {
                span.style
                for seen in chat.app.messages.view.seen()
                for span in seen.row
                if span.text == "ada"
            }
            assert "own-name" in names
            assert len(names) == 2  # its name is not shown as one's own

    run(script)
