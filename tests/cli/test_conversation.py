"""``kchat send`` and ``kchat subscribe`` as people type them, as processes, on a room with and without a server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from kchat.config.settings import Broker
from tests.brokers.processes import Commands, Process
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until


@pytest.fixture(params=["local", "amqp"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a room of the test's own, on each of the transports that need nothing but the machine."""
    value = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(value, str)
    return value


def listening(commands: Commands, *arguments: str) -> Process:
    """A subscriber that is listening."""
    process = commands.kchat("subscribe", *arguments)
    process.wait_for("listening")
    return process


def test_sent_messages_are_shown_in_every_mode_for_lines(commands: Commands, url: str) -> None:
    subscribers = {
        mode: listening(commands, "--url", url, "--mode", mode)
        for mode in ("plain", "print", "simple", "json")
    }
    result = commands.run_kchat("send", "--url", url, "--username", "ada", "hello")
    assert (result.code, result.stdout) == (0, "")
    lines = {mode: process.read_line() for mode, process in subscribers.items()}
    name = re.escape("ada")
    assert re.fullmatch(rf"\d\d:\d\d:\d\d {name}: hello", lines["plain"])
    assert lines["print"] == lines["simple"]
    assert lines["print"].startswith("Received {")
    assert json.loads(lines["print"].removeprefix("Received "))["message"] == "hello"
    told = json.loads(lines["json"])
    assert (told["username"], told["message"]) == ("ada", "hello")
    assert told["account"] == Broker.parse(url).account
    assert told["verified"] is False
    assert told["id"]
    assert told["sent_at"]


def test_a_message_can_be_given_by_option(commands: Commands, url: str) -> None:
    subscriber = listening(commands, "--url", url)
    assert commands.run_kchat("send", "--url", url, "--username", "ada", "--message", "hello").code == 0
    assert subscriber.read_line().endswith("ada: hello")


def test_the_login_name_is_the_username_unless_one_is_given(commands: Commands, url: str) -> None:
    subscriber = listening(commands, "--url", url)
    assert commands.run_kchat("send", "--url", url, "hello", env={"LOGNAME": "grace"}).code == 0
    assert subscriber.read_line().endswith("grace: hello")


def test_every_line_of_standard_input_is_a_message(commands: Commands, url: str) -> None:
    subscriber = listening(commands, "--url", url, "--mode", "json")
    stream = b"one\r\n\ntw\xff o\nlast without an end"
    result = commands.run_kchat("send", "--url", url, "--allow-empty", "-", stdin=stream)
    assert result.code == 0
    assert [json.loads(subscriber.read_line())["message"] for _ in range(4)] == [
        "one",
        "",
        r"tw\xff o",
        "last without an end",
    ]
    assert "4 sent" in result.stderr


def test_a_line_is_sent_when_it_is_written_not_when_the_input_ends(commands: Commands, url: str) -> None:
    subscriber = listening(commands, "--url", url)
    sender = commands.kchat("send", "--url", url, "--username", "app", "-", stdin=True)
    sender.write("first\n")
    assert subscriber.read_line().endswith("app: first")
    sender.write("second\n")
    assert subscriber.read_line().endswith("app: second")
    sender.close_stdin()
    assert sender.wait() == 0


def test_a_sender_says_where_it_sent_and_when_nobody_listened(commands: Commands, url: str) -> None:
    result = commands.run_kchat("send", "--url", url, "hello")
    assert result.code == 0
    assert "sent to chat at" in result.stderr
    assert "nobody was listening" in result.stderr
    assert commands.run_kchat("send", "--url", url, "--mandatory", "hello").code == 1
    assert commands.run_kchat("send", "--url", url, "--quiet", "hello").stderr == ""


def test_the_bot_posts_quotes(commands: Commands, url: str) -> None:
    subscriber = listening(commands, "--url", url)
    bot = commands.kchat("send", "--url", url, "--bot", "--bot-wait-s", "0.01", "--username", "bot")
    lines = subscriber.wait_for_lines(60)
    bot.interrupt()
    assert bot.wait() == 0
    quotes = {line.split("bot: ", 1)[1] for line in lines}
    assert len(quotes) > 20


def test_the_bot_begins_with_the_message_that_is_given(commands: Commands, url: str) -> None:
    for words in (["--message", "Hello"], ["Hello"]):
        subscriber = listening(commands, "--url", url, "--mode", "json", "--limit", "3")
        bot = (
            "send",
            "--url",
            url,
            *words,
            "--username",
            "bot",
            "--bot",
            "--bot-wait-s",
            "0",
            "--bot-count",
            "2",
        )
        assert commands.run_kchat(*bot).code == 0
        assert subscriber.wait() == 0
        told = [json.loads(line) for line in subscriber.lines]
        assert [each["username"] for each in told] == ["bot"] * 3
        assert told[0]["message"] == "Hello"
        assert all(each["message"].endswith(")") for each in told[1:])


def test_the_bot_speaks_under_the_authors_names(commands: Commands, url: str) -> None:
    subscriber = listening(commands, "--url", url, "--mode", "json", "--limit", "50")
    bot = ("send", "--url", url, "Hello", "--username", "bot", "--bot", "--bot-authors", "--bot-count", "49")
    assert commands.run_kchat(*bot, "--bot-wait-s", "0..0.01").code == 0
    assert subscriber.wait() == 0
    told = [json.loads(line) for line in subscriber.lines]
    assert told[0]["username"] == "bot"
    names = {each["username"] for each in told[1:]}
    assert "William Shakespeare" in names
    assert not any(re.search(r"[(),]", name) for name in names)
    assert "Brevity is the soul of wit." in {each["message"] for each in told[1:]}


def test_limit_ends_a_subscriber_after_so_many_messages(commands: Commands, url: str) -> None:
    subscriber = listening(commands, "--url", url, "--limit", "3")
    commands.run_kchat("send", "--url", url, "-", stdin="1\n2\n3\n4\n5\n")
    assert subscriber.wait() == 0
    assert [line[-1] for line in subscriber.lines] == ["1", "2", "3"]


def test_idle_timeout_ends_a_subscriber_when_it_is_quiet(commands: Commands, url: str) -> None:
    result = commands.run_kchat("subscribe", "--url", url, "--idle-timeout", "0.3")
    assert (result.code, result.stdout) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("mode", ["plain", "rich"])
def test_a_signal_ends_a_subscriber_in_order(commands: Commands, url: str, number: int, mode: str) -> None:
    subscriber = listening(commands, "--url", url, "--mode", mode)
    subscriber.signal(number)
    assert subscriber.wait(3) == 0
    assert "Traceback" not in subscriber.stderr


def test_a_reader_that_has_had_enough_ends_a_subscriber_without_another_message(
    commands: Commands, url: str
) -> None:
    pipeline = commands.start(["sh", "-c", '"$0" "$@" | head -n 2', *kchat_words("subscribe", "--url", url)])
    pipeline.wait_for("listening")
    commands.run_kchat("send", "--url", url, "-", stdin="1\n2\n")
    assert pipeline.wait(5) == 0
    assert len(pipeline.lines) == 2
    assert "Traceback" not in pipeline.stderr
    assert "Broken" not in pipeline.stderr


def kchat_words(*arguments: str) -> list[str]:
    """The command line of a process that runs kchat."""
    return [sys.executable, "-m", "kchat", *arguments]


def test_a_subscriber_begins_with_what_the_room_holds(commands: Commands, local_url: str) -> None:
    commands.run_kchat("send", "--url", local_url, "-", stdin="".join(f"{number}\n" for number in range(20)))
    last = commands.run_kchat("subscribe", "--url", local_url, "--last", "3", "--idle-timeout", "0.3")
    assert [line.split(": ")[1] for line in last.stdout.splitlines()] == ["17", "18", "19"]
    since = commands.run_kchat("subscribe", "--url", local_url, "--since", "10m", "--idle-timeout", "0.3")
    assert len(since.stdout.splitlines()) == 20
    nothing = commands.run_kchat("subscribe", "--url", local_url, "--last", "0", "--idle-timeout", "0.3")
    assert nothing.stdout == ""


def test_rooms_do_not_leak_into_each_other(commands: Commands, url: str) -> None:
    here = listening(commands, "--url", url, "--room", "a room/with odd: ñame")
    there = listening(commands, "--url", url, "--room", "another")
    commands.run_kchat("send", "--url", url, "--room", "a room/with odd: ñame", "here")
    assert here.read_line().endswith(": here")
    commands.run_kchat("send", "--url", url, "--room", "another", "there")
    assert there.read_line().endswith(": there")
    assert len(here.lines) == len(there.lines) == 1


def test_with_no_broker_named_the_room_is_a_private_file_of_the_user(commands: Commands) -> None:
    result = commands.run_kchat("send", "hello")
    assert result.code == 0
    file = commands.home / "state" / "kchat" / "room.db"
    assert str(file) in result.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_the_options_of_the_issue_reach_rabbitmq(commands: Commands, rabbitmq: RabbitMQ, vhost: str) -> None:
    there = ["--host", rabbitmq.host, "--port", str(rabbitmq.port), "--vhost", vhost]
    account = ["--rmq-username", rabbitmq.username, "--rmq-password", rabbitmq.password]
    subscriber = listening(commands, *there, *account, "--mode", "print")
    assert f"amqp://{rabbitmq.username}:***@{rabbitmq.host}:{rabbitmq.port}/{vhost}" in subscriber.stderr
    assert (
        commands.run_kchat("send", *there, *account, "--username", "ada", "--message", "Hello world").code
        == 0
    )
    assert '"message":"Hello world"' in subscriber.read_line()


def test_the_account_may_come_from_the_compose_files_variables(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str
) -> None:
    account = {"RABBITMQ_DEFAULT_USER": rabbitmq.username, "RABBITMQ_DEFAULT_PASS": rabbitmq.password}
    there = ["--host", rabbitmq.host, "--port", str(rabbitmq.port), "--vhost", vhost]
    assert commands.run_kchat("send", *there, "hello", env=account).code == 0


def test_everything_can_be_named_by_the_environment(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str
) -> None:
    env = {"KCHAT_URL": rabbitmq.url_for(vhost), "KCHAT_ROOM": "lunch", "KCHAT_USERNAME": "grace"}
    result = commands.run_kchat("send", "hello", env=env)
    assert result.code == 0
    assert "lunch at amqp://" in result.stderr
    assert rabbitmq.password not in result.stderr


@pytest.mark.parametrize("end", [Process.interrupt, Process.kill])
def test_a_subscribers_queue_is_gone_a_moment_after_its_end(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, end: Callable[[Process], None]
) -> None:
    subscriber = listening(commands, "--url", rabbitmq.url_for(vhost), "--username", "ada")
    wait_until(lambda: rabbitmq.management.queues(vhost), what="the queue in the dashboard")
    end(subscriber)
    wait_until(lambda: not rabbitmq.management.queues(vhost), what="the queue to go")


def test_a_flood_into_a_slow_pipe_does_not_keep_a_subscriber_from_ending(
    commands: Commands, url: str
) -> None:
    blocked = subprocess.Popen(
        kchat_words("subscribe", "--url", url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=commands.environment,
    )
    try:
        assert blocked.stderr is not None
        assert b"listening" in blocked.stderr.readline()
        commands.run_kchat("send", "--url", url, "-", stdin="x" * 2000 + "\n" + ("y" * 2000 + "\n") * 500)
        blocked.send_signal(signal.SIGINT)
        assert blocked.wait(soon(4)) in (0, 130)
        assert b"Traceback" not in blocked.stderr.read()
    finally:
        blocked.kill()
        blocked.communicate()


def test_a_quiet_subscriber_is_rarely_woken(commands: Commands, amqp_url: str) -> None:
    """Counted by the kernel, for all of its threads; it used to look around ten times a second."""
    process = commands.kchat("subscribe", "--url", amqp_url)
    process.wait_for("listening")
    tasks = Path(f"/proc/{process.pid}/task")
    if not tasks.exists():
        pytest.skip("only Linux tells it")

    def woken() -> int:
        counts = (
            re.search(r"^voluntary_ctxt_switches:\s*(\d+)", each.read_text(), re.MULTILINE)
            for each in tasks.glob("*/status")
        )
        return sum(int(found[1]) for found in counts if found)

    settled = monotonic() + 1  # the first message would come at once; what loads has loaded
    wait_until(lambda: monotonic() > settled)
    before, began = woken(), monotonic()
    wait_until(lambda: monotonic() - began > 3, 10)
    # Once a second; the heartbeats' thread every two. Twice as many, as the kernel has reasons of its own.
    assert woken() - before <= 2 * (monotonic() - began) * 1.5 + 2
