"""Completion in the shells: the scripts that Click writes, run by a real bash."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.brokers.processes import Commands

TYPE = """
eval "$(_KCHAT_COMPLETE=bash_source kchat)"
COMP_WORDS=(kchat "$@"); COMP_CWORD=$#
_kchat_completion kchat "${!#}" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does at Tab: it sets these variables, and calls the function with the command's name."""

PROFILES = """
use = "lunch"
[profile.lunch]
url = "amqp://ada:secret@broker.invalid/"
room = "lunch"
[profile.ops]
url = "amqp://bob@broker.invalid:5672"
room = "ops"
[profile.elsewhere]
url = "amqp://ada@other.invalid/"
room = "elsewhere"
[profile."$(touch danger)"]
url = "amqp://ada@broker.invalid/"
room = "$(touch danger)"
[profile.spaced]
url = "amqp://ada@broker.invalid/"
room = "two words"
"""


@pytest.fixture
def tab(commands: Commands) -> Callable[..., list[str]]:
    """What bash offers after these words, the last of which is incomplete."""
    folder = commands.home / "bin"
    folder.mkdir()
    script = folder / "kchat"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m kchat "$@"\n')
    script.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"

    def press(*words: str, **env: str) -> list[str]:
        bash = commands.start(["bash", "--norc", "-c", TYPE, "bash", *words], env={"PATH": path, **env})
        assert bash.wait() == 0
        assert bash.stderr == ""  # it would stand in the line that somebody types
        return bash.stdout.split()

    return press


@pytest.fixture
def profiles(commands: Commands) -> Path:
    file = commands.home / "config" / "kchat" / "profiles.toml"
    file.parent.mkdir(parents=True)
    file.write_text(PROFILES)
    file.chmod(0o600)
    return file


def test_commands_and_options_are_completed(tab: Callable[..., list[str]]) -> None:
    assert tab("s") == ["send", "subscribe", "stats", "serve", "sweep"]
    assert tab("send", "--us") == ["--username"]
    assert tab("profile", "") == ["list", "remove", "show", "use"]


@pytest.mark.usefixtures("profiles")
def test_profiles_are_completed_and_nothing_that_a_shell_would_run(tab: Callable[..., list[str]]) -> None:
    names = ["lunch", "ops", "elsewhere", "spaced"]
    for words in (
        ["send", "--profile"],
        ["chat", "--profile"],
        *(["profile", each] for each in ("use", "show", "remove")),
    ):
        assert tab(*words, "") == names
        assert tab(*words, "o") == ["ops"]


@pytest.mark.usefixtures("profiles")
def test_rooms_are_those_of_the_broker_that_the_options_lead_to(tab: Callable[..., list[str]]) -> None:
    for words in (["send", "-r"], ["subscribe", "--room"], ["who", "-r"], ["chat"]):
        assert tab(*words, "") == ["lunch", "ops"]
    assert tab("chat", "lunch", "") == ["ops"]
    assert tab("send", "--profile", "elsewhere", "-r", "") == ["elsewhere"]
    assert tab("send", "--host", "other.invalid", "-r", "") == ["chat", "elsewhere"]
    assert tab("send", "--url", "amqp://other.invalid/", "-W", "-r", "el") == ["elsewhere"]
    assert tab("send", "-r", "", KCHAT_URL="amqp://other.invalid/") == ["chat", "elsewhere"]


def test_rooms_in_a_file_are_completed(
    commands: Commands, tab: Callable[..., list[str]], local_url: str, tmp_path: Path
) -> None:
    assert tab("send", "--url", local_url, "-r", "") == ["chat"]
    assert not list(tmp_path.glob("room.db*"))  # looking makes nothing
    for room in ("alpha", "beta", "gamma; rm", "älter"):
        assert commands.run_kchat("send", "--url", local_url, "-r", room, "hi").code == 0
        assert commands.run_kchat("send", "-r", room, "hi").code == 0
    subscriber = commands.kchat("subscribe", "--url", local_url, "-r", "alpha")
    subscriber.wait_for("listening")
    for url in (["--url", local_url], []):
        assert tab("send", *url, "-r", "") == ["alpha", "beta", "chat", "älter"]
        assert tab("chat", *url, "b") == ["beta"]


def test_rooms_that_the_window_has_shown_are_completed(
    commands: Commands, tab: Callable[..., list[str]]
) -> None:
    file = commands.home / "state" / "kchat" / "read.json"
    file.parent.mkdir(parents=True)
    places = [
        "amqp://rmq:***@broker.invalid:5672/",
        "amqp://rmq@broker.invalid:5672/",
        "amqp://rmq@x.invalid:5672/",
    ]
    file.write_text(
        json.dumps({f"{room} at {place}": 1.7e9 for room, place in zip("abc", places, strict=True)})
    )
    file.chmod(0o600)
    assert tab("chat", "--host", "broker.invalid", "--rmq-username", "rmq", "-W", "") == ["a", "b", "chat"]
    assert tab("chat", "--url", "amqp://rmq@broker.invalid", "") == ["a", "b", "chat"]


def test_files_that_cannot_be_used_complete_to_nothing_and_say_nothing(
    commands: Commands, tab: Callable[..., list[str]], profiles: Path, tmp_path: Path
) -> None:
    profiles.write_text("use = [")
    (tmp_path / "room.db").write_text("not a room")
    state = commands.home / "state" / "kchat"
    state.mkdir(parents=True)
    (state / "read.json").write_text("{")
    assert tab("send", "--profile", "") == []
    assert tab("send", "-r", "") == []
    assert tab("send", "--url", f"local://{tmp_path}/room.db", "-r", "") == ["chat"]
    assert tab("send", "--url", "nosuch://x", "-r", "") == []
    assert (tmp_path / "room.db").read_text() == "not a room"


@contextmanager
def silent_server() -> Iterator[int]:
    """One that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_no_broker_is_asked(tab: Callable[..., list[str]]) -> None:
    with silent_server() as port:
        assert tab("send", "--host", "127.0.0.1", "--port", str(port), "-r", "") == ["chat"]
        assert tab("chat", "--url", f"redis://127.0.0.1:{port}/", "") == ["chat"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_the_same(commands: Commands, profiles: Path, shell: str) -> None:
    """By the variables that their scripts set: neither is on most machines."""
    assert profiles.exists()
    env = {
        "_KCHAT_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "kchat send -r ",
        "COMP_CWORD": "3" if shell == "zsh" else "",
    }
    found = commands.run_kchat(env=env)
    assert (found.code, found.stderr) == (0, "")
    assert "lunch" in found.stdout
    assert "ops" in found.stdout
