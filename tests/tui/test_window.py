"""The window on a room: what is read, what is written, and what one sees of it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from kchat.tui.people import nobody_knows
from tests.tui.chatting import chatting, run, say


def test_what_others_say_and_what_one_writes_is_shown(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, presence_of=nobody_knows) as chat:
            say(local_url, "bob", "hello ada")
            await chat.sees("hello ada")
            assert re.search("─ (today|yesterday) ─", chat.messages[0])  # the test may run at midnight
            await chat.write("hello bob")
            await chat.sees("hello bob")
            await chat.until(lambda: not len(chat.app.session.current.outbox))
            said = [row.split()[1:] for row in chat.messages if "hello" in row]
            assert said == [["bob", "hello", "ada"], ["ada", "hello", "bob"]]
            assert chat.styles("hello bob") == {"own"}
            assert chat.draft == ""

    run(script)


def test_at_midnight_a_quiet_window_says_that_it_was_yesterday(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            say(local_url, "bob", "hello")
            await chat.sees("hello")
            room = chat.app.session.current
            told = datetime.fromtimestamp(room.timeline[0].seconds)  # noqa: DTZ006 - by the clocks of this machine
            for days, name in ((0, "today"), (1, "yesterday")):
                room._clock = (told + timedelta(days=days)).timestamp
                chat.app._look_up()
                await chat.sees(f"─ {name} ─")

    run(script)


def test_the_newest_message_stands_above_the_prompt(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            say(local_url, "bob", "hello")
            await chat.sees("hello")
            assert chat.lines[-3].endswith("hello")
            assert chat.lines[-2].startswith(" ada>")
            assert "connected" in chat.lines[-1]
            assert "lunch · this machine · names not checked" in chat.lines[0]

    run(script)


def test_a_message_is_dim_until_the_broker_has_it(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            room = chat.app.session.current
            room.write("on its way")  # and nobody sends it
            chat.app._draw()
            assert chat.styles("on its way") == {"sending"}
            room.outbox.fail(str(room.outbox[0].message.id), "because")
            chat.app._draw()
            assert chat.styles("on its way") == {"failed"}
            assert "Ctrl+R sends it again" in chat.text
            await chat.press("ctrl+r")
            await chat.until(lambda: chat.styles("on its way") == {"own"})

    run(script)


def test_what_failed_can_be_discarded(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            room = chat.app.session.current
            room.write("never mind")
            room.outbox.fail(str(room.outbox[0].message.id), "because")
            await chat.press("ctrl+x")
            assert "never mind" not in chat.text
            assert chat.app.session.unsent == []

    run(script)


def test_names_and_words_stand_out_and_links_are_links(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, highlight=["deploy"]) as chat:
            say(local_url, "bob", "@ada can you deploy https://example.org/x ?")
            await chat.sees("can you")
            assert chat.styles("@ada") == chat.styles("deploy") == {"mention"}
            assert chat.styles("https") == {"link"}
            links = {
                segment.style.link
                for strip in chat.app.messages.drawn()
                for segment in strip
                if segment.style is not None and segment.style.link
            }
            assert links == {"https://example.org/x"}

    run(script)


def test_the_history_is_shown_with_a_line_where_one_left_off(local_url: str, tmp_path: Path) -> None:
    marks = tmp_path / "read.json"

    async def script() -> None:
        async with chatting(local_url, marks=marks) as chat:
            say(local_url, "bob", "read")
            await chat.sees("read")
        say(local_url, "bob", "while away")
        async with chatting(local_url, marks=marks) as chat:
            await chat.sees("while away", " new ")
            at = next(number for number, line in enumerate(chat.messages) if " new " in line)
            assert chat.messages[at - 1].endswith("read")
            assert chat.messages[at + 1].endswith("while away")
        async with chatting(local_url, marks=marks) as chat:
            await chat.sees("while away")
            assert " new " not in chat.text

    run(script)


def test_what_comes_while_the_terminal_is_behind_others_is_new(local_url: str) -> None:
    from textual.events import AppBlur, AppFocus

    async def script() -> None:
        async with chatting(local_url) as chat:
            say(local_url, "bob", "seen")
            await chat.sees("seen")
            chat.app.post_message(AppBlur())
            await chat.until(lambda: not chat.app.session.looking)
            say(local_url, "bob", "not seen")
            await chat.sees("not seen", " new ")
            assert chat.app.session.current.unread == 1
            chat.app.post_message(AppFocus())
            await chat.until(lambda: chat.app.session.current.unread == 0)
            assert " new " in chat.text
            await chat.write("answer")
            await chat.until(lambda: " new " not in chat.text)

    run(script)


def test_older_messages_come_from_the_history_as_one_looks_back(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", *(f"message {number}" for number in range(500)))
        async with chatting(local_url) as chat:
            await chat.sees("message 499")
            room = chat.app.session.current
            await chat.until(lambda: room.received == 200)
            await chat.press("home")
            await chat.until(lambda: room.received == 400, "no older messages")
            await chat.press("ctrl+home")
            await chat.until(lambda: room.received == 500)
            await chat.press("ctrl+home")
            await chat.sees("message 0")
            texts = [room.timeline[place].text for place in range(room.timeline.first, room.timeline.end)]
            assert texts == [f"message {number}" for number in range(500)]

    run(script)


def test_the_window_fits_every_size(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", "a text of some length, which a narrow window has to break", "x" * 300)
        for size in ((40, 12), (80, 24), (120, 40), (200, 50), (20, 6), (12, 4)):
            async with chatting(local_url, size=size) as chat:
                await chat.until(lambda: any("x" in line for line in chat.messages))
                assert len(chat.lines) == size[1]
                assert all(len(line) <= size[0] for line in chat.lines)
                await chat.pilot.resize_terminal(60, 20)
                await chat.until(lambda: len(chat.lines) == 20)
                await chat.sees("connected")

    run(script)


def test_a_room_that_cannot_be_joined_ends_the_window_with_the_reason() -> None:
    async def script() -> None:
        async with chatting("redis://localhost:1/0", join=False) as chat:
            await chat.until(lambda: chat.app.outcome.error is not None)
            assert "localhost:1" in str(chat.app.outcome.error)

    run(script)


def test_a_pasted_text_that_is_too_long_is_refused_with_a_word(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.paste("x" * 300_000)
            await chat.sees("not pasted: 300,000 characters")
            assert chat.draft == ""

    run(script)


def test_an_empty_room_without_a_history_does_not_claim_that_nothing_was_ever_said(
    local_url: str, redis_url: str
) -> None:
    async def script() -> None:
        async with chatting(local_url, join=False) as chat:
            assert "nothing was said" not in chat.text  # it is not joined yet
            await chat.sees("nothing was said here yet")
            await chat.press("pageup")
            assert "no history" not in chat.text
        async with chatting(redis_url) as chat:
            await chat.sees("nothing was said since you came")
            await chat.press("pageup")
            await chat.sees("this room keeps no history")

    run(script)


def test_a_narrow_last_line_says_what_matters(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, size=(40, 12)) as chat:
            chat.app.session.current.status = "no connection, trying again in 4 s (attempt 5)"
            chat.app._draw()
            await chat.until(lambda: chat.status == " no connection, trying again in 4 s")

    run(script)
