"""Every command line of kchat's in the README and in docs/ is one that kchat takes: command, options and values exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path

import click
import pytest

from kchat.cli import COMMANDS, param_types
from tests.cases import check_each
from tests.docs.examples import ROOT
from tests.docs.walk import commands_of

_BLOCK = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_PLACEHOLDER = re.compile(r"\.\.\.|…|[<>]|\[OPTIONS\]")
"""In a line that is about a command rather than to be typed."""


EVENING = datetime(2026, 5, 1, 20)  # noqa: DTZ001 - by the clocks of this machine, as kchat reads `--since 9:00`


@pytest.fixture(autouse=True)
def _read_in_the_evening(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's times of day are those of a day that is nearly over: nothing may depend on when the tests run."""
    monkeypatch.setattr(param_types, "clock", EVENING.timestamp)


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of each command of kchat's in a page; of a pipe, of each part."""
    lines = [line for block in _BLOCK.findall(text) for line in commands_of(block)]
    lines += [code for code in _INLINE.findall(text) if not _PLACEHOLDER.search(code)]
    for line in lines:
        splitter = shlex.shlex(line, posix=True, punctuation_chars=";|&<>()")
        splitter.commenters = "#"
        splitter.whitespace_split = True
        words: list[str] = []
        for word in [*splitter, ";"]:
            if set(word) <= set(";|&<>()"):
                if words[:1] == ["kchat"] and len(words) > 1:
                    yield words[1:]
                words = []
            elif words or "=" not in word.partition("kchat")[0]:  # variables may stand in front
                words.append(word)


def parse(words: list[str]) -> None:
    """Parse a command's options, as kchat does before it runs it.

    Raises:
        AssertionError: kchat would refuse them.
    """
    name, *arguments = words
    if name in {"--debug", "--version", "--help"}:
        return
    assert name in COMMANDS, f"there is no command {name!r}"
    command: click.Command = import_module(f"kchat.cli.{name}").command
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    try:
        command.make_context(name, arguments)
    except click.exceptions.Exit:
        pass  # --help
    except (click.MissingParameter, click.BadOptionUsage):
        pass  # a value is left out: the text is about the command or its option
    except click.UsageError as error:
        raise AssertionError(error.format_message()) from None


@pytest.mark.parametrize(
    "page", [page for page in pages() if "`kchat" in page.read_text("utf-8")], ids=lambda page: page.name
)
def test_kchat_takes_every_command_line_of_a_page(page: Path) -> None:
    check_each(
        list(dict.fromkeys(map(shlex.join, command_lines(page.read_text("utf-8"))))),
        lambda line: parse(shlex.split(line)),
    )


def test_the_pages_have_command_lines_and_one_that_is_wrong_is_found() -> None:
    found = [words for page in pages() for words in command_lines(page.read_text("utf-8"))]
    assert {words[0] for words in found} >= set(COMMANDS)
    assert list(
        command_lines("```sh\nA=b tail -f log | kchat send -m 'a | b' - && kchat who # here\n```\n")
    ) == [
        ["send", "-m", "a | b", "-"],
        ["who"],
    ]
    for wrong in (["sned"], ["send", "--nosuch"], ["profile", "nosuch"], ["subscribe", "--mode", "nosuch"]):
        with pytest.raises(AssertionError):
            parse(wrong)
