"""Writes docs/reference.md, the reference of all commands, from the commands themselves.

    python docs/make_reference.py

`tests/cli/test_reference.py` fails where the page is out of date.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

from kchat.cli import COMMANDS
from kchat.cli.help import by_group, default, names, variable

PAGE = Path(__file__).parent / "reference.md"

INTRODUCTION = """\
# Command reference

Written by `python docs/make_reference.py` from the commands; do not edit it here. Exit codes, JSON and the precedence of
options and variables are in [command-line.md](command-line.md).

"""


def page() -> str:
    """The whole page."""
    commands = list(all_commands())
    contents = "".join(f"- [`{path}`](#{path.replace(' ', '-')}): {about}\n" for path, about, _ in commands)
    parts = [section(path, command) for path, _, command in commands]
    return INTRODUCTION + contents + "\n" + "\n".join(parts)


def all_commands() -> Iterator[tuple[str, str, click.Command]]:
    """Every command, and the commands of each: how to call it, what it does in a sentence, and itself."""
    for name, about in COMMANDS.items():
        command = import_module(f"kchat.cli.{name}").command
        yield f"kchat {name}", about, command
        if isinstance(command, click.Group):
            for each, below in command.commands.items():
                yield f"kchat {name} {each}", below.get_short_help_str(200), below


def section(path: str, command: click.Command) -> str:
    """What the page says of one command."""
    context = click.Context(command, info_name=path)
    text, _, examples = inspect.cleandoc(command.help or "").partition("\b\nExamples:\n")
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [
        f"## `{path}`\n",
        f"{text.strip()}\n",
        f"```sh\n{inspect.cleandoc(examples)}\n```\n",
        f"Usage: `{usage}`\n",
    ]
    table = ["| group | option | meaning |", "|---|---|---|"]
    for group, options in by_group(command, context).items():
        title = group
        for option in options:
            if "--help" in option.opts:
                continue
            table.append(f"| {title} | `{escaped(names(option, context))}` | {escaped(explained(option))} |")
            title = ""  # in the first row of a group only
    if len(table) > 2:
        parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


def escaped(text: str) -> str:
    """Text for a cell of a table; a bar ends a cell even within code."""
    return text.replace("|", "\\|")


def explained(option: click.Option) -> str:
    """An option's help, default and variable, for a cell of a table."""
    text = str(option.help)
    if shown := default(option):
        text += f" Default: {shown}."
    if name := variable(option):
        text += f" `{name}`"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
