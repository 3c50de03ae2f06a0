"""`kchat who`: what it prints, for people and for programs, and what it makes of names."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, closing
from typing import Any

import kombu
import pytest

from kchat import Settings, Subscriber
from kchat.cli.who import NAMES, to_lines
from kchat.client.presence import who
from kchat.errors import Unreachable
from kchat.events import People, Person
from tests.brokers.processes import Commands
from tests.cases import check_each


def test_it_names_people_on_standard_output_and_counts_them_on_standard_error(
    commands: Commands, local_url: str
) -> None:
    settings = Settings.resolve(url=local_url)
    nobody = commands.kchat("who", "--url", local_url)
    assert nobody.wait() == 0
    assert (nobody.stdout, nobody.stderr) == ("", f"nobody is here in {settings}\n")
    with Subscriber(settings, "bob", present=True), Subscriber(settings, "Ada: x", present=True):
        shown = commands.kchat("who", "--url", local_url)
        assert shown.wait() == 0
        unchecked = "names are not checked here"
        assert (shown.stdout, shown.stderr) == ("Ada\\x3a x\nbob\n", f"2 here in {settings}\n{unchecked}\n")
        quiet = commands.kchat("who", "--quiet", "--url", local_url)
        assert quiet.wait() == 0
        assert (quiet.stdout, quiet.stderr) == ("Ada\\x3a x\nbob\n", "")


def test_nobody_is_said_to_be_asked_while_the_broker_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kchat.client.presence._PROMPT", 0.1)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings.resolve(url=f"amqp://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(Unreachable, match="nobody could be asked"):
            who(
                settings,
                timeout=0.4,
                on_wait=lambda: said.append("waiting"),
                on_timeout=lambda: said.append("not everybody may have answered"),
            )
    assert said == []


def test_of_more_than_20_people_20_are_named_and_programs_get_all(commands: Commands, local_url: str) -> None:
    settings, count = Settings.resolve(url=local_url), NAMES + 5
    with ExitStack() as stack:
        for number in range(count):
            stack.enter_context(Subscriber(settings, f"member {number:02}", present=True))
        shown = commands.kchat("who", "--url", local_url)
        assert shown.wait() == 0
        assert shown.stdout.splitlines() == [f"member {number:02}" for number in range(NAMES)]
        assert shown.stderr == f"{count} here in {settings}\nnames are not checked here\nand 5 more\n"
        found = json.loads(commands.run_kchat("who", "--url", local_url, "--json").stdout)
    assert (found["count"], len(found["here"]), found["more"]) == (count, count, False)
    assert found["here"][0] == {"username": "member 00", "account": None, "verified": False}


def test_a_name_has_the_mark_that_a_message_would_have() -> None:
    here = (
        Person("ada", "ada"),
        Person("bob", "guest"),
        Person("cy", None),
        Person("host", "rmq"),
        Person("\u0430da", "\u0430da"),
    )
    shown = list(to_lines(People(here, 5), verifies=True, own="rmq"))
    assert shown == ["ada", "bob (via guest)", "cy ?", "host (via rmq)", "\u0430da (via \\u0430da)"]
    assert list(to_lines(People(here[2:3], 1), verifies=False, own=None)) == ["cy"]


def test_an_account_that_all_who_are_here_share_is_said_once() -> None:
    told: list[str] = []
    here = (Person("bob", "rmq"), Person("cy", "rmq"), Person("rmq", "rmq"))
    assert list(to_lines(People(here, 3), True, "rmq", told.append)) == ["bob", "cy", "rmq"]
    assert told == ["all share the account rmq: names are not checked"]


def test_what_a_strange_program_writes_into_a_rooms_file_is_nobody(local_url: str) -> None:
    settings = Settings.resolve(url=local_url)
    transport = settings.transport.schemes[settings.broker.scheme]
    prefix = settings.transport.room(settings.room).queue_prefix()

    def check(arguments: dict[str, Any]) -> None:
        with closing(kombu.Connection(local_url, transport=transport)) as connection:
            connection.channel().queue_declare(f"{prefix}odd", exclusive=True, arguments=arguments)
            assert who(settings).names == []

    cases: dict[str, dict[str, Any]] = {
        "no name": {},
        "a number": {"x-kchat-present": 1},
        "a list": {"x-kchat-present": ["ada"]},
        "nothing in it": {"x-kchat-present": ""},
        "a control sequence": {"x-kchat-present": "\x1b[2J"},
        "backwards": {"x-kchat-present": "ada\u202e"},
        "half a character": {"x-kchat-present": "\ud800"},
        "long": {"x-kchat-present": "a" * 256},
        "very long": {"x-kchat-present": "ada", "note": "x" * 5_000},
    }
    check_each(cases, check)
