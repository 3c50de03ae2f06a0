"""The line that sends people to ``kchat doctor``, with the options that they have used."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib import import_module

import click
from click.core import ParameterSource

from kchat.config.settings import Broker
from kchat.errors import BrokerError, KchatError, NotConfirmed, SettingsError

_SECRET = "rmq_password"  # noqa: S105 - the name of the option


def advice(error: KchatError, words: Sequence[str]) -> str:
    """``kchat doctor ...`` if that helps, otherwise nothing.

    Arguments:
        error: the error that ended a command.
        words: the command line, without the program's name.
    """
    if not isinstance(error, BrokerError | NotConfirmed):
        return ""
    options = _options(words)
    return "" if options is None else shlex.join(["kchat", "doctor", *options])


def _options(words: Sequence[str]) -> list[str] | None:
    """The options with which the command line names a room, without passwords; None if the command has no such options."""
    from kchat.cli import COMMANDS

    name = next((word for word in words if not word.startswith("-")), "")
    if name not in COMMANDS or name == "doctor":
        return None
    naming = _naming_options()
    command: click.Command = import_module(f"kchat.cli.{name}").command
    with command.make_context(name, list(words[words.index(name) + 1 :]), resilient_parsing=True) as context:
        known = {each.name: each for each in command.params if isinstance(each, click.Option)}
        if not naming <= known.keys():
            return None
        typed = [
            option
            for option in known.values()
            if option.name in naming
            and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
        ]
        found: list[str] = []
        secret = bool(context.params.get("ask_password"))
        for option in typed:
            value = context.params[str(option.name)]
            flag = max(option.opts, key=len)
            if option.name == "url":
                value, hidden = _without_passwords(value)
                secret = secret or hidden
            if option.name == _SECRET:
                secret = True
            elif option.name != "ask_password":
                found += [flag] if option.is_flag else [flag, str(value)]
        return [*found, "--ask-password"] if secret else found


def _naming_options() -> set[str]:
    """The names of the options of :func:`~kchat.cli.options.broker_options`."""
    from kchat.cli.options import broker_options

    @click.command()
    @broker_options
    def command(**_: object) -> None:
        """A command with only these options."""

    return {str(option.name) for option in command.params}


def _without_passwords(urls: str) -> tuple[str, bool]:
    """The URLs without their passwords, and whether there were any."""
    try:
        brokers = Broker.parse_all(urls)
    except SettingsError:
        return "URL", False
    shown = ";".join(str(broker.without_password()) for broker in brokers)
    return shown, any(broker.password is not None for broker in brokers)
