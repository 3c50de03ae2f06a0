"""What ``kchat subscribe`` shows in real terminals and pipes, of real brokers."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kchat import Message, Sender, Settings
from kchat.display import MODES
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.redis import Redis
from tests.brokers.wait import wait_until
from tests.window import Window

ROOT = Path(__file__).parents[2]
ALIKE = {"print": "simple"}
OLD = datetime(2020, 2, 29, 13, 0, 0, tzinfo=UTC)


def start(window: Window, home: Path, *words: str) -> None:
    """Runs kchat in a terminal, in a home of its own."""
    command = shlex.join([sys.executable, "-m", "kchat", *words])
    window.type(f"clear; HOME={home} TZ=UTC LANG=C.UTF-8 PYTHONPATH={ROOT} {command}; echo code $?", "Enter")


def sees(window: Window, *texts: str, seconds: float = 30) -> None:
    wait_until(lambda: all(text in window.text() for text in texts), seconds, window.text)


def rows(window: Window) -> list[str]:
    return [row.rstrip() for row in window.rows() if row.strip()]


# a restart


def test_a_restart_is_one_line_on_a_terminal(
    window: Callable[[int, int], Window], own_redis: Redis, commands: Commands, tmp_path: Path
) -> None:
    screen = window(80, 24)
    start(screen, tmp_path, "subscribe", "--url", own_redis.url)
    sees(screen, "names are not checked here")
    before = len(rows(screen))
    commands.run_kchat("send", "--url", own_redis.url, "--username", "ada", "before")
    sees(screen, "ada: before")
    own_redis.kill()
    sees(screen, "attempt 5)")
    lost = rows(screen)[before + 1 :]
    assert len(lost) == 1
    assert re.match(r"connection lost \d+ s ago, trying again in", lost[0])
    own_redis.start()
    sees(screen, "reconnected after")
    commands.run_kchat("send", "--url", own_redis.url, "--username", "bob", "after")
    sees(screen, "bob: after")
    found = rows(screen)[before:]
    assert [re.sub(r"\d[\d:.]*", "N", row) for row in found] == [
        "N ada: before",
        "reconnected after N s, messages may be missing",
        "N bob: after",
    ]
    screen.type("C-c")
    sees(screen, "code 0")


def test_a_restart_is_two_lines_in_a_log(own_redis: Redis, commands: Commands) -> None:
    subscriber = commands.kchat("subscribe", "--url", own_redis.url)
    sender = commands.kchat("send", "--url", own_redis.url, "--wait", "-", stdin=True)
    subscriber.wait_for("names are not checked here")
    sender.write("before\n")
    subscriber.wait_for_lines(1)
    said = len(subscriber.stderr.splitlines()), len(sender.stderr.splitlines())
    own_redis.kill()
    sender.write("after\n")
    for process in (subscriber, sender):
        process.wait_for("connection lost")
    own_redis.start()
    subscriber.wait_for("listening again", seconds=30)
    sender.wait_for("connected again", seconds=30)
    for process, before in zip((subscriber, sender), said, strict=True):
        lost, back = [line for line in process.stderr.splitlines()[before:] if "waiting up to" not in line]
        assert lost.startswith("connection lost: ")
        assert back.startswith(("listening again on", "connected again to"))


def test_a_verbose_subscriber_tells_its_queue_and_each_attempt(own_redis: Redis, commands: Commands) -> None:
    subscriber = commands.kchat("subscribe", "-v", "--url", own_redis.url)
    subscriber.wait_for("queue kchat.chat.tester.")
    own_redis.kill()
    for attempt in (2, 3, 4):
        subscriber.wait_for(f"(attempt {attempt})")


# the announcement


def test_the_announcement_is_one_line_without_the_queue(commands: Commands, amqp_url: str) -> None:
    subscriber = commands.kchat("subscribe", "--url", amqp_url, "--idle-timeout", "0.2")
    assert subscriber.wait() == 0
    (line,) = subscriber.stderr.splitlines()
    assert line.startswith("listening on chat at amqp://")
    assert "queue" not in line
    assert "not checked" not in line


def test_where_nobody_is_checked_it_is_said_once_and_no_name_has_a_mark(
    window: Callable[[int, int], Window], commands: Commands, local_url: str, tmp_path: Path
) -> None:
    for username in ("ada", "bob"):
        commands.run_kchat("send", "--url", local_url, "--username", username, "hello")
    for mode in ("plain", "print", "json"):
        result = commands.run_kchat(
            "subscribe", "--url", local_url, "--mode", mode, "--last", "9", "--idle-timeout", "0.2"
        )
        assert result.stderr.count("names are not checked here") == 1
        assert "?" not in result.stdout
    screen = window(80, 24)
    start(screen, tmp_path, "subscribe", "--url", local_url, "--last", "9", "--idle-timeout", "0.5")
    sees(screen, "code 0", "ada: hello", "bob: hello")
    assert screen.text().count("names are not checked here") == 1
    assert "?" not in screen.text()


# names on a broker that checks accounts


def test_one_account_for_all_is_said_once_until_another_one_writes(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str
) -> None:
    url = rabbitmq.url_for(vhost)
    subscriber = commands.kchat("subscribe", "--url", url)
    subscriber.wait_for("listening")
    for username in ("ada", "bob", "ada"):
        commands.run_kchat("send", "--url", url, "--username", username, "hello")
    told = [line[9:] for line in subscriber.wait_for_lines(3)]
    assert told == ["ada: hello", "bob: hello", "ada: hello"]
    own = rabbitmq.username
    assert subscriber.stderr.count(f"all share the account {own}: names are not checked") == 1
    with rabbitmq.new_account(vhost, write=".*") as account:
        name, theirs = account.username, account.url
        assert commands.run_kchat("send", "--url", theirs, "--username", name, "hello").code == 0
        commands.run_kchat("send", "--url", url, "--username", name, "I am not")
        told = [line[9:] for line in subscriber.wait_for_lines(5)]
        assert told[3:] == [f"{name}: hello", f"{name} (via {own}): I am not"]
        assert subscriber.stderr.count("from here on, names have marks") == 1


# days, dates, colours


def old_message(local_url: str) -> None:
    with Sender(Settings.resolve(url=local_url), "ada") as sender:
        sender.send(Message.compose("ada", "long\tago", sent_at=OLD))


def test_a_message_of_another_day_has_its_day_above_it_or_its_date(
    window: Callable[[int, int], Window], commands: Commands, local_url: str, tmp_path: Path
) -> None:
    old_message(local_url)
    read = ["subscribe", "-q", "--url", local_url, "--last", "1", "--limit", "1"]
    shown = {
        "": "-- Sat 29 Feb 2020 --\n13:00:00 ada: long\tago\n",
        "--utc": "-- Sat 29 Feb 2020 UTC --\n13:00:00Z ada: long\tago\n",
        "--date": "2020-02-29 13:00:00 ada: long\tago\n",
        "--utc --date": "2020-02-29 13:00:00Z ada: long\tago\n",
    }
    found = {words: commands.run_kchat(*read, *words.split()).stdout for words in shown}
    assert found == shown
    by_environment = commands.run_kchat(*read, env={"KCHAT_UTC": "1", "KCHAT_DATE": "1"})
    assert by_environment.stdout == shown["--utc --date"]
    screen = window(40, 12)
    start(screen, tmp_path, *read)
    sees(screen, "code 0")
    drawn = rows(screen)
    assert drawn[drawn.index("code 0") - 2 :][:2] == ["── Sat 29 Feb 2020 ──", "13:00:00 ada: long      ago"]


def test_colour_is_as_the_option_says_and_else_as_the_environment(commands: Commands, local_url: str) -> None:
    old_message(local_url)
    read = ["subscribe", "-q", "--url", local_url, "--last", "1", "--limit", "1"]
    for words, environment, colored in (
        ([], {}, False),
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "auto"], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": ""}, False),
    ):
        result = commands.run_kchat(*read, *words, env=environment)
        assert ("\x1b[" in result.stdout) is colored, (words, environment)
    refused = commands.run_kchat(*read, "--color", "sometimes")
    assert refused.code == 2


# the exit code


@pytest.mark.parametrize("mode", [mode for mode in MODES.built_in if mode not in ALIKE.values()])
def test_an_idle_timeout_before_the_limit_is_code_3_in_every_mode_and_on_a_terminal_too(
    window: Callable[[int, int], Window], commands: Commands, local_url: str, tmp_path: Path, mode: str
) -> None:
    commands.run_kchat("send", "--url", local_url, "--username", "ada", "hello")
    read = ["subscribe", "--url", local_url, "--mode", mode, "--last", "9", "--idle-timeout", "0.3"]
    codes = {"2": 3, "1": 0}
    found = {limit: commands.run_kchat(*read, "--limit", limit).code for limit in codes}
    assert found == codes
    assert commands.run_kchat(*read).code == 0
    screen = window(80, 24)
    for limit, code in codes.items():
        start(screen, tmp_path, *read, "--limit", limit)
        sees(screen, f"code {code}")
