"""The reference of commands is what the commands say, and nothing in it lacks help or an example."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import click
import pytest

from kchat.cli import COMMANDS, DONE, FAILED, INTERRUPTED, TOO_FEW, USAGE
from kchat.cli.help import variable
from kchat.cli.transports import as_json
from kchat.display import MODES
from kchat.transports import TRANSPORTS

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"


@pytest.fixture(scope="module")
def maker() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "make_reference.py"))


@pytest.fixture(scope="module")
def commands_by_path(maker: dict[str, Any]) -> dict[str, click.Command]:
    return {path: command for path, _, command in maker["all_commands"]()}


def test_the_reference_is_up_to_date(maker: dict[str, Any]) -> None:
    written = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert written == maker["page"](), "run: python docs/make_reference.py"


def test_the_page_of_the_command_line_has_every_exit_code_and_every_key_of_json() -> None:
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    for code in (DONE, FAILED, USAGE, TOO_FEW, INTERRUPTED):
        assert f"\n| {code} | " in text
    for key in as_json([TRANSPORTS["local"]])[0]:
        assert f"`{key}`" in text
    assert "(docs/command-line.md)" in README.read_text(encoding="utf-8")


def test_every_command_is_in_the_reference_with_an_example(
    commands_by_path: dict[str, click.Command], maker: dict[str, Any]
) -> None:
    assert {path.split()[1] for path in commands_by_path} == set(COMMANDS)
    for path, command in commands_by_path.items():
        section = maker["section"](path, command)
        assert path in section.split("```sh")[1].split("```")[0], path


def test_every_option_has_help_and_its_variable_in_the_reference(
    commands_by_path: dict[str, click.Command], maker: dict[str, Any]
) -> None:
    for path, command in commands_by_path.items():
        section = maker["section"](path, command)
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            assert option.help, (path, option.name)
            assert max(option.opts, key=len) in section, (path, option.name)
            assert variable(option) in section, (path, option.name)


def test_every_option_mode_and_transport_has_an_example_or_a_place_in_the_documentation(
    commands_by_path: dict[str, click.Command],
) -> None:
    """Elsewhere than in the reference's tables, that is."""
    pages = [README, *(path for path in DOCS.glob("*.md") if path.name != "reference.md")]
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    text += "".join(command.help or "" for command in commands_by_path.values())
    missing = {f"--mode {mode}" for mode in MODES.built_in if f"--mode {mode}" not in text}
    missing |= {f"{name}://" for name in TRANSPORTS.built_in if f"{name}://" not in text}
    for path, command in commands_by_path.items():
        for option in command.params:
            if isinstance(option, click.Option) and not any(flag in text for flag in option.opts):
                missing.add(f"{path} {option.opts[0]}")
    assert missing == set()
