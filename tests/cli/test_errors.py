"""Wrong input: one or two clear lines, the right exit code, no traceback, no password."""

from __future__ import annotations

import re
import socket

import pytest

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands, Result
from tests.brokers.rabbitmq import RabbitMQ

PASSWORD = "s3cr3t-of-ada"


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
        (["send", "--bot", "hi"], ["once"]),
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
        (["subscribe", "--host", "h", "--last", "3"], ["no history"]),
        (["send", "--transport", "pubsub", "hi"], ["project"]),
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
        check(result, 1, "no answer in time")


def test_debug_shows_the_traceback_and_still_no_password(commands: Commands, rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.url_for("nosuch")
    result = commands.run_kchat("--debug", "send", "--url", url, "hi")
    assert result.code == 1
    assert "Traceback" in result.stderr
    assert rabbitmq.password not in result.stderr


def test_a_message_that_nobody_may_read_by_option_is_no_option(commands: Commands, local_url: str) -> None:
    assert commands.run_kchat("send", "--url", local_url, "--", "--5 degrees").code == 0
