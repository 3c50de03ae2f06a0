"""Hints name options as a program calls them, and as flags at the command line."""

from __future__ import annotations

import ast
import pickle
import re
from importlib import import_module

import click

from kchat.cli import COMMANDS
from kchat.cli.flags import flag, with_flags
from kchat.errors import ARGUMENTS, Closed, Hint, SettingsError
from tests.unit.sources import PACKAGE, nodes, trees

COMMAND_LINE = {"cli", "__main__.py"}
"""Where flags belong."""


def test_a_program_sees_arguments_and_the_command_line_flags() -> None:
    hint = SettingsError("no", "name it with {account} and {tls_pin}, or in {url}").hint
    assert hint == "name it with account= and TlsOptions(pin=), or in url="
    assert with_flags(hint) == "name it with --rmq-username and --tls-pin, or in --url"


def test_a_hint_keeps_its_options_when_it_is_passed_on() -> None:
    hint = Closed("lost", SettingsError("no", "choose another {room}").hint).hint
    assert with_flags(pickle.loads(pickle.dumps(hint))) == "choose another --room"


def test_text_that_only_looks_like_an_option_stays() -> None:
    for text in ("{other}", "{}", "{{room", "100 %"):
        assert (str(Hint(text)), with_flags(Hint(text)), with_flags(text)) == (text, text, text)


def test_every_option_that_a_hint_may_name_is_a_flag_of_a_command() -> None:
    flags = {
        name
        for command in COMMANDS
        for parameter in import_module(f"kchat.cli.{command}").command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    assert {flag(option) for option in ARGUMENTS} <= flags


def test_no_text_of_the_library_has_a_flag_in_it() -> None:
    """Whole commands, ``kchat invite --list``, are not meant, nor their words one by one; nor are docstrings."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path, tree in trees().items()
        if not COMMAND_LINE & set(path.relative_to(PACKAGE).parts)
        for line, text in texts(tree)
        if re.search(r"(?<![\w-])--[a-z]", text)
        and not text.startswith("--")
        and not re.search(r"(kchat|pip|gcloud|rabbitmqctl) [\w -]*--[a-z]", text)
    ]
    assert found == []


def texts(tree: ast.Module) -> list[tuple[int, str]]:
    """The strings of a module with their lines, but for those that are statements by themselves, as docstrings are."""
    alone = {id(node.value) for node in nodes(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in nodes(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone
    ]
