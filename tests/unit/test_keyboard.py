"""The keys of a full-screen display, from a real pseudo-terminal."""

from __future__ import annotations

import os
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kchat.cli.keyboard import Keyboard
from tests.brokers.wait import wait_until
from tests.cases import check_each

KEYS = {
    "pageup": [b"\x1b[5~", b"\x1b[5;2~"],
    "pagedown": [b"\x1b[6~"],
    "up": [b"\x1b[A", b"\x1bOA", b"\x1b[1;5A"],
    "down": [b"\x1b[B", b"\x1bOB"],
    "home": [b"\x1b[H", b"\x1bOH", b"\x1b[1~", b"\x1b[7~"],
    "end": [b"\x1b[F", b"\x1bOF", b"\x1b[4~", b"\x1b[8~"],
    "redraw": [b"\x0c"],
    "q": [b"q", b"Q"],
}
OTHERS = [
    *(
        b"x",
        b"\r",
        b"\n",
        b"\t",
        b" ",
        "é".encode(),
        b"\x1bq",
        b"\x1b\x1b[5q",
        b"\x1b[3~",
        b"\x1b[C",
        b"\x1bOP",
    ),
    *(b"\x1b[200~", b"\x1b[1;5q", b"\x1b[?1;2c", b"\x1b[<0;10;10M", b"\xff\xfe"),
]


class Typist:
    """A keyboard at a pseudo-terminal, and who types."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ours, self.theirs = os.openpty()
        self.stdin = os.fdopen(os.dup(self.theirs))
        monkeypatch.setattr(sys, "stdin", self.stdin)
        self.before = termios.tcgetattr(self.theirs)
        self.woken = threading.Event()
        self.keyboard = Keyboard(self.theirs, self.woken.set)
        self.keyboard.take()

    def type(self, data: bytes) -> list[str]:
        os.write(self.ours, data)
        return self.keyboard.pressed()

    def close(self) -> None:
        self.stdin.close()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch) -> Iterator[Typist]:
    made = Typist(monkeypatch)
    yield made
    made.close()


def test_keys_have_names_however_a_terminal_sends_them(typist: Typist) -> None:
    def is_read(case: tuple[str, bytes]) -> None:
        name, data = case
        assert typist.type(data) == [name]
        assert typist.type(b"x" + data) == [name]

    check_each([(name, data) for name, each in KEYS.items() for data in each], is_read)


def test_other_keys_have_none_and_do_not_hide_the_next(typist: Typist) -> None:
    def is_nothing(data: bytes) -> None:
        assert typist.type(data) == []
        assert typist.type(data + b"\x1b[5~") == ["pageup"]

    check_each(OTHERS, is_nothing)


def test_a_sequence_that_comes_in_parts_is_one_key_but_escape_alone_swallows_none(typist: Typist) -> None:
    assert typist.type(b"\x1b[") == []
    assert typist.type(b"5") == []
    assert typist.type(b"~q") == ["pageup", "q"]
    assert typist.type(b"\x1b") == []
    assert typist.type(b"q") == ["q"]


def test_what_follows_the_end_is_left_for_the_shell(typist: Typist) -> None:
    assert typist.type(b"\x1b[5~qecho left\n") == ["pageup", "q"]
    typist.keyboard.release()
    assert os.read(typist.theirs, 100) == b"echo left\n"


def test_nothing_is_echoed_signals_keep_their_keys_and_all_is_as_before_afterwards(typist: Typist) -> None:
    flags = termios.tcgetattr(typist.theirs)[3]
    assert not flags & (termios.ECHO | termios.ICANON)
    assert flags & termios.ISIG
    typist.keyboard.take()  # as after Ctrl+L
    for _ in range(2):
        typist.keyboard.release()
        assert termios.tcgetattr(typist.theirs) == typist.before


def test_a_terminal_that_is_set_back_by_another_program_does_not_make_it_wait(typist: Typist) -> None:
    termios.tcsetattr(typist.theirs, termios.TCSANOW, typist.before)
    assert typist.type(b"no line end") == []


def test_the_one_that_watches_wakes_the_reader_and_waits_for_it(typist: Typist) -> None:
    os.write(typist.ours, b"q")
    watching = threading.Thread(target=typist.keyboard.notice, daemon=True)
    watching.start()
    assert typist.woken.wait(20)
    assert typist.keyboard.pressed() == ["q"]
    wait_until(lambda: not watching.is_alive(), 10, "the thread that watches")


def test_without_a_terminal_on_standard_input_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        ours, theirs = os.openpty()
        for stdin in (nothing, None):
            monkeypatch.setattr(sys, "stdin", stdin)
            keyboard = Keyboard(theirs, lambda: None)
            before = termios.tcgetattr(theirs)
            keyboard.take()  # not the terminal that controls this process: somebody else's
            assert termios.tcgetattr(theirs) == before
            os.write(ours, b"q\n")
            assert not keyboard.has_keys
            assert keyboard.pressed() == []
            assert os.read(theirs, 10) == b"q\n"
        os.close(ours)
        os.close(theirs)
