"""The line that sends people to ``kchat doctor``, with the options that they have used."""

from __future__ import annotations

import shlex

import click
from click.core import ParameterSource

from kchat.cli.options import broker_options
from kchat.config.settings import Broker
from kchat.errors import SettingsError


def advice(context: click.Context) -> str:
    """``kchat doctor ...`` with the options by which a command that failed names its room, without passwords.

    Empty where the command has no such options, and for the doctor itself.
    """
    naming = {option.name for option in broker_options(click.Command("any")).params}
    known = {each.name for each in context.command.params if isinstance(each, click.Option)}
    if context.info_name == "doctor" or not naming <= known:
        return ""
    return same_room(context, "doctor")


def same_room(context: click.Context, command: str) -> str:
    """``kchat COMMAND ...`` with the options by which this command names its room, without passwords."""
    naming = {option.name for option in broker_options(click.Command("any")).params}
    known = {each.name: each for each in context.command.params if isinstance(each, click.Option)}
    words = ["kchat", command]
    secret = False
    for name, option in known.items():
        if name not in naming or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if name in ("rmq_password", "ask_password"):
            secret = True
            continue
        words.append(max(option.opts, key=len))
        value = context.params[name]
        if name == "url":
            try:
                brokers = Broker.parse_all(value)
            except SettingsError:
                value = "URL"
            else:
                secret = secret or any(broker.password is not None for broker in brokers)
                value = ";".join(str(broker.without_password()) for broker in brokers)
        if not option.is_flag:
            words.append(str(value))
    return shlex.join([*words, *(["--ask-password"] if secret else [])])
