"""The live table and the terminal that it stands on: keys, signals, jobs, and what is left on the screen afterwards."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until
from tests.live_table import Table, pid_of
from tests.window import Window

NewWindow = Callable[..., Window]


@pytest.fixture
def room(commands: Commands, local_url: str) -> str:
    for text in ("first", "second"):
        assert commands.run_kchat("send", "-q", "--url", local_url, "--username", "ada", text).code == 0
    return local_url


@pytest.fixture
def shell(window: NewWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Window:
    monkeypatch.chdir(tmp_path)
    return window(70, 14, "bash --norc")


def test_typed_text_does_not_get_into_the_table(shell: Window, room: str) -> None:
    table = Table(shell, room, "--last", "2").drawn()
    table.wait_for("second")
    before = shell.rows()
    shell.type("hello", "Enter", "Enter", "Enter", "Up", "F1", "M-q", "Enter", "C-l")
    shell.type("é", "C-d", "Escape", "Enter")
    wait_until(lambda: shell.rows()[1:-1] == before[1:-1], 10, shell.text)
    assert "q ends" in shell.rows()[-1]
    shell.type("q")
    table.wait_for("code 0")
    table.check_terminal()
    assert "hello" not in shell.text()


def test_the_last_table_stays_on_the_screen(shell: Window, room: str) -> None:
    table = Table(shell, room, "--last", "2").drawn()
    table.wait_for("second")
    shell.type("C-c")
    table.wait_for("code 0")
    above, _, below = shell.text().partition("Username")
    assert "what stood here" in above
    assert re.search(r"first\nada.*second\ncode 0", below)
    table.check_terminal()


@pytest.mark.parametrize("end", [("--limit", "2"), ("--idle-timeout", "0.3")], ids=" ".join)
def test_acknowledged_messages_stay_visible_when_the_table_ends_by_itself(
    shell: Window, commands: Commands, room: str, end: tuple[str, str]
) -> None:
    mine = ("subscribe", "-q", "--url", room, "--durable", "mine", "--idle-timeout", "0.5")
    assert commands.run_kchat(*mine).code == 0
    for text in ("third", "fourth"):
        assert commands.run_kchat("send", "-q", "--url", room, "--username", "ada", text).code == 0
    table = Table(shell, room, "--durable", "mine", *end)
    table.wait_for("\ncode ")
    assert re.search(r"third\nada.*fourth\ncode", shell.text())
    table.check_terminal()
    left = commands.run_kchat(*mine)
    assert left.stdout == ""


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(shell: Window, room: str, name: str) -> None:
    table = Table(shell, room, "--last", "2").drawn()
    os.kill(pid_of(room), getattr(signal, f"SIG{name}"))
    table.wait_for("\ncode ")
    table.check_terminal()
    if name in ("TERM", "INT"):
        assert "code 0" in shell.history()
        assert "second" in shell.history()


def test_a_stopped_table_gives_the_terminal_back_and_takes_it_again(shell: Window, room: str) -> None:
    table = Table(shell, room, "--last", "2").drawn()
    for _ in range(2):
        shell.type("C-z")
        table.wait_for("Stopped")
        table.check_terminal()
        shell.type("bg", "Enter", "clear", "Enter")  # there it stops again, and leaves the screen alone
        wait_until(lambda: "$" in shell.text() and shell.modes() == "0 1 1", 10, shell.text)
        wait_until(lambda: _is_stopped(shell), 20, shell.text, pause=0.3)
        shell.type("fg", "Enter")
        table.drawn()
        table.wait_for("second")
    shell.type("x", "Enter", "q")
    wait_until(lambda: shell.modes() == "0 1 1", 10, shell.text)
    table.check_terminal()


def test_a_table_in_the_background_waits_for_the_foreground(shell: Window, room: str) -> None:
    table = Table(shell, room, "--last", "2", background=True)
    shell.type("Enter")
    wait_until(lambda: _is_stopped(shell), 20, shell.text, pause=0.3)
    assert shell.modes() == "0 1 1"
    table.check_terminal()
    shell.type("fg", "Enter")
    table.drawn()
    shell.type("q")
    table.check_terminal()


def _is_stopped(shell: Window) -> bool:
    shell.type("jobs", "Enter")
    return "Stopped" in shell.text()


def test_a_table_stopped_from_elsewhere_draws_itself_again(shell: Window, room: str) -> None:
    table = Table(shell, room, "--last", "2").drawn()
    os.kill(pid_of(room), signal.SIGSTOP)
    table.wait_for("Stopped")
    shell.type("stty sane; clear; fg", "Enter")
    table.drawn()
    shell.type("not echoed", "Enter")
    shell.type("C-c")
    wait_until(lambda: shell.modes() == "0 1 1", 10, shell.text)
    assert "not echoed" not in shell.text()
