"""The window in a real terminal: three people on RabbitMQ, and all the ways to end."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from time import monotonic

import psutil
import pytest

from kchat.client.presence import Presence
from kchat.config.settings import Settings
from kchat.tui.people import JOINING
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.tui.desk import Desk, chat, process_of, sees
from tests.window import Window


def test_people_talk_while_the_broker_restarts(desk: Desk, own_rabbitmq: RabbitMQ) -> None:
    """Three with a window, one line by line, and one who leaves before it is back."""
    with own_rabbitmq.new_vhost() as vhost:
        url = own_rabbitmq.url_for(vhost)
        people = {name: desk.open(name) for name in ("ada", "bob", "cy")}
        plain, leaving = desk.open("dot"), desk.open("eve")
        for name, window in people.items():
            chat(window, url, name)
        chat(plain, url, "dot", "--plain")
        chat(leaving, url, "eve")
        for name, window in people.items():
            window.type(f"hello from {name}", "Enter")
        for window in (*people.values(), plain):
            sees(window, *(f"hello from {name}" for name in people))
        own_rabbitmq.ctl("stop_app")
        try:
            _write_while_away(people, plain)
            leaving.type("precious words", "Enter")
            sees(leaving, "connection", "1 not sent yet")
            leaving.type("C-q")
            sees(leaving, "1 message is not sent.")
            leaving.type("y")
            sees(leaving, "not sent to lunch: precious words", "code=1")
        finally:
            own_rabbitmq.ctl("start_app")
        for name, window in people.items():
            sees(
                window,
                *(f"while away {each}" for each in (*people, "dot")),
                "messages may be missing",
                seconds=60,
            )
            wait_until(lambda window=window: "not sent yet" not in window.text(), 30)  # type: ignore[misc]
            assert window.text().count("while away ada") == 1
            assert f"draft of {name}" in window.text()
            assert "precious" not in window.text()
            window.type("C-q")
            sees(window, "code=0")
        sees(plain, *(f"while away {each}" for each in people))
        plain.type("C-d")
        sees(plain, "code=0")


def _write_while_away(people: dict[str, Window], plain: Window) -> None:
    for name, window in people.items():
        sees(window, "connection")
        window.type(f"while away {name}", "Enter", f"draft of {name}")
        sees(window, f"while away {name}", "not sent yet")
    sees(plain, "- lunch: connection lost")
    plain.type("while away dot", "Enter")


def test_a_terminal_that_is_behind_others_is_told_of_ones_name(
    desk: Desk, local_url: str, commands: Commands
) -> None:
    window = desk.open("ada")
    chat(window, local_url, "ada", "--bell", "--notify", "osc9")
    assert window._run("display-message", "-p", "#{pane_title}").strip() == "lunch - kchat"
    window._run("set-option", "-g", "monitor-bell", "on")
    window._run("new-window", "-d", "sh")
    window._run("select-window", "-t", ":1")
    commands.run_kchat("send", "--url", local_url, "--room", "lunch", "--username", "bob", "ada, look")
    wait_until(
        lambda: window._run("display-message", "-p", "-t", ":0", "#{window_bell_flag}").strip() == "1", 10
    )
    window._run("select-window", "-t", ":0")
    sees(window, "ada, look")


@pytest.mark.parametrize("keys", [("C-q",), ("/quit", "Enter"), ("C-c", "C-c")])
def test_the_terminal_is_as_before_with_the_last_screenful(
    desk: Desk, local_url: str, keys: tuple[str, ...]
) -> None:
    window = desk.open("ada")
    before = window.modes()
    chat(window, local_url, "ada")
    assert window.modes() != before
    window.type("a last word", "Enter")
    sees(window, "a last word")
    window.type(*keys)
    sees(window, "code=0", "a last word")
    assert window.modes() == before
    assert window.rows()[0].startswith("$")  # the command, above what was seen
    window.type("echo typed | tr a-z A-Z", "Enter")
    sees(window, "TYPED")


def test_sigterm_leaves_the_terminal_as_before(desk: Desk, local_url: str) -> None:
    window = desk.open("ada")
    before = window.modes()
    chat(window, local_url, "ada")
    process_of(window).send_signal(signal.SIGTERM)
    sees(window, "code=0")
    assert window.modes() == before


def test_suspending_gives_the_shell_back_and_continuing_the_window(
    desk: Desk, local_url: str, commands: Commands
) -> None:
    window = desk.open("ada")
    window.type("set -m; clear", "Enter")
    chat(window, local_url, "ada")
    window.type("half a dra", "C-z")
    sees(window, "$")
    wait_until(lambda: process_of(window).status() == psutil.STATUS_STOPPED, 10)
    commands.run_kchat("send", "--url", local_url, "--room", "lunch", "--username", "bob", "meanwhile")
    window.type("fg", "Enter")
    sees(window, "meanwhile", "half a dra", "connected")
    window.type("ft", "Enter", "C-q")
    wait_until(lambda: window.text().rstrip().endswith("$"), 10)
    window.type("echo typed | tr a-z A-Z", "Enter")
    sees(window, "half a draft", "TYPED")


def test_a_closed_terminal_ends_it_and_what_was_confirmed_is_there(
    desk: Desk, local_url: str, commands: Commands, tmp_path: Path
) -> None:
    window = desk.open("ada")
    chat(window, local_url, "ada")
    window.type("confirmed", "Enter")
    sees(window, "confirmed")
    process = process_of(window)
    window._run("respawn-pane", "-k", "env PS1='$ ' sh")
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 10)
    again = desk.open("again")
    chat(again, local_url, "ada")
    sees(again, "confirmed")
    process_of(again).kill()
    sees(again, "code=137")


def test_without_a_terminal_one_line_says_what_to_use(commands: Commands, local_url: str) -> None:
    for plain in ([], ["--plain"]):
        result = commands.run_kchat("chat", "--url", local_url, *plain, stdin="hello\n")
        assert result.code == 2
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1
        assert "kchat send" in result.stderr


def test_an_unreachable_broker_is_an_error_as_of_any_command(desk: Desk) -> None:
    window = desk.open("ada")
    window.type(f"{sys.executable} -m kchat chat --url redis://localhost:1/0; echo code=$?", "Enter")
    sees(window, "kchat:", "localhost:1", "code=1")


def test_plain_shows_what_arrives_above_what_is_typed(desk: Desk, local_url: str, commands: Commands) -> None:
    window = desk.open("ada")
    chat(window, local_url, "ada", "--plain")
    window.type("half a dra")
    sees(window, "ada> half a dra")
    commands.run_kchat(
        "send", "--url", local_url, "--room", "lunch", "--username", "bob", "hello\nada\x1b[31m"
    )
    sees(window, "bob: hello", r"      | ada\x1b[31m", "ada> half a dra")
    window.type("ft", "Enter")
    window.type("/nick grace", "Enter")
    sees(window, "you are grace now", "grace>")
    window.type("/flip", "Enter")
    sees(window, "- there is no command /flip")
    window.type("/join ops", "Enter")
    sees(window, "ops grace>")
    window.type("/search half", "Enter")
    sees(window, "- 0 found")
    for text in ("from elsewhere", "and again"):
        commands.run_kchat("send", "--url", local_url, "--room", "lunch", "--username", "grace", text)
    sees(window, "] grace (not from here): from elsewhere", "] grace: and again")
    other = commands.run_kchat(
        "subscribe", "--url", local_url, "--room", "lunch", "--last", "4", "--limit", "4"
    )
    assert "ada: half a draft" in other.stdout
    window.type("/quit", "Enter")
    sees(window, "code=0")


def test_suspending_plain_gives_the_shell_back_and_keeps_the_draft(
    desk: Desk, local_url: str, commands: Commands
) -> None:
    window = desk.open("ada")
    window.type("set -m; clear", "Enter")
    chat(window, local_url, "ada", "--plain")
    window.type("half a dra")
    sees(window, "ada> half a dra")
    window.type("C-z")
    wait_until(lambda: process_of(window).status() == psutil.STATUS_STOPPED, 10)
    commands.run_kchat("send", "--url", local_url, "--room", "lunch", "--username", "bob", "meanwhile")
    window.type("fg", "Enter")
    sees(window, "bob: meanwhile")
    window.type("ft", "Enter", "/quit", "Enter")
    wait_until(lambda: window.text().rstrip().endswith("$"), 10)
    other = commands.run_kchat(
        "subscribe", "--url", local_url, "--room", "lunch", "--last", "1", "--limit", "1"
    )
    assert "ada: half a draft" in other.stdout


def test_plain_says_of_which_of_several_rooms_something_is(
    desk: Desk, local_url: str, commands: Commands
) -> None:
    window = desk.open("ada")
    chat(window, local_url, "ada", "ops", "--plain")
    window.type("hello?", "Enter")
    sees(window, "- lunch: nobody is here to read it")
    began = monotonic()
    wait_until(lambda: monotonic() - began > JOINING, 10)  # until then, all have been here before
    with Presence(Settings.resolve(url=local_url, room="ops"), "bob"):
        sees(window, "- ops: bob joined")
    sees(window, "- ops: bob left")


@pytest.mark.parametrize(
    "environment", ["TERM=dumb", "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"], ids=["dumb", "not UTF-8"]
)
def test_a_terminal_that_cannot_draw_the_window_gets_plain(
    desk: Desk, local_url: str, environment: str
) -> None:
    window = desk.open("ada")
    window.type(f"export {environment}", "Enter")
    chat(window, local_url, "ada")
    sees(window, "- lunch: connected", "ada>")
    window.type("/quit", "Enter")
    sees(window, "code=0")


def test_on_a_dumb_terminal_what_arrives_is_not_written_behind_what_is_typed(
    desk: Desk, local_url: str, commands: Commands
) -> None:
    window = desk.open("ada")
    window.type("export TERM=dumb", "Enter")
    chat(window, local_url, "ada")
    window.type("half a dra")
    sees(window, "ada> half a dra")
    commands.run_kchat("send", "--url", local_url, "--room", "lunch", "--username", "bob", "hello")
    sees(window, "bob: hello")
    wait_until(lambda: window.text().rstrip().endswith("bob: hello\nada> half a dra"), 10, window.text)
    window.type("ft", "Enter", "/who", "Enter")
    sees(window, "\n- 1 here: ada\nada>")
    other = commands.run_kchat(
        "subscribe", "--url", local_url, "--room", "lunch", "--last", "1", "--limit", "1"
    )
    assert "ada: half a draft" in other.stdout
    window.type("/quit", "Enter")
    sees(window, "code=0")


def test_plain_tells_what_somebody_does_from_what_somebody_says(desk: Desk, local_url: str) -> None:
    ada, bob = desk.open("ada"), desk.open("bob")
    chat(ada, local_url, "ada", "--plain")
    chat(bob, local_url, "bob", "--plain")
    bob.type("/me waves", "Enter", "waves", "Enter")
    sees(ada, " * bob waves", " bob: waves")


def test_no_row_of_a_long_message_looks_like_another_message_in_plain(
    desk: Desk, local_url: str, commands: Commands
) -> None:
    window = desk.open("ada")
    chat(window, local_url, "ada", "--plain")
    for filler in (" ", "x"):
        text = "ok".ljust(80 - len("13:31 mallory: "), filler) + "13:31 bob: I owe you money"
        commands.run_kchat("send", "--url", local_url, "--room", "lunch", "--username", "mallory", text)
    sees(window, "      | 13:31 bob: I owe you money", "xxx")
    wait_until(lambda: window.text().count("I owe you money") == 2, 10)
    assert not any(row.startswith("13:31 bob") for row in window.rows())
