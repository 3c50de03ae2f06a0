"""Each key of the window."""

from __future__ import annotations

from functools import partial

import pytest
from textual.events import Key, MouseScrollDown, MouseScrollUp

from kchat.tui.screens import KEYS
from tests.tui.chatting import Chat, chatting, run, say


def is_last(chat: Chat, words: str) -> bool:
    return chat.messages[-1].endswith(words)


def texts(chat: Chat) -> list[str]:
    timeline = chat.app.session.current.timeline
    return [
        timeline[place].text for place in range(timeline.first, timeline.end) if not timeline[place].is_note
    ]


def test_the_help_names_every_key_that_does_something(local_url: str) -> None:
    named = " ".join(key for key, _ in KEYS).lower().replace("pgup", "pageup").replace("pgdn", "pagedown")

    async def script() -> None:
        async with chatting(local_url) as chat:
            for key in chat.app.key_handlers():
                shown = {"ctrl+home": "home", "ctrl+end": "end"}.get(key, key)
                if shown.startswith("alt+"):
                    shown = "alt+1 to alt+9"
                assert shown in named or key == "f1" or key.startswith("search:"), key

    run(script)


def test_keys_that_are_typed_faster_than_they_are_looked_at_keep_their_order(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, "lunch", "ops") as chat:
            for key in ("o", "n", "e", "enter", "alt+2", "t", "w", "o", "enter", "alt+1", "x", "ctrl+q"):
                chat.app.post_message(Key(key, key if len(key) == 1 else None))
            await chat.until(lambda: chat.app._exit)
            lunch, ops = chat.app.session.rooms
            assert [lunch.typed.older(""), ops.typed.older("")] == ["one", "two"]
            assert chat.app.outcome.unsent == ()

    run(script)


def test_what_arrives_while_the_window_closes_is_not_drawn(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, "lunch", "ops") as chat:
            chat.app.exit()
            assert chat.app._running
            chat.app._draw()

    run(script)


def test_the_editors_own_keys_keep_their_order_too(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            for key in ("x", "ctrl+u", "b", "ctrl+a", "a", "end", "c", "left", "ctrl+f", "d", "enter", "e"):
                chat.app.post_message(Key(key, key if len(key) == 1 else None))
            await chat.until(lambda: chat.draft == "de")
            assert chat.app.editor.searches
            await chat.press("escape")
            assert chat.draft == "abc"

    run(script)


def test_enter_on_nothing_sends_nothing(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press("enter", "space", "enter", "alt+enter", "enter")
            await chat.press("ctrl+u", "backspace", "ctrl+u")
            await chat.write("something")
            await chat.until(lambda: texts(chat) == ["something"])

    run(script)


@pytest.mark.parametrize("key", ["alt+enter", "shift+enter", "ctrl+j"])
def test_a_message_may_have_several_lines(local_url: str, key: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press("o", "n", "e", key, "t", "w", "o")
            assert chat.draft == "one\ntwo"
            assert chat.app.editor.size.height == 2
            await chat.press("enter")
            await chat.until(lambda: texts(chat) == ["one\ntwo"])
            assert chat.app.editor.size.height == 1

    run(script)


def test_a_pasted_block_is_one_message_without_what_a_terminal_would_obey(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.paste("def f():\r\n\treturn\r1 \x1b[31m\u202ered\x07\ud800\n")
            assert texts(chat) == []
            assert chat.draft == "def f():\n\treturn\n1 [31mred\n"
            await chat.press("enter")
            await chat.until(lambda: len(texts(chat)) == 1)
            assert texts(chat)[0].startswith("def f():\n\treturn\n1 [31mred")

    run(script)


def test_the_line_is_edited_as_in_a_shell(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press(
                *"one two three".replace(" ", "|").split("|")[0], "space", *"two", "space", *"three"
            )
            await chat.press("ctrl+w")
            assert chat.draft == "one two "
            await chat.press("ctrl+a", "x", "right", "y")
            assert chat.draft == "xoyne two "
            await chat.press("ctrl+e", "z", "left", "left", "delete")
            assert chat.draft == "xoyne twoz"
            await chat.press("ctrl+u")
            assert chat.draft == "z"
            await chat.press("home", "ctrl+k", "backspace")
            assert chat.draft == ""

    run(script)


def test_up_and_down_bring_back_what_was_sent(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("one")
            await chat.write("two")
            await chat.press(*"draft", "up")
            assert chat.draft == "two"
            await chat.press("up", "up")
            assert chat.draft == "one"
            await chat.press("down", "down")
            assert chat.draft == "draft"
            await chat.press("down")
            assert chat.draft == "draft"

    run(script)


def test_up_in_a_message_of_several_lines_moves_the_cursor(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("sent")
            await chat.press("a", "alt+enter", "b", "up", "x")
            assert chat.draft == "ax\nb"

    run(script)


def test_tab_completes_names_and_goes_through_them(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            say(local_url, "bob", "x")
            say(local_url, "barbara", "y")
            await chat.sees("barbara", "bob")
            await chat.press("b", "tab")
            assert chat.draft == "barbara: "
            await chat.press("tab")
            assert chat.draft == "bob: "
            await chat.press("tab")
            assert chat.draft == "barbara: "
            await chat.press("h", "i", "space", "at", "b", "o", "tab")
            assert chat.draft == "barbara: hi @bob "
            await chat.press("ctrl+u", "slash", "j", "tab")
            assert chat.draft == "/join "
            await chat.press("ctrl+u", "z", "tab")
            assert chat.draft == "z"

    run(script)


def test_looking_back_holds_the_place_and_counts_what_is_new(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", *(f"message {number}" for number in range(100)))
        async with chatting(local_url) as chat:
            await chat.sees("message 99")
            await chat.press("pageup")
            held = chat.messages
            assert held[-1].endswith("message 80")
            say(local_url, "bob", "another", "and one more")
            await chat.sees("↓ 2 new")
            assert chat.messages == held
            await chat.press("pagedown")
            await chat.press("pagedown")
            await chat.sees("and one more", "F1 help")
            await chat.press("home")
            await chat.sees("message 0", "↓ End")
            await chat.press("end")
            await chat.sees("and one more")
            await chat.press("d", "home", "e")
            assert chat.draft == "ed"  # with something written, Home is the editor's
            await chat.press("ctrl+home")
            await chat.sees("message 0")
            await chat.press("ctrl+end")
            await chat.sees("and one more")

    run(script)


def test_the_wheel_looks_back(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", *(f"message {number}" for number in range(100)))
        async with chatting(local_url) as chat:
            await chat.sees("message 99")
            messages = chat.app.messages
            for turned, last in ((MouseScrollUp, "message 96"), (MouseScrollDown, "message 99")):
                event = turned(messages, 5, 5, 0, 0, 0, shift=False, meta=False, ctrl=False)
                messages.post_message(event)
                await chat.until(partial(is_last, chat, last))

    run(script)


def test_writing_while_looking_back_returns_to_the_end(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", *(f"message {number}" for number in range(100)))
        async with chatting(local_url) as chat:
            await chat.sees("message 99")
            await chat.press("pageup")
            await chat.write("answer")
            await chat.sees("answer")
            assert chat.app.messages.view.follows

    run(script)


def test_ctrl_f_searches_and_the_draft_comes_back(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", *(f"message {number}" for number in range(100)), "the needle", "after it")
        async with chatting(local_url) as chat:
            await chat.sees("after it")
            await chat.press(*"draft", "ctrl+f")
            await chat.sees("search>")
            assert chat.draft == ""
            await chat.write("message 1")
            await chat.sees("message 19")
            assert chat.styles("message 1") >= {"found"}
            await chat.press("enter")
            await chat.sees("message 18")
            await chat.press("down")
            await chat.until(lambda: chat.app.messages.view._found is not None)
            await chat.press("ctrl+u")
            await chat.write("no such words")
            await chat.sees("not found")
            await chat.press("escape")
            await chat.sees("ada> draft")
            assert "found" not in chat.styles("message")

    run(script)


def test_ctrl_o_copies_the_links_on_the_screen_one_after_the_other(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press("ctrl+o")
            await chat.sees("there is no link")
            say(local_url, "bob", "https://example.org/1 and https://example.org/2")
            await chat.sees("example.org/2")
            for expected in ("/2", "/1", "/2"):
                await chat.press("ctrl+o")
                assert chat.app.clipboard == f"https://example.org{expected}"

    run(script)


def test_ctrl_t_changes_the_colours(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press("ctrl+t")
            assert chat.app.theme == "kchat-light"
            await chat.press("ctrl+t")
            assert chat.app.theme == "kchat-dark"

    run(script)


def test_ctrl_l_draws_again(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            say(local_url, "bob", "hello")
            await chat.sees("hello")
            before = chat.lines
            await chat.press("ctrl+l")
            await chat.pilot.pause()
            assert chat.lines == before

    run(script)


def test_f1_shows_the_keys_and_commands_at_every_size(local_url: str) -> None:
    async def script() -> None:
        for size in ((80, 24), (40, 12), (200, 50)):
            async with chatting(local_url, size=size) as chat:
                await chat.press("f1")
                await chat.sees("Keys", "Enter")
                await chat.press("end")
                await chat.sees("Esc closes this")
                await chat.press("escape")
                await chat.until(lambda: "Esc closes this" not in chat.text)
                await chat.press("x")
                assert chat.draft == "x"

    run(script)


def test_ctrl_c_twice_leaves_and_once_does_not(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press("d", "ctrl+c")
            await chat.sees("Ctrl+C again leaves")
            assert chat.draft == "d"
            await chat.press("ctrl+c")
            await chat.until(lambda: chat.app._exit)
            assert chat.app.outcome.unsent == ()

    run(script)


def test_ctrl_c_copies_what_is_selected(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press(*"draft", "shift+home", "ctrl+c")
            assert chat.app.clipboard == "draft"
            await chat.sees("copied")
            assert not chat.app._exit

    run(script)


def test_ctrl_q_leaves(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("hello")
            await chat.press("ctrl+q")
            await chat.until(lambda: chat.app._exit)
            assert chat.app.outcome.unsent == ()

    run(script)


def test_ctrl_q_leaves_from_the_help_as_the_help_says(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press("f1")
            await chat.sees("Esc closes this")
            await chat.press("ctrl+q")
            await chat.until(lambda: chat.app._exit)

    run(script)


def test_what_is_not_sent_is_not_lost_without_a_question(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            room = chat.app.session.current
            room.write("precious")
            room.outbox.fail(str(room.outbox[0].message.id), "because")
            await chat.press("ctrl+c", "ctrl+c")
            await chat.sees("1 message is not sent.", "leave, and lose it ")
            await chat.press("ctrl+c")  # once more, which is no answer
            await chat.sees("1 message is not sent.")
            await chat.press("N")
            await chat.until(lambda: "is not sent." not in chat.text)
            assert not chat.app._exit
            await chat.press("ctrl+q")
            await chat.sees("1 message is not sent.")
            await chat.press("Y")
            await chat.until(lambda: chat.app._exit)
            assert chat.app.outcome.unsent == ("lunch: precious",)

    run(script)


def test_what_the_mouse_selects_is_copied(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            say(local_url, "bob", "select me please")
            await chat.sees("select me")
            row = chat.app.messages.size.height - 1
            at = chat.messages[-1].index("select")
            await chat.pilot.mouse_down("#messages", offset=(at, row))
            await chat.pilot.hover("#messages", offset=(at + 9, row))
            await chat.pilot.mouse_up("#messages", offset=(at + 9, row))
            await chat.press("ctrl+c")
            assert chat.app.clipboard.startswith("select me")
            assert "bob" not in chat.app.clipboard

    run(script)


def test_keys_with_alt_are_known_as_most_terminals_send_them() -> None:
    from textual._xterm_parser import XTermParser

    from kchat.tui.alt_keys import SEQUENCES, know_alt_keys

    know_alt_keys()
    for sequence, key in SEQUENCES.items():
        assert [event.key for event in XTermParser().feed(sequence)] == [key.value]  # type: ignore[attr-defined]
