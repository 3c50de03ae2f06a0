"""``kchat send -`` at a terminal: a prompt to type at, and what becomes of each line."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.window import Window

ROOT = Path(__file__).parents[2]


class Typist:
    """A terminal in which ``kchat send -`` runs.

    Arguments:
        screen: the terminal.
        home: the home of what runs in it.
        arguments: of the command, besides ``-``.
        then: further shell words, such as a redirection.
        program: what the interpreter runs.
    """

    def __init__(
        self,
        screen: Window,
        home: Path,
        *arguments: str,
        then: str = "",
        program: tuple[str, ...] = ("-m", "kchat"),
    ) -> None:
        self.screen = screen
        words = shlex.join([sys.executable, *program, "send", "--username", "ada", *arguments, "-"])
        screen.type(
            f"clear; HOME={home} PYTHONPATH={ROOT} INPUTRC=/dev/null {words} {then}; echo code $?", "Enter"
        )
        self.see("Ctrl+D ends")
        self.see_last("ada>")

    def see(self, words: str) -> None:
        """Wait until it is on the screen."""
        wait_until(lambda: words in self.screen.text(), 20, self.screen.text)

    def see_last(self, row: str) -> None:
        """Wait until the last row is this."""
        wait_until(lambda: self.rows()[-1] == row, 20, self.screen.text)

    def rows(self) -> list[str]:
        """The rows from the prompt on, without empty ones."""
        rows = [row.strip() for row in self.screen.rows() if row.strip()]
        return rows[next((at for at, row in enumerate(rows) if "Ctrl+D ends" in row), -1) + 1 :] or [""]

    def enter(self, line: str) -> None:
        """Type a line, and wait for the next prompt."""
        if line:
            self.screen.type("-l", line)
            self.see_last(f"ada> {line}")
        self.screen.type("Enter")
        self.see_last("ada>")


@pytest.fixture
def typist(window: Callable[..., Window], tmp_path: Path) -> Callable[..., Typist]:
    """Starts ``kchat send -`` in a terminal of 100 columns."""

    def start(*arguments: str, **more: Any) -> Typist:
        return Typist(window(100, 20), tmp_path, *arguments, **more)

    return start


@contextmanager
def listening(commands: Commands, url: str) -> Iterator[Callable[[int], list[str]]]:
    """A subscriber; gives a function that waits for a number of messages and returns all texts."""
    subscriber = commands.kchat("subscribe", "--url", url, "--mode", "json")
    subscriber.wait_for("listening")
    yield lambda count: [json.loads(line)["message"] for line in subscriber.wait_for_lines(count)]


def test_there_is_a_prompt_and_nothing_else_beside_what_is_typed(
    typist: Callable[..., Typist], commands: Commands, local_url: str
) -> None:
    with listening(commands, local_url) as said:
        ada = typist("--url", local_url)
        for line in ("hello everybody", "", "how are you"):
            ada.enter(line)
        said(2)
        ada.screen.type("-l", "typed slowly")
        ada.see_last("ada> typed slowly")
        assert ada.rows() == ["ada> hello everybody", "ada>", "ada> how are you", "ada> typed slowly"]
        ada.screen.type("Enter")
        ada.see_last("ada>")
        ada.screen.type("C-d")
        ada.see("code 0")
        rows = ada.rows()
        total = next(at for at, row in enumerate(rows) if row.startswith("3 sent to chat at local://"))
        assert rows[total - 1] == "ada>"
        assert said(3) == ["hello everybody", "how are you", "typed slowly"]


def test_lines_are_edited_and_brought_back_by_the_keys_that_everybody_knows(
    typist: Callable[..., Typist], commands: Commands, local_url: str
) -> None:
    with listening(commands, local_url) as said:
        ada = typist("--url", local_url)
        ada.screen.type("-l", "wrld")
        ada.screen.type("Left", "Left", "Left", "o", "Home")
        ada.screen.type("-l", "hello ")
        ada.see_last("ada> hello world")
        ada.screen.type("Enter")
        ada.see_last("ada>")
        ada.screen.type("Up")
        ada.see_last("ada> hello world")
        ada.screen.type("C-w")
        ada.screen.type("-l", "Ünï ☃")
        ada.screen.type("Enter")
        assert said(2) == ["hello world", "hello Ünï ☃"]


def test_allowed_empty_lines_are_sent(
    typist: Callable[..., Typist], commands: Commands, local_url: str
) -> None:
    with listening(commands, local_url) as said:
        typist("--url", local_url, "--allow-empty").enter("")
        assert said(1) == [""]


def test_a_line_that_is_refused_is_reported_below_it_and_the_next_one_is_sent(
    typist: Callable[..., Typist], commands: Commands, local_url: str
) -> None:
    with listening(commands, local_url) as said:
        ada = typist("--url", f"{local_url}?max_message_bytes=150")
        long = "x" * 60
        ada.enter("one")
        ada.enter(long)
        ada.see("kchat: not sent: ")
        ada.see("Up brings the line back")
        ada.screen.type("Up")
        ada.see_last(f"ada> {long}")
        ada.screen.type("C-u")
        ada.see_last("ada>")
        ada.enter("two")
        ada.screen.type("C-d")
        ada.see("code 1")
        ada.see("2 sent to chat")
        ada.see("1 not sent")
        assert said(2) == ["one", "two"]


def test_nobody_listening_is_said_when_it_begins_and_not_for_each_line(
    typist: Callable[..., Typist], local_url: str
) -> None:
    ada = typist("--url", local_url)
    ada.enter("one")
    ada.enter("two")
    assert ada.rows() == ["ada> one", "nobody is listening; the room's history keeps it", "ada> two", "ada>"]


def test_a_line_typed_while_the_broker_is_away_is_sent_once_when_it_is_back(
    typist: Callable[..., Typist],
    commands: Commands,
    rabbitmq: RabbitMQ,
    vhost: str,
    proxy_to: Callable[[int], Proxy],
) -> None:
    link = proxy_to(rabbitmq.port)
    with listening(commands, rabbitmq.url_for(vhost)) as said:
        ada = typist("--url", rabbitmq.url_for(vhost, host=link.host, port=link.port))
        ada.enter("before")
        link.refuse()
        link.cut()
        ada.screen.type("-l", "meanwhile")
        ada.screen.type("Enter")
        ada.see("connection lost")
        ada.see("(attempt 2)")
        link.restore()
        ada.see_last("ada>")
        ada.enter("after")
        assert said(3) == ["before", "meanwhile", "after"]
        ada.screen.type("C-d")
        ada.see("code 0")
        ada.see("3 sent to chat")


@pytest.mark.parametrize("key", ["C-c", "SIGTERM"])
def test_a_signal_at_the_prompt_ends_it_and_leaves_the_terminal_as_it_was(
    typist: Callable[..., Typist], local_url: str, key: str
) -> None:
    ada = typist("--url", local_url)
    ada.enter("sent")
    ada.screen.type("-l", "half a li")
    ada.see_last("ada> half a li")
    if key == "C-c":
        ada.screen.type("C-c")
    else:
        ada.screen.signal_children("TERM")
    ada.see("code 130")
    ada.see("1 sent to chat")
    ada.screen.type("-l", "stty -a | tr ' ' '\\n' | grep -cx -e 'echo' -e 'icanon'")
    ada.screen.type("Enter")
    ada.see("\n2")


def test_it_goes_on_after_it_was_suspended(
    typist: Callable[..., Typist], commands: Commands, local_url: str
) -> None:
    with listening(commands, local_url) as said:
        ada = typist("--url", local_url)
        ada.enter("one")
        ada.screen.type("-l", "half a ")
        ada.see_last("ada> half a")  # the terminal drops what was not read when it signals
        ada.screen.type("C-z")
        ada.see("topped")
        ada.screen.type("-l", "echo $((20 + 3))")  # the shell has a terminal that it can use
        ada.screen.type("Enter")
        ada.see("\n23\n")
        ada.screen.type("-l", "fg")
        ada.screen.type("Enter")
        ada.see_last("ada> half a")
        ada.screen.type("-l", "line")
        ada.screen.type("BSpace", "BSpace", "Enter")
        assert said(2) == ["one", "half a li"]
        ada.see_last("ada>")


def test_a_python_without_a_line_editor_has_the_prompt_all_the_same(
    typist: Callable[..., Typist], commands: Commands, local_url: str
) -> None:
    without = "import sys; sys.modules['readline'] = None; from kchat.__main__ import run; run()"
    with listening(commands, local_url) as said:
        ada = typist("--url", local_url, program=("-c", without))
        ada.enter("one")
        ada.enter("two")
        ada.screen.type("C-d")
        ada.see("code 0")
        assert said(2) == ["one", "two"]


def test_receipts_go_to_a_file_and_the_prompt_does_not(
    typist: Callable[..., Typist], local_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "receipts"
    ada = typist("--url", local_url, "--json", then=f">{file}")
    ada.enter("one")
    ada.enter("two")
    ada.screen.type("C-d")
    ada.see("code 0")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["room"], line["username"], line["confirmed"]) for line in lines] == [
        ("chat", "ada", True)
    ] * 2


def test_without_a_message_at_a_terminal_it_is_said_how_to_type_one(
    window: Callable[..., Window], tmp_path: Path, local_url: str
) -> None:
    screen = window(100, 20)
    words = shlex.join([sys.executable, "-m", "kchat", "send", "--url", local_url])
    screen.type(f"clear; HOME={tmp_path} PYTHONPATH={ROOT} {words}; echo code $?", "Enter")
    wait_until(lambda: "code 2" in screen.text(), 20, screen.text)
    assert "Missing message" in screen.text()
    assert "give '-' to type messages" in screen.text()
