"""Wrong input: one or two clear lines, the right exit code, no traceback, no password."""

from __future__ import annotations

import re
import socket
import sqlite3
import sys
from contextlib import closing

import pytest

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Result
from tests.brokers.rabbitmq import RabbitMQ

PASSWORD = "s3cr3t-of-ada"

KCHAT = [sys.executable, "-m", "kchat"]


def check(result: Result, code: int, *words: str) -> None:
    """One or two lines on standard error that hold these words, and nothing that should not be there."""
    assert result.code == code, result
    assert result.stdout == ""
    assert 1 <= len(result.stderr.splitlines()) <= 2, result.stderr
    assert "Traceback" not in result.stderr
    assert PASSWORD not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["send"], ["Missing message", "kchat send --help"]),
        (["send", "--nosuch", "hi"], ["--nosuch"]),
        (["send", "hi", "--message", "ho"], ["once"]),
        (["send", "--message", "hi", "hi"], ["once"]),
        (["send", "--bot", "-"], ["either"]),
        (["send", "--bot-authors", "hi"], ["--bot"]),
        (["send", "--bot", "--bot-wait-s", "9..1"], ["range"]),
        (["nosuch"], ["nosuch"]),
        (["subscribe", "--mode", "nosuch"], ["nosuch", "plain"]),
        (["subscribe", "--limit", "0"], ["--limit"]),
        (["subscribe", "--idle-timeout", "0"], ["--idle-timeout"]),
        (["subscribe", "--since", "yesterday"], ["yesterday", "10m"]),
        (["send", "--room", "", "hi"], ["room"]),
        (["send", "--room", "a\x1b[31mb\nc", "hi"], ["control characters", r"a\x1b[31mb\nc"]),
        (["send", "--room", "x" * 300, "hi"], ["255"]),
        (["send", "--username", "a\nb", "hi"], ["username"]),
        (["send", "--port", "abc", "hi"], ["--port"]),
        (["send", "--host", "h", "--port", "99999", "hi"], ["99999"]),
        (["send", "--host", f"ada:{PASSWORD}@h", "hi"], ["host"]),
        (["send", "--url", f"amqp//ada:{PASSWORD}@h", "hi"], ["URL"]),
        (["send", "--url", f"ftp://ada:{PASSWORD}@h", "hi"], ["ftp", "amqp"]),
        (["send", "--url", f"amqp://ada:{PASSWORD}#@h:5672", "hi"], ["%23"]),
        (["send", "--connect-timeout", "0", "hi"], ["--connect-timeout"]),
        (["subscribe", "--url", "memory://", "--last", "3"], ["no history"]),
        (["history", "on", "--url", "memory://"], ["so it has no history"]),
        (["send", "--transport", "pubsub", "hi"], ["project"]),
        (["send", "--host", "", "hi"], ["host", "empty"]),
        (["send", "--port", "0", "hi"], ["port"]),
        (["send", "--url", "", "hi"], ["no broker"]),
        (["send", "--connect-timeout", "nan", "hi"], ["nan"]),
        (["send", "--confirm-timeout", "inf", "hi"], ["inf"]),
        (["subscribe", "--heartbeat", "1e300"], ["--heartbeat"]),
        (["subscribe", "--idle-timeout", "nan"], ["nan"]),
        (["subscribe", "--last", "9" * 20], ["--last"]),
        (["subscribe", "--since", "0001-01-01"], ["0001-01-01"]),
        (["send", "--transport", f"amqp://ada:{PASSWORD}@h/", "hi"], ["--url"]),
    ],
)
def test_wrong_usage_is_said_in_a_line_or_two(
    commands: Commands, arguments: list[str], words: list[str]
) -> None:
    check(commands.run_kchat(*arguments), 2, *words)


def test_a_closed_port_is_said_at_once(commands: Commands) -> None:
    for command in (["send", "hi"], ["subscribe"]):
        port = str(free_port())
        result = commands.run_kchat(
            *command, "--host", "127.0.0.1", "--port", port, "--rmq-password", PASSWORD
        )
        check(result, 1, "connection refused", f"127.0.0.1:{port}")


def test_a_host_that_does_not_exist_is_named(commands: Commands) -> None:
    check(
        commands.run_kchat("send", "--host", "no-such-host.invalid", "hi"),
        1,
        "no such host",
        "no-such-host.invalid",
    )


def test_a_wrong_password_and_a_wrong_virtual_host_are_told_apart(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str
) -> None:
    there = ["--host", rabbitmq.host, "--port", str(rabbitmq.port), "--rmq-username", rabbitmq.username]
    for command in (["send", "hi"], ["subscribe"]):
        check(
            commands.run_kchat(*command, *there, "--vhost", vhost, "--rmq-password", PASSWORD),
            1,
            "login refused",
        )
        right = ["--rmq-password", rabbitmq.password]
        check(
            commands.run_kchat(*command, *there, "--vhost", "nosuch", *right),
            1,
            "no such virtual host",
            "/nosuch",
        )


def test_a_port_that_speaks_something_else_is_no_broker(commands: Commands, rabbitmq: RabbitMQ) -> None:
    port = re.search(r":(\d+)", rabbitmq.management_url or "")
    assert port is not None
    check(commands.run_kchat("send", "--host", rabbitmq.host, "--port", port[1], "hi"), 1, f":{port[1]}")


def test_a_service_that_accepts_and_says_nothing_is_given_up_in_time(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        result = commands.run_kchat(
            "send", "--host", "127.0.0.1", "--port", port, "--connect-timeout", "1", "hi"
        )
        check(result, 1, "no answer in time", "in between? Or run: kchat doctor")


def test_a_password_is_asked_for_at_a_terminal_or_not_at_all(commands: Commands) -> None:
    asking = commands.start(["setsid", *KCHAT, "send", "--host", "h", "-W", "-"], stdin=True)
    asking.write(f"{PASSWORD}\nto be sent\n")
    code = asking.wait()
    check(Result(code, asking.stdout, asking.stderr), 2, "without a terminal", "KCHAT_RMQ_PASSWORD")


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("send - <&-", 2, "standard input is closed"),
        ("send <&-", 2, "by --message; standard input is closed"),
        ("subscribe >&-", 2, "standard output is closed"),
        ("send hi 2>&-", 0, ""),
        ("send - 2>&- </dev/null", 0, ""),
        ("bench --messages 20 2>&-", 0, ""),
        ("subscribe --quiet --last 1 --limit 1 >/dev/full", 1, "No space left"),
    ],
)
def test_closed_and_full_ends_are_said_in_a_line(
    commands: Commands, local_url: str, line: str, code: int, words: str
) -> None:
    env = {"KCHAT_URL": local_url}
    assert commands.run_kchat("send", "--quiet", "before", env=env).code == 0
    shell = commands.start(["sh", "-c", f'"$0" -m kchat {line}', KCHAT[0]], env=env)
    assert shell.wait() == code, shell.stderr
    assert words in shell.stderr
    assert len(shell.stderr.splitlines()) <= 2


def test_debug_is_on_where_the_environment_says_so_and_off_where_it_says_no(commands: Commands) -> None:
    port = str(free_port())
    for value, shown in (("1", True), ("0", False), ("false", False)):
        result = commands.run_kchat(
            "send", "--host", "127.0.0.1", "--port", port, "x", env={"KCHAT_DEBUG": value}
        )
        assert ("Traceback" in result.stderr) is shown


def test_debug_does_not_change_the_exit_code(commands: Commands) -> None:
    for command in (["send", "--url", "nosuch://x", "hi"], ["send", "--url", "memory://", "hi"]):
        result = commands.run_kchat("--debug", *command)
        assert (result.code, "Traceback" in result.stderr) == (2, True)
        assert commands.run_kchat(*command).stderr in result.stderr


@pytest.mark.parametrize(
    "command", [["send", "hi"], ["subscribe", "--idle-timeout", "1"], ["bench"]], ids=lambda words: words[0]
)
def test_a_room_that_no_other_process_can_reach_is_refused(commands: Commands, command: list[str]) -> None:
    check(commands.run_kchat(*command, "--url", "memory://"), 2, "a memory:// room ends with this process")


def test_debug_does_not_show_the_part_of_a_password_that_was_taken_for_a_port(commands: Commands) -> None:
    result = commands.run_kchat("--debug", "send", "--url", f"amqp://ada:{PASSWORD}/@h:5672/", "hi")
    assert PASSWORD not in result.stderr


def test_a_room_that_another_process_keeps_locked_is_given_up_in_time(
    commands: Commands, local_url: str
) -> None:
    assert commands.run_kchat("send", "--url", local_url, "before").code == 0
    with closing(sqlite3.connect(local_url.removeprefix("local://"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        check(commands.run_kchat("send", "--url", f"{local_url}?busy_timeout=0.5", "hi"), 1, "locked")


def test_debug_shows_the_traceback_and_still_no_password(commands: Commands, rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.url_for("nosuch")
    result = commands.run_kchat("--debug", "send", "--url", url, "hi")
    assert result.code == 1
    assert "Traceback" in result.stderr
    assert rabbitmq.password not in result.stderr


def test_a_message_that_nobody_may_read_by_option_is_no_option(commands: Commands, local_url: str) -> None:
    assert commands.run_kchat("send", "--url", local_url, "--", "--5 degrees").code == 0
