"""A walk through every key of the help and every command, in a real terminal; each step is looked at.

``KCHAT_WALK=docs/pictures/walk.cast pytest tests/tui/test_walk.py`` records it, for ``asciinema play``: asciicast 2,
https://docs.asciinema.org/manual/asciicast/v2/.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from kchat.client.sender import Sender
from kchat.tui.screens import KEYS
from kchat.tui.slash import COMMANDS
from tests.brokers.wait import wait_until
from tests.tui.chatting import settings
from tests.tui.desk import Desk, chat, sees
from tests.window import Window

COLUMNS, LINES = 80, 24
_BETWEEN = 0.8
"""Seconds between two steps of the recording, whatever they took."""


class Walk:
    """One who walks.

    Arguments:
        window: with the chat of ada in it.
        output: the file that gets what the terminal gets.
        url: of the room.
    """

    def __init__(self, window: Window, output: Path, url: str) -> None:
        self.window, self.url = window, url
        self._output = output
        self._read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.events: list[tuple[float, str, str]] = []
        self.type = window.type

    def note(self) -> None:
        """Keep what was written since the last step."""
        raw = self._output.read_bytes()
        text, self._read = self._decoder.decode(raw[self._read :]), len(raw)
        if text:
            self.events.append((len(self.events) * _BETWEEN, "o", text))

    def sees(self, *words: str) -> None:
        sees(self.window, *words)

    def loses(self, words: str) -> None:
        """Wait until this is not on the screen any more."""
        self.until(lambda: words not in self.window.text())

    def until(self, look: Callable[[], object]) -> None:
        wait_until(look, 20, self.window.text)

    def prompt_is(self, text: str) -> None:
        """Wait until this is what is written at the prompt."""
        self.until(lambda: self.window.rows()[-2].partition("ada>")[2].strip() == text)

    def colours(self) -> str:
        return self.window._run("capture-pane", "-p", "-e")

    def click_wheel_up(self) -> None:
        self.window.type("-l", "\x1b[<64;40;10M")


def enter(walk: Walk) -> None:
    walk.type("hello bob", "Enter")
    walk.sees("ada  hello bob")
    walk.prompt_is("")


def newline(walk: Walk) -> None:
    walk.type("one", "M-Enter", "two", "Enter")
    walk.until(lambda: re.search(r"\bone\n.*\btwo\n", walk.window.text()))


def up_and_down(walk: Walk) -> None:
    walk.type("Up", "Up", "Up")  # the second one goes up in a text of two lines
    walk.prompt_is("hello bob")
    walk.type("Down", "Down")
    walk.prompt_is("")


def tab(walk: Walk) -> None:
    walk.type("bo", "Tab")
    walk.prompt_is("bob:")
    walk.type("C-u")


def start_and_end(walk: Walk) -> None:
    walk.type("bc", "C-a", "a", "C-e", "d")
    walk.prompt_is("abcd")
    walk.type("C-u")


def delete(walk: Walk) -> None:
    walk.type("one two", "C-w")
    walk.prompt_is("one")
    walk.type("C-a", "C-k")
    walk.prompt_is("")
    walk.type("three", "C-u")
    walk.prompt_is("")


def pages(walk: Walk) -> None:
    walk.type("PPage")
    walk.sees("↓ End")
    walk.type("NPage")
    walk.sees("F1 help")
    walk.click_wheel_up()
    walk.sees("↓ End")
    walk.type("End")
    walk.sees("F1 help")


def home_and_end(walk: Walk) -> None:
    walk.type("Home")
    walk.sees("the needle", "↓ End")
    walk.type("End")
    walk.sees("F1 help")


def search(walk: Walk) -> None:
    walk.type("C-f", "needle", "Enter")
    walk.sees("search> needle", "the needle")
    walk.type("Escape")
    walk.prompt_is("")
    walk.type("End")


def room_by_number(walk: Walk) -> None:
    for key, room in (("M-2", "ops"), ("M-1", "lunch")):
        walk.type(key)
        walk.sees(f" {room} · this machine")


def next_room(walk: Walk) -> None:
    for key, room in (("C-n", "ops"), ("C-p", "lunch")):
        walk.type(key)
        walk.sees(f" {room} · this machine")


def again(walk: Walk) -> None:
    walk.type("C-r")
    walk.sees("there is nothing to send again")
    walk.type("a draft", "C-x")
    walk.prompt_is("")


def copy_link(walk: Walk) -> None:
    walk.type("C-o")
    walk.sees("copied https://example.org/x")


def theme(walk: Walk) -> None:
    before = walk.colours()
    walk.type("C-t")
    walk.until(lambda: walk.colours() != before)
    walk.note()
    walk.type("C-t")


def redraw(walk: Walk) -> None:
    walk.sees("connected")
    walk.type("C-l")
    walk.sees("hello bob", "connected")


def suspend(walk: Walk) -> None:
    walk.type("half a dra", "C-z")
    walk.until(lambda: walk.window.text().rstrip().endswith("$"))
    walk.note()
    walk.type("fg", "Enter")
    walk.prompt_is("half a dra")
    walk.type("C-u")


def leave(walk: Walk) -> None:
    walk.type("C-c")
    walk.sees("Ctrl+C again leaves")
    walk.note()
    walk.type("C-c")
    walk.until(lambda: walk.window.text().rstrip().endswith("$"))
    walk.sees("ada  hello bob")  # the last screenful, above the prompt


STEPS: dict[str, Callable[[Walk], None]] = {
    "Enter": enter,
    "Alt+Enter, Shift+Enter": newline,  # a terminal that tells Shift+Enter from Enter is Textual's pilot, in test_keys
    "Up, Down": up_and_down,
    "Tab": tab,
    "Ctrl+A, Ctrl+E": start_and_end,
    "Ctrl+W, Ctrl+U, Ctrl+K": delete,
    "PgUp, PgDn, wheel": pages,
    "Home, End": home_and_end,
    "Ctrl+F": search,
    "Alt+1 to Alt+9": room_by_number,
    "Ctrl+N, Ctrl+P": next_room,
    "Ctrl+R, Ctrl+X": again,  # what failed is sent again, and discarded, in test_away and test_window
    "Ctrl+O": copy_link,
    "Ctrl+T": theme,
    "Ctrl+L": redraw,
    "Ctrl+Z": suspend,
    "Ctrl+Q, Ctrl+C twice": leave,
}
"""What is done for each row of the help, in this order but for the last one."""

TYPED: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "help": ("/help", ("Keys", "Ctrl+A, Ctrl+E"), ("Escape",)),
    "who": ("/who", ("· 1 here: ada",), ()),
    "nick": ("/nick grace", (" grace>", "you are grace now"), ("/nick ada", "Enter")),
    "me": ("/me waves", ("waves",), ()),
    "join": ("/join kitchen", ("3 kitchen",), ()),
    "leave": ("/leave", ("2 ops",), ("M-1",)),
    "last": ("/last 3", ("F1 help",), ("End",)),
    "search": ("/search needle", ("search> needle", "the needle"), ("Escape", "End")),
    "quit": ("/quit", ("code=0",), ()),
}
"""For each command: what is typed, what is seen then, and what goes back."""


def test_a_walk_through_every_key_and_command(desk: Desk, local_url: str, tmp_path: Path) -> None:
    assert list(STEPS) == [key for key, _ in KEYS]
    assert set(TYPED) == set(COMMANDS)
    with Sender(settings(local_url), "bob") as bob:
        bob.send("the needle")
        for number in range(40):
            bob.send(f"line {number}")
        bob.send("look at https://example.org/x")
    window = desk.open("ada", COLUMNS, LINES)
    window.type("set -m; clear", "Enter")
    output = tmp_path / "output"
    output.touch()
    window._run("pipe-pane", "-O", f"exec cat >> {output}")
    walk = Walk(window, output, local_url)
    chat(window, local_url, "ada", "ops")
    walk.sees("look at https")
    walk.note()
    window.type("F1")
    walk.sees("Ctrl+A, Ctrl+E")
    walk.note()
    window.type("Escape")
    walk.loses("Ctrl+A, Ctrl+E")
    copy_link(walk)
    for step in STEPS.values():
        if step not in (leave, copy_link):
            step(walk)
            walk.note()
    for name, (line, seen, back) in TYPED.items():
        if name != "quit":
            window.type(line, "Enter")
            walk.sees(*seen)
            walk.note()
            if back:
                window.type(*back)
                if name == "help":
                    walk.loses("Keys")
                walk.until(lambda: " ada>" in window.rows()[-2])
    leave(walk)
    walk.note()
    chat(window, local_url, "ada")
    line, seen, _ = TYPED["quit"]
    window.type(line, "Enter")
    walk.until(lambda: window.text().count("code=0") >= 1 and window.text().rstrip().endswith("$"))
    walk.note()
    assert len(walk.events) > len(KEYS) + len(COMMANDS)
    recording = os.environ.get("KCHAT_WALK")
    if recording:
        _save(walk, Path(recording))


def _save(walk: Walk, path: Path) -> None:
    header = {"version": 2, "width": COLUMNS, "height": LINES, "timestamp": int(time.time())}
    header["title"] = "kchat chat: every key and command"  # type: ignore[assignment]
    command = re.compile(
        r"\S+ -m kchat chat (\w+) --url ['\"]?local:\S+ --username ada(?: ops)?;? ?(?:echo code=\$\?)?"
    )
    events = [(at, kind, command.sub(r"kchat chat \1", text)) for at, kind, text in walk.events]
    lines = [json.dumps(header), *(json.dumps(event, ensure_ascii=False) for event in events)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
