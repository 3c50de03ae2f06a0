"""The line that sends people to ``kchat doctor``, with the options that they have used."""

from __future__ import annotations

import shlex

import click
from click.core import ParameterSource

from kchat.config.settings import Broker
from kchat.errors import SettingsError


def advice(context: click.Context) -> str:
    """``kchat doctor ...`` with the options by which a command that failed names its room, without passwords.

    Arguments:
        context: of the command.

    Returns:
        The command line; empty where the command has no such options, and for the doctor itself.
    """
    naming = _naming_options()
    known = {str(each.name): each for each in context.command.params if isinstance(each, click.Option)}
    if context.info_name == "doctor" or not naming <= known.keys():
        return ""
    words: list[str] = []
    secret = False
    for name, option in known.items():
        if name not in naming or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        if name == "url":
            value, hidden = _without_passwords(value)
            secret = secret or hidden
        if name in ("rmq_password", "ask_password"):
            secret = True
        else:
            flag = max(option.opts, key=len)
            words += [flag] if option.is_flag else [flag, str(value)]
    return shlex.join(["kchat", "doctor", *words, *(["--ask-password"] if secret else [])])


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
