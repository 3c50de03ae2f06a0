"""Help: on everything, with examples, and in step with what there is."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from kchat import __version__
from kchat.cli import COMMANDS
from kchat.display import MODES
from kchat.transports import TRANSPORTS
from tests.brokers.processes import Commands

ROOT = Path(__file__).parents[2]


def command_of(name: str) -> click.Command:
    found = import_module(f"kchat.cli.{name}").command
    assert isinstance(found, click.Command)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_that_names_it(name: str) -> None:
    text = command_of(name).get_help(click.Context(command_of(name), info_name=f"kchat {name}"))
    assert "Examples:" in text
    assert text.split("Examples:")[1].count(f"kchat {name}") >= 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    for option in command_of(name).params:
        if isinstance(option, click.Option):
            assert option.help, option.name


@pytest.mark.parametrize("name", ["send", "subscribe"])
@pytest.mark.parametrize(
    "option",
    [
        "room",
        "url",
        "transport",
        "host",
        "port",
        "vhost",
        "rmq-username",
        "rmq-password",
        "username",
        "project",
    ],
)
def test_every_way_to_name_a_broker_has_an_environment_variable_in_its_help(name: str, option: str) -> None:
    text = command_of(name).get_help(click.Context(command_of(name), info_name=f"kchat {name}"))
    assert f"KCHAT_{option.upper().replace('-', '_')}" in text


def help_at_80_columns(name: str) -> str:
    context = click.Context(command_of(name), info_name=f"kchat {name}", terminal_width=80)
    return command_of(name).get_help(context)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_commands_help_fits_92_lines_of_80_columns(name: str) -> None:
    lines = help_at_80_columns(name).splitlines()
    assert len(lines) <= 92
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_shows_the_bounds_of_a_number(name: str) -> None:
    assert not re.search(r"x[<>]|[<>]=?x", help_at_80_columns(name))


def test_options_stand_in_groups_and_the_ones_that_people_use_come_first() -> None:
    text = help_at_80_columns("subscribe")
    groups = [
        "Messages:",
        "Room:",
        "Broker:",
        "Choosing:",
        "Durable:",
        "Command:",
        "TLS:",
        "Behaviour:",
        "Environment:",
    ]
    assert [line for line in re.findall(r"^\w+:", text, re.MULTILINE) if line != "Usage:"] == groups
    in_order = re.findall(r"^  (?:-\w, )?--([\w-]+)", text, re.MULTILINE)
    assert {"mode", "last", "limit", "room", "username", "url"} <= set(in_order[:10])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_in_its_help_once(name: str) -> None:
    text = help_at_80_columns(name)
    for option in command_of(name).params:
        if isinstance(option, click.Option):
            longest = max(option.opts, key=len)
            assert len(re.findall(rf"^  (?:-\w, )?{longest}\b(?!-)", text, re.MULTILINE)) == 1, longest


def test_profile_alone_shows_its_help(commands: Commands) -> None:
    alone, asked = commands.run_kchat("profile"), commands.run_kchat("profile", "--help")
    assert (alone.code, alone.stdout, alone.stderr) == (0, asked.stdout, "")


def test_the_list_of_commands_has_whole_sentences(commands: Commands) -> None:
    for arguments in ([], ["profile"], ["archive"]):
        listed = commands.run_kchat(*arguments, "--help").stdout.partition("Commands:")[2].splitlines()
        assert [row for row in listed if row.endswith("...")] == []


@pytest.mark.parametrize("text", ["- x", "--5 degrees", "-5"])
def test_a_message_that_begins_with_a_dash_is_refused_with_the_way_to_send_it(
    commands: Commands, text: str
) -> None:
    result = commands.run_kchat("send", text)
    assert (result.code, len(result.stderr.splitlines())) == (2, 2)
    assert "kchat send -- " in result.stderr


def test_every_display_mode_and_transport_is_in_the_help() -> None:
    text = command_of("subscribe").get_help(
        click.Context(command_of("subscribe"), info_name="kchat subscribe")
    )
    for name in [*MODES, *TRANSPORTS]:
        assert name in text


def test_every_command_has_a_documented_example() -> None:
    text = "".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for name in COMMANDS:
        assert f"kchat {name}" in text, name


def test_the_version_is_said(commands: Commands) -> None:
    result = commands.run_kchat("--version")
    assert (result.code, __version__ in result.stdout) == (0, True)


def test_help_is_what_comes_without_a_command(commands: Commands) -> None:
    alone, asked = commands.run_kchat(), commands.run_kchat("--help")
    assert (alone.code, alone.stdout) == (0, asked.stdout)


def test_the_documented_line_switches_completion_on(commands: Commands) -> None:
    result = commands.start(
        ["bash", "-c", 'eval "$(_KCHAT_COMPLETE=bash_source kchat)"; complete -p kchat'],
        env={"PATH": path_with_kchat(commands.home)},
    )
    assert result.wait() == 0
    assert "_kchat_completion" in result.stdout


def path_with_kchat(home: Path) -> str:
    """A PATH with a ``kchat`` on it, as an installation makes one."""
    folder = home / "bin"
    folder.mkdir()
    script = folder / "kchat"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kchat "$@"\n')
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
