"""``kchat history``: what a host says and is told, and what a script reads."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import pytest

from kchat.cli.param_types import SIZE
from kchat.transports.errors import not_authorised
from tests.brokers.processes import Commands, Result
from tests.brokers.rabbitmq import RabbitMQ
from tests.cases import check_each
from tests.cli.terminal import answer


class Host:
    """The host of a room in a virtual host of the test's own."""

    def __init__(self, commands: Commands, url: str, management_url: str) -> None:
        self.commands = commands
        self.url = url
        self.management_url = management_url

    def run(self, *words: str, code: int = 0) -> Result:
        """Runs a command, which ends with a code."""
        env = {"KCHAT_URL": self.url, "KCHAT_MANAGEMENT_URL": self.management_url}
        result = self.commands.run_kchat(*words, env=env)
        assert result.code == code, result.stderr
        assert "Traceback" not in result.stderr
        return result

    def said(self, *words: str, code: int = 0) -> str:
        """What a command prints on standard error."""
        return self.run(*words, code=code).stderr


@pytest.fixture
def host(commands: Commands, rabbitmq: RabbitMQ, amqp_url: str) -> Host:
    """The host."""
    return Host(commands, amqp_url, rabbitmq.management_url)


def test_a_host_switches_a_history_on_looks_at_it_clears_it_and_switches_it_off(host: Host) -> None:
    assert "has no history" in host.run("history", "status").stdout
    off = json.loads(host.run("history", "status", "--json").stdout)
    assert off == dict.fromkeys(("since", "messages", "size", "keep", "max_size")) | {
        "room": "chat",
        "on": False,
    }
    assert "has no history: its host has not switched it on" in host.said("history", "clear", code=2)
    said = host.said("history", "on", "--keep", "90m", "--max-size", "10MiB")
    assert "keeps its messages for 90m, up to 10MiB" in said
    host.run("send", "-u", "ada", "one")
    host.run("send", "-u", "ada", "two")
    rows = dict(line.split("  ", 1) for line in host.run("history", "status").stdout.splitlines())
    assert {name: text.strip() for name, text in rows.items() if name not in ("room", "since")} == {
        "messages": "2",
        "size": "unknown",
        "kept for": "90m",
        "maximum size": "10MiB",
    }
    found = json.loads(host.run("history", "status", "--json").stdout)
    assert (found["on"], found["messages"], found["keep"], found["max_size"]) == (True, 2, 5400, 10 << 20)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(found["since"])).total_seconds()) < 600
    assert "keeps its messages for 90m, up to 10MiB" in host.said("history", "on")
    assert "keeps its messages for 30d, up to 10MiB" in host.said("history", "on", "--keep", "30d")
    assert "keeps its messages for 30d, up to 9MiB" in host.said("history", "on", "--max-size", "9MiB")
    for words in ("clear", "off"):
        line = host.said("history", words, code=2).splitlines()[-1]
        assert line.startswith("kchat: without a terminal to ask at, it takes --yes: Forget 2 messages"), line
    assert "has forgotten its history" in host.said("history", "clear", "--yes")
    assert json.loads(host.run("history", "status", "--json").stdout)["messages"] == 0
    assert host.said("history", "off").endswith("keeps no messages\n"), (
        "nothing is forgotten, so nothing is asked"
    )
    assert "its history was off" in host.said("history", "off", "-y")
    assert "keeps its messages for 7d, up to 64MiB" in host.said("history", "on")


def test_an_export_has_the_objects_that_a_subscriber_prints(host: Host) -> None:
    host.run("history", "on")
    for text in ("one", "tvá", "\x1b[31mthree"):
        host.run("send", "-u", "ada", "--", text)
    exported = host.run("history", "export", "--since", "1h")
    shown = host.run("subscribe", "--mode", "json", "--last", "3", "--limit", "3", "--idle-timeout", "30")

    def objects(result: Result) -> list[object]:
        found = [json.loads(line) for line in result.stdout.splitlines()]
        return [{**each, "received_at": None} for each in found]

    assert objects(exported) == objects(shown)
    assert len(objects(exported)) == 3
    assert "3 messages of chat" in exported.stderr
    assert objects(host.run("history", "export", "--last", "1")) == objects(shown)[-1:]
    assert host.run("history", "export", "--quiet", "--until", "1h").stderr == ""
    head = host.commands.start(
        ["bash", "-c", f"{sys.executable} -m kchat history export | head -1; exit ${{PIPESTATUS[0]}}"],
        env={"KCHAT_URL": host.url},
    )
    assert head.wait() == 0, head.stderr
    assert len(head.stdout.splitlines()) == 1


def test_send_says_nothing_false_in_a_room_whose_history_takes_every_message(host: Host) -> None:
    assert "nobody is listening" in host.said("send", "--mandatory", "one", code=1)
    assert host.said("send", "two").endswith("; nobody was listening\n")
    host.run("history", "on")
    refused = host.said("send", "--mandatory", "three", code=2)
    assert "has a history" in refused
    assert "leave --mandatory out" in refused
    assert "listening" not in host.said("send", "four")
    host.run("history", "off", "--yes")
    assert "nobody is listening" in host.said("send", "--mandatory", "five", code=1)


def test_a_room_that_ends_with_its_process_has_none(commands: Commands) -> None:
    for words in (["on"], ["off", "-y"], ["clear", "-y"], ["status"], ["export"]):
        result = commands.run_kchat("history", *words, "--url", "memory://")
        assert result.code == 2
        assert "ends with this process, so it has no history" in result.stderr
        assert len(result.stderr.splitlines()) <= 2


def test_an_embedded_room_has_one_always_and_its_host_limits_it(commands: Commands, local_url: str) -> None:
    where = ("--url", local_url)
    new = json.loads(commands.run_kchat("history", "status", *where, "--json").stdout)
    assert (new["on"], new["messages"], new["size"]) == (True, 0, 0)
    for text in ("one", "two", "three"):
        assert commands.run_kchat("send", *where, text).code == 0
    assert commands.run_kchat("history", "on", *where, "--keep", "1d").code == 0
    status = json.loads(commands.run_kchat("history", "status", *where, "--json").stdout)
    assert (status["on"], status["messages"], status["keep"]) == (True, 3, 86_400.0)
    assert status["max_size"] == new["max_size"] == 256 << 20
    exported = commands.run_kchat("history", "export", *where, "--last", "2")
    assert [json.loads(line)["message"] for line in exported.stdout.splitlines()] == ["two", "three"]
    backwards = commands.run_kchat("history", "export", *where, "--since", "1s", "--until", "1h")
    assert (backwards.code, "ends before it begins" in backwards.stderr) == (2, True), backwards.stderr
    for words in (["off"], ["off", "-y"]):
        refused = commands.run_kchat("history", *words, *where)
        assert (refused.code, "always has a history" in refused.stderr) == (1, True), refused.stderr
        assert "Forget" not in refused.stderr
        assert len(refused.stderr.splitlines()) <= 2


def test_at_a_terminal_it_asks_only_where_messages_would_go(commands: Commands, local_url: str) -> None:
    where = ("--url", local_url)
    for text in ("one", "two"):
        assert commands.run_kchat("send", *where, text).code == 0
    lower = ("history", "on", *where, "--max-size", "50B")
    for words in (lower, ("history", "clear", *where)):
        code, shown = answer(words, "n\n")
        assert (code, "2 messages in the history of" in shown) == (1, True), shown
    status = json.loads(commands.run_kchat("history", "status", *where, "--json").stdout)
    assert (status["messages"], status["max_size"]) == (2, 256 << 20)
    code, shown = answer(lower, "y\n")
    assert (code, "up to 50B" in shown) == (0, True), shown
    code, shown = answer(("history", "on", *where, "--max-size", "1MiB"), "", waits=False)
    assert (code, "?" in shown, "for 7d, up to 1MiB" in shown) == (0, False, True), shown


def test_an_account_without_the_rights_is_told_what_it_takes(
    host: Host, rabbitmq: RabbitMQ, vhost: str
) -> None:
    host.run("history", "on")
    with rabbitmq.new_account(vhost, read="^chat$", write="^chat$") as account:
        other = Host(host.commands, account.url, rabbitmq.management_url)
        for words in (["on"], ["off", "-y"], ["clear", "-y"], ["export"], ["status"]):
            said = other.said("history", *words, code=1)
            assert "not authorised" in said
            assert account.password not in said
        assert "log in with the account of the room's host" in other.said("history", "on", code=1)


def test_less_than_a_second_is_refused(commands: Commands, local_url: str) -> None:
    result = commands.run_kchat("history", "on", "--url", local_url, "--keep", "0.001s")
    assert (result.code, "a second at least" in result.stderr) == (2, True), result.stderr


def test_an_account_that_may_only_send_is_told_so_in_whole_lines(
    host: Host, rabbitmq: RabbitMQ, vhost: str
) -> None:
    host.run("history", "on")
    with rabbitmq.new_account(vhost, write="^chat$") as account:
        other = Host(host.commands, account.url, rabbitmq.management_url)
        line, hint = other.said("history", "export", code=1).splitlines()
    assert "not authorised: this account may not read its history here: ACCESS_REFUSED" in line
    assert "an account that may only send reads nothing" in hint
    assert str(not_authorised("here", "read its history", "")).endswith("may not read its history here")


def test_sizes_are_read_in_the_units_that_people_write() -> None:
    sizes = {
        "64MiB": 64 << 20,
        "500kB": 500_000,
        "1GiB": 1 << 30,
        "1.5g": 1_500_000_000,
        "12": 12,
        "2 k": 2_000,
    }

    def reads(text: str) -> None:
        assert SIZE.convert(text, None, None) == sizes[text]

    check_each(list(sizes), reads)


def test_no_size_and_no_duration_is_refused(commands: Commands) -> None:
    cases = [("--max-size", each) for each in ("0", "-1", "many", "1XB", "1e9", "99999999999TiB")]
    cases += [("--keep", each) for each in ("0s", "7", "never", "200000d")]

    def refuses(case: str) -> None:
        option, _, value = case.partition("=")
        result = commands.run_kchat("history", "on", f"{option}={value}")
        assert result.code == 2
        assert option in result.stderr

    check_each([f"{option}={value}" for option, value in cases], refuses)
