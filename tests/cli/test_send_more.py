"""`kchat send` for scripts: files, numbered messages, and telling the room when something is done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kchat.cli.awaited import Ended, duration, wait_for
from kchat.cli.numbered import numbered
from kchat.errors import SettingsError
from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Process, Result

LONG = "import time; print('up', flush=True); time.sleep(600)"


class Room:
    """A room that somebody listens to, and what is sent there."""

    def __init__(self, commands: Commands, url: str) -> None:
        self.url = url
        self.commands = commands
        self._listener = commands.kchat("subscribe", "--url", url, "--mode", "json")
        self._listener.wait_for("listening")
        self._seen = 0

    def send(self, *words: str, stdin: str | bytes | None = None) -> Result:
        return self.commands.run_kchat("send", "--url", self.url, "-u", "ada", *words, stdin=stdin)

    def start(self, *words: str) -> Process:
        return self.commands.kchat("send", "--url", self.url, "-u", "ada", *words)

    def next(self) -> dict[str, Any]:
        """The next message that came."""
        found: dict[str, Any] = json.loads(self._listener.read_line())
        return found

    def texts(self, count: int) -> list[str]:
        """The texts of the next messages."""
        return [self.next()["message"] for _ in range(count)]


@pytest.fixture(params=["local", "amqp"])
def room(request: pytest.FixtureRequest, commands: Commands) -> Room:
    return Room(commands, request.getfixturevalue(f"{request.param}_url"))


def test_a_file_is_one_message(room: Room, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_bytes("erste Zeile\nzweite, größer\t\xa0\n\n".encode() + b"\xff\r\n")
    assert room.send("--file", str(file)).code == 0
    assert room.send("--file", "-", stdin="a\nb\n").code == 0
    assert room.texts(2) == ["erste Zeile\nzweite, größer\t\xa0\n\n\\xff", "a\nb"]


def test_a_file_that_cannot_be_sent_is_refused_before_anything_is_contacted(
    commands: Commands, local_url: str, tmp_path: Path
) -> None:
    blank, huge = tmp_path / "blank", tmp_path / "huge"
    blank.write_text("\n")
    with huge.open("wb") as file:
        file.truncate((20 << 20) + 1)
    expected = {
        str(tmp_path / "none"): (2, "No such file"),
        str(tmp_path): (2, "Is a directory"),
        str(blank): (2, "the message is empty"),
        str(huge): (1, "more than a subscriber reads"),
    }
    for name, (code, said) in expected.items():
        done = commands.run_kchat("send", "--url", local_url, "--file", name)
        assert (done.code, done.stdout) == (code, ""), name
        assert said in done.stderr, name
    assert not Path(local_url.removeprefix("local://")).exists()


def test_a_count_of_messages_with_their_numbers(room: Room) -> None:
    assert room.send("--count", "1200", "--template", "ping {n:04}/{count:,} {{}}").code == 0
    assert room.texts(1200) == [f"ping {n:04}/1,200 {{}}" for n in range(1, 1201)]
    done = room.send("--count", "2", "--json", "again")
    assert [json.loads(line)["confirmed"] for line in done.stdout.splitlines()] == [True, True]
    assert room.texts(2) == ["again", "again"]


def test_a_template_has_nothing_but_its_fields() -> None:
    assert list(numbered("{n}", 3)) == ["1", "2", "3"]
    accepted = []
    for template in (
        "{x}",
        "{}",
        "{0}",
        "{n.real}",
        "{n[0]}",
        "{n!r}",
        "{n:>9}",
        "{n:{count}}",
        "{n",
        "n}",
        "{n:999}",
    ):
        try:
            numbered(template, 1)
        except SettingsError:
            continue
        accepted.append(template)
    assert accepted == []


@pytest.mark.parametrize("code", [0, 3])
def test_the_room_is_told_when_a_command_is_done(room: Room, code: int) -> None:
    done = room.send(
        "--after", "--", sys.executable, "-c", f"print('its own output'); raise SystemExit({code})"
    )
    assert (done.code, done.stdout) == (code, "its own output\n")
    message = room.next()
    how = "done" if code == 0 else "failed"
    assert re.fullmatch(rf".+ -c .+: {how} after [0-9.]+ s \(exit code {code}\)", message["message"])
    assert message["exit_code"] == code
    assert 0 < message["seconds"] < 60


def test_a_command_gets_the_signals_and_the_room_is_told_all_the_same(room: Room) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        running = room.start("--after", "-m", "build", "--", sys.executable, "-c", LONG)
        running.wait_for("up", "stdout")
        running.signal(number)
        assert running.wait() == 128 + number
        message = room.next()
        assert "build: failed after" in message["message"]
        assert f"(killed by {number.name}, exit code {128 + number})" in message["message"]


def test_ctrl_c_ends_the_command_and_the_room_is_told_all_the_same(
    commands: Commands, local_url: str
) -> None:
    room = Room(commands, local_url)
    words = [sys.executable, "-m", "kchat", "send", "-q", "--url", local_url, "--after", "-m", "build"]
    running = subprocess.Popen(
        [*words, "--", sys.executable, "-c", LONG],
        env=commands.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does it: to both
        assert running.wait(30) in (1, 130)  # Python ends by the signal, or by its traceback
    assert room.next()["message"].startswith("build: failed after")


def test_a_command_that_cannot_run_has_a_shells_exit_code_and_sends_nothing(
    commands: Commands, local_url: str, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    for word, code in {"no-such-command": 127, str(plain): 126}.items():
        done = commands.run_kchat("send", "--url", local_url, "--after", word)
        assert done.code == code
        assert f"cannot run {word!r}" in done.stderr
    assert not Path(local_url.removeprefix("local://")).exists()


def test_the_commands_failure_counts_more_than_that_of_sending(commands: Commands) -> None:
    closed = ["--host", "127.0.0.1", "--port", str(free_port())]
    for code, expected in {0: 1, 3: 3}.items():
        done = commands.run_kchat("send", *closed, "--after", "--", "sh", "-c", f"exit {code}")
        assert done.code == expected
        assert "nothing listens on that port" in done.stderr


def test_the_room_is_told_when_a_process_has_ended(room: Room) -> None:
    process = room.commands.python(LONG)
    process.wait_for("up", "stdout")
    waiting = [
        room.start("--wait-pid", str(process.pid)),
        room.start("--wait-pid", str(process.pid), "the backup"),
    ]
    for each in waiting:
        each.wait_for("waiting for process")
        assert each.running
    process.kill()
    assert [each.wait() for each in waiting] == [0, 0]
    first, second = sorted(room.texts(2), key=lambda text: text.startswith("the"))
    assert re.fullmatch(rf"python\S* \(process {process.pid}\): ended after [0-9.]+ s", first)
    assert re.fullmatch(r"the backup: ended after [0-9.]+ s", second)


def test_a_wait_can_be_interrupted_and_tells_nothing(room: Room) -> None:
    waiting = room.start("--wait-pid", str(os.getpid()))
    waiting.wait_for("waiting for process")
    waiting.interrupt()
    assert waiting.wait() == 130
    room.send("next")
    assert room.texts(1) == ["next"]


def test_the_end_of_a_process_is_looked_for_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        monkeypatch.setattr("kchat.cli.awaited.time.sleep", lambda seconds: child.communicate(b"\n"))
        assert wait_for(child.pid, "it").code is None
    with pytest.raises(SettingsError, match="no process"):
        wait_for(child.pid)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--file", "x", "text"], "take the place of a message"),
        (["--file", "x", "--template", "{n}", "--count", "2"], "only one of"),
        (["--bot", "--after", "ls"], "only one of"),
        (["--template", "{n}"], "--template goes with --count"),
        (["--count", "3"], "--count goes with"),
        (["--count", "3", "-"], "--count goes with"),
        (["--count", "3", "--bot"], "--count goes with"),
        (["--count", "0", "x"], "must be 1 or more"),
        (["--count", "3", "--template", "{x}"], "its fields are {n} and {count}"),
        (["--after"], "--after needs a command"),
        (["--wait-pid", "2000000000"], "no process"),
        (["--wait-pid", "99999999999999999999"], "no process"),
        (["--count", "2", "--template", ""], "the message is empty"),
        (["--count", "2", "--template", " \t"], "the message is blank"),
    ],
)
def test_what_does_not_go_together_is_wrong_usage(
    commands: Commands, local_url: str, words: list[str], said: str
) -> None:
    done = commands.run_kchat("send", "--url", local_url, *words)
    assert (done.code, done.stdout) == (2, "")
    assert said in done.stderr
    assert not Path(local_url.removeprefix("local://")).exists()


def test_times_are_told_in_two_units_at_most() -> None:
    times = {
        0.04: "0.0 s",
        9.94: "9.9 s",
        12.4: "12 s",
        59.7: "1 min 0 s",
        182: "3 min 2 s",
        7500: "2 h 5 min",
    }
    times |= {90_000: "1 d 1 h", 86_399.6: "1 d 0 h"}
    assert {seconds: duration(seconds) for seconds in times} == times
    assert Ended("x", 1.0, 72 + 128, by_signal=True).text == "x: failed after 1.0 s (exit code 200)"
