"""``kchat durable``, and the options of ``--durable``."""

from __future__ import annotations

import json

import pytest

from kchat import Durable, Sender, Settings, Subscriber
from kchat.client import durable
from tests.brokers.processes import Commands
from tests.cli.terminal import answer


@pytest.fixture
def settings(local_url: str) -> Settings:
    """An embedded room with a durable subscription that holds two messages."""
    found = Settings.resolve(url=local_url)
    with Subscriber(found, durable="archive"):
        pass
    with Sender(found, "ada") as sender:
        sender.send("one")
        sender.send("two")
    return found


def names(settings: Settings) -> list[str]:
    return [each.name for each in durable.subscriptions(settings)]


def test_at_a_terminal_it_asks_and_says_what_would_be_lost(settings: Settings, local_url: str) -> None:
    arguments = ("durable", "remove", "archive", "--url", local_url)
    code, shown = answer(arguments, "n\n")
    assert (code, "Remove the durable subscription archive and its 2 messages?" in shown) == (1, True), shown
    assert names(settings) == ["archive"]
    code, shown = answer(arguments, "y\n")
    assert code == 0, shown
    assert names(settings) == []


def test_a_script_is_not_asked_and_has_to_say_yes(
    settings: Settings, local_url: str, commands: Commands
) -> None:
    refused = commands.run_kchat("durable", "remove", "archive", "--url", local_url)
    assert (refused.code, refused.stdout, "--yes" in refused.stderr) == (2, "", True), refused.stderr
    assert len(refused.stderr.splitlines()) <= 2
    assert names(settings) == ["archive"]
    result = commands.run_kchat("durable", "remove", "archive", "--url", local_url, "--yes")
    assert (result.code, result.stdout) == (0, ""), result.stderr
    assert "removed the durable subscription archive" in result.stderr
    assert names(settings) == []


def test_remove_says_that_a_reader_makes_the_queue_again(
    settings: Settings, local_url: str, commands: Commands
) -> None:
    with Subscriber(settings, "bob", durable="archive"):
        asked = commands.run_kchat("durable", "remove", "archive", "--url", local_url)
        done = commands.run_kchat("durable", "remove", "archive", "--url", local_url, "--yes")
    with Subscriber(settings, "bob", durable="archive"):
        quiet = commands.run_kchat("durable", "remove", "archive", "--url", local_url, "--yes", "--quiet")
    for each in (asked, done):
        assert "somebody is reading it now, and makes it again" in each.stderr, each.stderr
    assert (asked.code, done.code) == (2, 0)
    assert (quiet.code, quiet.stderr) == (0, "")


def test_the_list_is_a_table_for_people_and_json_for_programs(
    settings: Settings, local_url: str, commands: Commands
) -> None:
    head, row = commands.run_kchat("durable", "list", "--url", local_url).stdout.splitlines()
    assert head.split()[:3] == ["name", "messages", "size"]
    assert row.split()[:2] == ["archive", "2"]
    told = json.loads(commands.run_kchat("durable", "list", "--url", local_url, "--json").stdout)
    (one,) = told["durable"]
    (found,) = durable.subscriptions(settings)
    assert told["room"] == "chat"
    assert (one["name"], one["messages"], one["readers"]) == ("archive", 2, 0)
    assert (one["bytes"], one["last_read"], one["max_size"]) == (found.size, found.last_read, found.max_size)


def test_nothing_durable_is_said_on_standard_error(local_url: str, commands: Commands) -> None:
    result = commands.run_kchat("durable", "list", "--url", local_url)
    assert (result.code, result.stdout) == (0, "")
    assert "no durable subscriptions in chat" in result.stderr


@pytest.mark.parametrize("command", [("list",), ("remove", "archive")])
@pytest.mark.parametrize("url", ["redis://localhost:1", "memory://"])
def test_brokers_without_durable_queues_say_so(
    url: str, command: tuple[str, ...], commands: Commands
) -> None:
    result = commands.run_kchat("durable", *command, "--url", url)
    assert (result.code, "has no durable queues" in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("option", ["--expires=2d", "--max-size=1MiB", "--shared"])
def test_an_option_of_a_durable_queue_needs_its_name(option: str, local_url: str, commands: Commands) -> None:
    result = commands.run_kchat("subscribe", "--url", local_url, "--limit", "1", option)
    assert (result.code, "--durable" in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("amqp://localhost:1", "--expires=50d", "49 days"),
        ("amqp://localhost:1", "--expires=0d", "not a duration"),
        ("amqp://localhost:1", "--max-size=0", "not a size"),
        ("pubsub://p", "--max-size=1MiB", "limits no subscription in size"),
        ("pubsub://p", "--expires=1h", "a day"),
    ],
)
def test_limits_that_a_broker_cannot_have_are_refused_before_it_is_asked(
    url: str, options: str, reason: str, commands: Commands
) -> None:
    result = commands.run_kchat("subscribe", "--url", url, "--durable", "archive", options)
    assert (result.code, reason in result.stderr) == (2, True), result.stderr


def test_the_limits_reach_the_queue(local_url: str, commands: Commands) -> None:
    options = ("--durable", "archive", "--expires", "2d", "--max-size", "5MiB", "--idle-timeout", "0.1")
    assert commands.run_kchat("subscribe", "--url", local_url, *options).code == 0
    (found,) = durable.subscriptions(Settings.resolve(url=local_url))
    assert (found.expires, found.max_size) == (2 * 86_400, 5 << 20)


def test_a_name_alone_has_the_defaults() -> None:
    assert Durable.of("archive") == Durable("archive")
    assert (Durable("archive").expires_ms, Durable("archive").bytes) == (30 * 86_400_000, 1 << 30)
