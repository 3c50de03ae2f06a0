"""Passwords where they do not belong, and names that a shell would obey."""

from __future__ import annotations

import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kchat.config.settings import Broker
from kchat.hosting.invitation import Invitation
from kchat.transports.amqp.management import Management
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ

SECRET = "s3cr3t-of-ada"
URL = f"amqp://ada:{SECRET}@h/"
EVIL = "chat;touch owned|sh $(touch owned) `touch owned` 'x"


def test_a_url_with_a_password_in_any_place_is_echoed_without_it(commands: Commands) -> None:
    options = [
        *("--room", "--profile", "--transport", "--host", "--vhost", "--project", "--rmq-username", "--port"),
        *("--tls-ca", "--tls-cert", "--tls-key", "--tls-pin", "--connect-timeout", "--username", "--url"),
    ]
    words = [["send", option, URL, "hi"] for option in options if option != "--url"]
    words += [["send", f"{option}={URL}", "hi"] for option in ("--vhost", "--profile", "--nosuch", "-x")]
    words += [
        [URL],
        ["send", "--url", URL.replace("://", "//"), "hi"],
        ["send", "hi", "--nosuch", URL],
        ["subscribe", URL],
        ["subscribe", "--durable", URL],
        ["subscribe", "--mode", URL],
        ["subscribe", "--since", URL],
        ["profile", "show", URL],
        ["profile", "use", URL],
        ["profile", "remove", URL],
        ["profile", URL],
        ["join", "--yes", "local:///nosuch.db", "--room", URL],
        ["join", "--yes", "local:///nosuch.db", "--name", URL],
        ["doctor", "--vhost", URL],
        ["doctor", "--profile", URL],
        ["invite", "--list", "--vhost", URL],
        ["bench", "--room", URL],
        ["--debug", "send", "--profile", URL, "hi"],
    ]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda line: commands.run_kchat(*line, seconds=60), words))
    failed = {}
    for line, result in zip(words, results, strict=True):
        if result.code not in (1, 2) or SECRET in result.stderr + result.stdout:
            failed[shlex.join(line)] = result
    assert failed == {}


def test_an_invitation_that_was_typed_in_a_wrong_place_is_echoed_without_its_password(
    commands: Commands,
) -> None:
    line = Invitation((Broker.parse("amqp://ada@127.0.0.1:1/"),), password=SECRET).encode()
    data = line.rpartition(".")[2]
    for words in ([line], ["profile", "use", line], ["send", "--room", line, "hi"]):
        result = commands.run_kchat(*words)
        assert (result.code, data in result.stderr) == (2, False), result.stderr


def test_an_invitation_as_an_argument_is_warned_of(commands: Commands) -> None:
    line = Invitation((Broker.parse("amqp://ada@127.0.0.1:1/"),), password=SECRET).encode()
    assert "kchat join -" in commands.run_kchat("join", "--yes", line).stderr
    assert "warning" not in commands.run_kchat("join", "--yes", "-", stdin=line).stderr


@pytest.mark.skipif(sys.platform != "linux", reason="process titles can be written over on Linux only")
def test_an_invitation_as_an_argument_is_not_in_the_process_title(commands: Commands) -> None:
    line = Invitation((Broker.parse("amqp://ada@127.0.0.1:1/"),), password=SECRET).encode()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import kchat.cli as cli\n"
        "cli._run = lambda words: print(Path('/proc/self/cmdline').read_text()) or 0\n"
        "cli.main()\n"
    )
    in_lines = f"{line[:40]}\n{line[40:50]} \n {line[50:]}"
    process = commands.python(code, "join", f"<{line}>", line.upper().replace("KCHAT", "Kchat"), in_lines)
    assert process.wait() == 0
    shown = process.stdout
    assert "join" in shown
    assert line.rpartition(".")[2] not in shown
    assert line[50:] not in shown
    assert line.upper().rpartition(".")[2] not in shown


def test_commands_to_paste_are_quoted_for_the_shell(commands: Commands, tmp_path: Path) -> None:
    """What is printed behind "use" or "run:" is given to a shell, which may run kchat and nothing else."""
    room = f"local://{tmp_path}/room.db"
    assert commands.run_kchat("send", "--url", room, "--room", EVIL, "first").code == 0
    printed = []
    result = commands.run_kchat("join", "--yes", room, "--room", EVIL, env={"KCHAT_HOST": "h"})
    assert result.code == 0, result.stderr
    printed += [line.partition("use ")[2] for line in result.stderr.splitlines() if "comes first" in line]
    result = commands.run_kchat("send", "--host", "127.0.0.1", "--port", "1", "--room", EVIL, "hi")
    printed += [line.partition("run: ")[2] for line in result.stderr.splitlines() if "run: " in line]
    assert len(printed) == 2
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "kchat").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (fake / "kchat").chmod(0o755)
    for line in printed:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={"PATH": f"{fake}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert EVIL in done.stdout
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("url", "in_clear"),
    [
        ("http://localhost:15672", False),
        ("http://127.0.0.2:15672", False),
        ("http://[::1]:15672", False),
        ("https://broker.example:15671", False),
        ("http://broker.example:15672", True),
        ("http://10.0.0.1", True),
        ("http://localhost.evil.example", True),
        ("http://127.0.0.1.evil.example", True),
    ],
)
def test_an_administrators_password_in_clear_is_known_as_that(url: str, in_clear: bool) -> None:
    assert Management(url, "rmq", "x").in_clear is in_clear


def test_a_warning_comes_before_the_password_goes_to_another_machine_in_clear(commands: Commands) -> None:
    for words in (
        ["invite", "eve"],
        ["invite", "--list"],
        ["revoke", "eve"],
        ["doctor", "--connect-timeout", "0.5"],
    ):
        there = [
            "--url",
            "amqp://rmq:x@127.0.0.1:1/",
            "--management-url",
            "http://no-such-host.invalid:15672",
        ]
        result = commands.run_kchat(*words, *there)
        assert "is not encrypted" in result.stderr, words
        local = ["--url", "amqp://rmq:x@127.0.0.1:1/", "--management-url", "http://127.0.0.1:1"]
        assert "is not encrypted" not in commands.run_kchat(*words, *local).stderr


def test_every_broker_whose_certificate_is_not_checked_is_warned_of(commands: Commands) -> None:
    first, second = "rediss://127.0.0.1:1/0", "rediss://127.0.0.1:2/0"
    result = commands.run_kchat("send", "--url", f"{first};{second}?ssl_cert_reqs=none", "hi")
    warnings = [line for line in result.stderr.splitlines() if "is the right server is not checked" in line]
    assert len(warnings) == 1, result.stderr
    assert second in warnings[0]
    assert "ssl_cert_reqs=none" in warnings[0]


def test_an_account_with_an_end_says_who_ends_it(commands: Commands, rabbitmq: RabbitMQ, vhost: str) -> None:
    name = f"{vhost}-ada"
    env = {"KCHAT_URL": rabbitmq.url_for(vhost), "KCHAT_MANAGEMENT_URL": str(rabbitmq.management_url)}
    result = commands.run_kchat("invite", name, "--expires", "1h", env=env)
    assert "does not end accounts by itself" in result.stderr
    assert commands.run_kchat("revoke", name, env=env).code == 0
