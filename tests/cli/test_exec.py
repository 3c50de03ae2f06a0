"""`kchat subscribe --exec`, as a process, on a broker and without one: what commands get, and what becomes of messages."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kchat import Sender, Settings
from kchat.message import Message
from tests.brokers.processes import Commands, Process
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until

LISTENING = "listening on"


@pytest.fixture(params=["local_url", "amqp_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Of a room's broker: the embedded one, and RabbitMQ."""
    return str(request.getfixturevalue(request.param))


class Desk:
    """A room with a durable subscription, and scripts in a folder."""

    def __init__(self, commands: Commands, url: str, room: str, folder: Path) -> None:
        self.commands = commands
        self.folder = folder
        self.place = ("--url", url, "--room", room)
        self._settings = Settings.resolve(url=url, room=room)

    def script(self, text: str) -> str:
        """The command line of a Python script; ``folder`` and ``name`` of the message are there."""
        head = "import os, pathlib, sys, time\nfolder = pathlib.Path(sys.argv[1])\n"
        head += "name = os.environ['KCHAT_MESSAGE_TEXT']\n"
        path = self.folder / "script.py"
        path.write_text(head + text)
        return f"{sys.executable} {path} {self.folder}"

    def listen(self, command: str, *options: str, durable: bool = True) -> Process:
        named = ("--durable", "desk") if durable else ()
        process = self.commands.kchat("subscribe", *self.place, *named, "--exec", command, *options)
        process.wait_for(LISTENING)
        return process

    def send(self, *messages: str | bytes | Message) -> None:
        with Sender(self._settings, "ada") as sender:
            for message in messages:
                sender.send(Message(None, "", body=message) if isinstance(message, bytes) else message)

    def left(self) -> list[str]:
        """The texts that the durable subscription still has; they are taken off it."""
        done = self.commands.run_kchat(
            *("subscribe", *self.place, "--durable", "desk", "--mode", "json", "--idle-timeout", "1.5")
        )
        assert done.code == 0, done.stderr
        return [json.loads(line)["message"] for line in done.stdout.splitlines()]

    def wait_for(self, *names: str) -> None:
        """Wait for files that commands make."""
        wait_until(
            lambda: all((self.folder / name).exists() for name in names),
            30,
            lambda: f"{names} in {self.files()}",
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def desk(commands: Commands, url: str, room: str, tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(commands, url, room, folder)


@pytest.fixture
def local_desk(commands: Commands, local_url: str, room: str, tmp_path: Path) -> Desk:
    """For what has nothing to do with a broker."""
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(commands, local_url, room, folder)


DUMP = "import json\nprint(json.dumps({k: v for k, v in os.environ.items() if k.startswith('KCHAT')}))\n"
ECHO = "sys.stdout.flush(); sys.stdout.buffer.write(sys.stdin.buffer.read())\n"

BLOCKS = """
(folder / f"began-{name}").touch()
while not (folder / f"go-{name}").exists():
    time.sleep(0.01)
(folder / f"done-{name}").touch()
"""
"""A command that goes on when it is told to."""


# ---- what a command gets


def test_a_command_gets_the_fields_by_its_environment_and_the_body_on_standard_input(desk: Desk) -> None:
    listening = desk.listen(desk.script(DUMP + ECHO), "--limit", "1", durable=False)
    message = Message.compose("ada", "hello\nworld", extra={"x": 1})
    desk.send(message)
    assert listening.wait() == 0
    fields, body = listening.stdout.split("\n", 1)
    assert body.encode() == message.body
    found = {key.removeprefix("KCHAT_MESSAGE_"): value for key, value in json.loads(fields).items()}
    account = found.pop("ACCOUNT")
    assert account == ("" if desk.place[1].startswith("local") else "rmq")
    assert found == {
        "ROOM": desk.place[3],
        "USERNAME": "ada",
        "VERIFIED": "",
        "ID": message.id,
        "SENT_AT": json.loads(body)["sent_at"],
        "REDELIVERED": "",
        "TEXT": "hello\nworld",
        "ATTEMPT": "1",
    }


def test_no_message_becomes_a_part_of_the_command_or_reaches_a_terminal(local_desk: Desk) -> None:
    evil = "$(touch pwned) `touch pwned`; touch pwned | touch pwned\x00\x1b]0;x\x07"
    for shell in ((), ("--shell",)):
        show = local_desk.script(DUMP)
        if shell:
            show = f'echo "$KCHAT_MESSAGE_TEXT" >/dev/null; {show}'
        listening = local_desk.listen(show, *shell, "--limit", "1", durable=False)
        local_desk.send(Message.compose(evil, evil))
        assert listening.wait() == 0
        found = json.loads(listening.stdout)
        shown = evil.replace("\x00", "\\x00").replace("\x1b", "\\x1b").replace("\x07", "\\x07")
        assert found["KCHAT_MESSAGE_TEXT"] == shown
        assert found["KCHAT_MESSAGE_USERNAME"] == shown
    assert not list(local_desk.commands.home.rglob("pwned"))
    assert "pwned" not in local_desk.files()


def test_a_message_cannot_choose_the_options_of_a_kchat_that_a_command_runs(local_desk: Desk) -> None:
    local_desk.commands.environment["KCHAT_MESSAGE_TEXT"] = local_desk.commands.environment[
        "KCHAT_MESSAGE_X"
    ] = "of an outer command"
    listening = local_desk.listen(local_desk.script(DUMP), "--limit", "1", durable=False)
    local_desk.send(b"not JSON")
    assert listening.wait() == 0
    found = json.loads(listening.stdout)
    assert {name for name in found if not name.startswith("KCHAT_MESSAGE_")} == set()
    assert found["KCHAT_MESSAGE_TEXT"] == "not JSON"
    assert found["KCHAT_MESSAGE_USERNAME"] == found["KCHAT_MESSAGE_ID"] == ""
    assert "KCHAT_MESSAGE_X" not in found


def test_any_body_arrives_whole_also_where_a_command_does_not_read_it(local_desk: Desk) -> None:
    bodies = [b"", b"\x00\xff", b"x" * 5_000_000]
    listening = local_desk.listen("sh -c 'wc -c'", "--limit", "3", durable=False)
    local_desk.send(*bodies)
    assert listening.wait() == 0
    assert [int(line) for line in listening.lines] == [0, 2, 5_000_000]
    listening = local_desk.listen("true", "--limit", "3", durable=False)
    local_desk.send(*bodies)
    assert listening.wait() == 0


def test_the_text_of_a_large_message_is_cut_in_the_environment(local_desk: Desk) -> None:
    listening = local_desk.listen(local_desk.script(DUMP), "--limit", "1", durable=False)
    local_desk.send(Message.compose("n" * 5000, "ж" * 1_000_000))
    assert listening.wait() == 0
    found = json.loads(listening.stdout)
    assert len(found["KCHAT_MESSAGE_TEXT"].encode()) <= 32 << 10
    assert found["KCHAT_MESSAGE_TEXT"].endswith("in all]")
    assert len(found["KCHAT_MESSAGE_USERNAME"]) <= 1024


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (("--exec", "echo 'two words' $HOME"), "two words $HOME"),
        (("--exec", "echo", "--", "--jobs", "$HOME", "a  b"), "--jobs $HOME a  b"),
        (("--shell", "--exec", 'echo "$1" $((1 + 1)) | tr a A', "--", "a  b"), "A  b 2"),
    ],
)
def test_a_command_line_is_split_as_a_shell_does_and_run_without_one(
    local_desk: Desk, options: tuple[str, ...], shown: str
) -> None:
    local_desk.send("x")
    done = local_desk.commands.run_kchat(
        "subscribe", *local_desk.place, "--last", "1", "--limit", "1", *options
    )
    assert (done.code, done.stdout) == (0, shown + "\n"), done.stderr


def test_wrong_usage_is_told_before_a_broker_is_asked(commands: Commands, tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.touch()
    cases: dict[tuple[str, ...], str] = {
        ("--exec", "no-such-program x"): "there is no program 'no-such-program' that can be run",
        ("--exec", str(plain)): "that can be run",
        ("--exec", "echo 'x"): "no closing quotation",
        ("--exec", " "): "the command is empty",
        ("--exec", "''"): "there is no program ''",
        ("--exec", "true", "--mode", "json"): "either --mode or --exec",
        ("--jobs", "2"): "go with --exec",
        ("--exec", "true", "--jobs", "0"): "must be from 1 to 1,000",
        ("--exec", "true", "--on-failure", "no"): "'no' is not one of",
        ("something",): "unexpected extra argument (something)",
    }
    for options, told in cases.items():
        done = commands.run_kchat("subscribe", "--url", "amqp://localhost:1/", *options)
        assert (done.code, told in done.stderr) == (2, True), (options, done.stderr)


# ---- what becomes of messages


def test_a_message_whose_command_failed_stays_and_nothing_more_is_begun(desk: Desk) -> None:
    listening = desk.listen(desk.script("(folder / name).touch(); sys.exit(7 if name == 'b' else 0)"))
    desk.send("a", "b", "c")
    assert listening.wait() == 1
    left = "1 message is not acknowledged: the durable queue delivers it again; --on-failure"
    assert f"of ada: its command ended with exit code 7\n  {left}" in listening.stderr
    assert desk.files() == ["a", "b", "script.py"]
    assert desk.left() == ["b", "c"]


def test_what_failed_is_not_said_to_come_again_where_the_queue_is_not_durable(local_desk: Desk) -> None:
    listening = local_desk.listen("false", durable=False)
    local_desk.send("a")
    assert listening.wait() == 1
    assert "exit code 1\n  --on-failure retry or --on-failure skip goes on" in listening.stderr
    assert "durable" not in listening.stderr


def test_a_failure_can_be_skipped_and_is_not_forgotten(desk: Desk) -> None:
    command = desk.script("os.kill(os.getpid(), 9) if name == 'b' else (folder / name).touch()")
    listening = desk.listen(command, "--on-failure", "skip", "--limit", "3")
    desk.send("a", "b", "c")
    assert listening.wait() == 1
    assert "of ada: its command was killed by SIGKILL; skipped" in listening.stderr
    assert desk.files() == ["a", "c", "script.py"]
    assert desk.left() == []


def test_a_failed_command_can_be_tried_again_until_it_succeeds(desk: Desk) -> None:
    command = desk.script(
        "attempt = os.environ['KCHAT_MESSAGE_ATTEMPT']\n"
        "with open(folder / 'log', 'a') as log: print(name, attempt, file=log)\n"
        "sys.exit(name == 'a' and attempt != '3')"
    )
    listening = desk.listen(command, "--on-failure", "retry", "--limit", "2")
    desk.send("a", "b")
    assert listening.wait(30) == 0
    assert (desk.folder / "log").read_text().split("\n") == ["a 1", "a 2", "a 3", "b 1", ""]
    assert "ended with exit code 1; trying again in 1 s" in listening.stderr
    assert "ended with exit code 1; trying again in 2 s" in listening.stderr
    assert desk.left() == []


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_has_started(local_desk: Desk) -> None:
    command = local_desk.script(
        "import signal, subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "(folder / 'pids').write_text(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(1000)"
    )
    listening = local_desk.listen(command, "--exec-timeout", "1.5", "--on-failure", "skip", "--limit", "1")
    local_desk.send("a")
    assert listening.wait(30) == 1
    assert "its command was ended after 1.5 s; skipped" in listening.stderr
    pids = [int(word) for word in (local_desk.folder / "pids").read_text().split()]
    wait_until(lambda: not any(map(is_running, pids)), 30, lambda: str(pids))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_vanishes_is_a_failure(local_desk: Desk) -> None:
    program = local_desk.folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    listening = local_desk.listen(str(program))
    program.unlink()
    local_desk.send("a")
    assert listening.wait() == 1
    assert "its command cannot be started: [Errno 2] No such file or directory" in listening.stderr
    assert local_desk.left() == ["a"]


# ---- several at once


def test_as_many_commands_run_at_once_as_are_wanted_and_no_more(desk: Desk) -> None:
    listening = desk.listen(desk.script(BLOCKS), "--jobs", "3", "--limit", "5")
    desk.send(*"abcde")
    desk.wait_for("began-a", "began-b", "began-c")
    assert not {"began-d", "began-e"} & set(desk.files())
    (desk.folder / "go-b").touch()
    desk.wait_for("done-b", "began-d")
    assert "began-e" not in desk.files()
    for name in "acde":
        (desk.folder / f"go-{name}").touch()
    assert listening.wait() == 0
    assert desk.left() == []


def test_messages_are_acknowledged_in_order_however_their_commands_end(desk: Desk) -> None:
    listening = desk.listen(desk.script(BLOCKS), "--jobs", "2")
    desk.send(*"abc")
    for name in "bc":
        (desk.folder / f"go-{name}").touch()
    desk.wait_for("began-a", "done-b", "done-c")
    listening.kill()
    (desk.folder / "go-a").touch()
    assert desk.left() == ["a", "b", "c"]


def test_a_slow_command_holds_back_and_drops_nothing(desk: Desk) -> None:
    """A command that is not ready is not given what others, or a later start, could do."""
    names = [f"{number:03}" for number in range(50)]
    listening = desk.listen(desk.script(BLOCKS), "--jobs", "2")
    desk.send(*names)
    desk.wait_for("began-000", "began-001")
    listening.kill()
    for name in names:
        (desk.folder / f"go-{name}").touch()
    listening = desk.listen(desk.script(BLOCKS), "--jobs", "2", "--limit", "50")
    assert listening.wait(60) == 0
    assert [name for name in desk.files() if name.startswith("done-")] == [f"done-{name}" for name in names]
    assert desk.left() == []


def test_each_message_is_run_at_least_once_however_often_kchat_is_killed(desk: Desk) -> None:
    names = [f"{number:03}" for number in range(200)]
    log = desk.folder / "log"
    log.touch()
    command = f"""printf '%s\\n' "$KCHAT_MESSAGE_TEXT" >> {log}"""
    options = ("--shell", "--jobs", "4")
    listening = desk.listen(command, *options)
    desk.send(*names)
    for least in (20, 60, 100, 140):
        wait_until(lambda least=least: len(log.read_text().split()) >= least, 30, log.read_text)  # type: ignore[misc]
        listening.kill()
        listening = desk.listen(command, *options)
    wait_until(lambda: set(log.read_text().split()) == set(names), 60, log.read_text)
    listening.interrupt()
    assert listening.wait() == 0
    assert desk.left() == []


# ---- the end


@pytest.mark.parametrize("end", [Process.interrupt, Process.terminate])
def test_a_signal_waits_for_the_commands_that_run(desk: Desk, end: Callable[[Process], None]) -> None:
    listening = desk.listen(desk.script(BLOCKS))
    desk.send("a", "b")
    desk.wait_for("began-a")
    end(listening)
    listening.wait_for("waiting for a command; Ctrl+C again ends it")
    (desk.folder / "go-a").touch()
    assert listening.wait() == 0
    assert "began-b" not in desk.files()
    assert desk.left() == ["b"]


def test_a_second_signal_ends_the_commands_and_leaves_their_messages(desk: Desk) -> None:
    command = desk.script("(folder / 'pid').write_text(str(os.getpid()))\n" + BLOCKS)
    listening = desk.listen(command)
    desk.send("a")
    desk.wait_for("began-a")
    listening.interrupt()
    listening.wait_for("waiting for a command")
    listening.interrupt()
    assert listening.wait() == 130
    pid = int((desk.folder / "pid").read_text())
    wait_until(lambda: not is_running(pid), 30, f"{pid} to end")
    assert desk.left() == ["a"]


def test_ctrl_c_in_a_terminal_does_not_reach_the_commands(local_desk: Desk) -> None:
    """It is sent to all processes of a group."""
    listening = local_desk.listen(local_desk.script("(folder / 'group').write_text(str(os.getpgid(0)))"))
    local_desk.send("a")
    local_desk.wait_for("group")
    wait_until(lambda: (local_desk.folder / "group").read_text() != "", 30, "its group")
    assert int((local_desk.folder / "group").read_text()) != os.getpgid(listening.pid)


def test_a_signal_while_nothing_runs_ends_at_once(desk: Desk) -> None:
    listening = desk.listen("true")
    listening.signal(signal.SIGINT)
    assert listening.wait() == 0
    assert "waiting" not in listening.stderr


def test_a_failure_is_not_tried_again_once_it_is_stopped(local_desk: Desk) -> None:
    listening = local_desk.listen("false", "--on-failure", "retry")
    local_desk.send("a")
    listening.wait_for("trying again in 1 s")
    listening.interrupt()
    assert listening.wait() == 0
    assert local_desk.left() == ["a"]


def test_a_failed_command_is_tried_again_also_where_no_more_messages_come(desk: Desk) -> None:
    command = desk.script("sys.exit(name != 'c' and os.environ['KCHAT_MESSAGE_ATTEMPT'] == '1')")
    desk.listen("true", "--idle-timeout", "0.1").wait()
    desk.send("a", "b", "c")
    listening = desk.listen(command, "--no-follow", "--jobs", "2", "--on-failure", "retry")
    assert listening.wait(30) == 0
    assert listening.stderr.count("trying again in 1 s") == 2
    assert "waiting" not in listening.stderr
    assert desk.left() == []


def test_a_failure_beyond_the_last_message_is_not_tried_again_once_it_is_stopped(desk: Desk) -> None:
    desk.listen("true", "--idle-timeout", "0.1").wait()
    desk.send("a")
    listening = desk.listen("false", "--no-follow", "--jobs", "2", "--on-failure", "retry")
    listening.wait_for("trying again in 2 s")
    listening.interrupt()
    assert listening.wait() == 0
    assert desk.left() == ["a"]


def test_nobody_is_told_to_press_ctrl_c_again_who_has_not_pressed_it(local_desk: Desk) -> None:
    command = local_desk.script("time.sleep(name == 'a'); sys.exit(name == 'b')")
    listening = local_desk.listen(command, "--jobs", "2")
    local_desk.send("a", "b")
    assert listening.wait() == 1
    assert "waiting for a command\n" in listening.stderr
    assert "Ctrl+C again" not in listening.stderr


def test_too_few_messages_in_time_is_the_exit_code_of_subscribe(local_desk: Desk) -> None:
    listening = local_desk.listen("true", "--limit", "2", "--idle-timeout", "0.2")
    assert listening.wait() == 3
    local_desk.send("a")
    listening = local_desk.listen("sleep 0.5", "--idle-timeout", "0.2")
    assert listening.wait() == 0
    assert local_desk.left() == []


# ---- the connection


def test_what_comes_twice_while_its_command_runs_is_run_once_and_not_acknowledged_before_it(
    commands: Commands,
    rabbitmq: RabbitMQ,
    vhost: str,
    room: str,
    tmp_path: Path,
    proxy_to: Callable[[int], Proxy],
) -> None:
    """After a lost connection the broker delivers again what was not acknowledged."""
    proxy = proxy_to(rabbitmq.port)
    there = rabbitmq.url_for(vhost)
    by_proxy = there.replace(f":{rabbitmq.port}/", f":{proxy.port}/")
    assert by_proxy != there
    folder = tmp_path / "desk"
    folder.mkdir()
    desk, slow = Desk(commands, there, room, folder), Desk(commands, by_proxy, room, folder)
    listening = slow.listen(slow.script("(folder / f'run-{os.getpid()}').touch()\n" + BLOCKS), "--jobs", "2")
    desk.send("a")
    desk.wait_for("began-a")
    proxy.cut()
    listening.wait_for("listening again on")
    desk.send("b")
    desk.wait_for("began-b")  # so "a" has come again before it
    assert len([name for name in desk.files() if name.startswith("run-")]) == 2
    (folder / "go-b").touch()
    desk.wait_for("done-b")
    listening.kill()
    assert desk.left() == ["a", "b"]
    # And where it is not killed, all is acknowledged in the end.
    for name in ("began-a", "began-b", "done-b", "go-b"):
        (folder / name).unlink()
    listening = slow.listen(slow.script(BLOCKS), "--jobs", "2", "--limit", "2")
    desk.send("a", "b")
    desk.wait_for("began-a", "began-b")
    (folder / "go-b").touch()
    desk.wait_for("done-b")
    (folder / "go-a").touch()
    assert listening.wait() == 0
    assert desk.left() == []
