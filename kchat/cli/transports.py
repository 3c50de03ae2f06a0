"""``kchat transports``."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from kchat.cli.flags import with_flags
from kchat.cli.help import Command
from kchat.cli.stderr import write_line
from kchat.cli.table import write_table
from kchat.errors import Hint
from kchat.transports import TRANSPORTS, Capabilities, Transport
from kchat.transports.history import HistoryPolicy

_BY_HOST = 'history "by host": switched on by the room\'s host, with kchat history on'

_IN_HISTORY = (
    'positions "in history": of the messages that are read from it, and not of those that come by a queue'
)

_CAPABILITIES = [name.replace("_", " ") for name in Capabilities._fields]


@click.command(name="transports", cls=Command)
@click.option("--json", "form", flag_value="json", help="Print JSON, for programs.")
@click.option(
    "--markdown", "form", flag_value="markdown", help="Print a Markdown table, the same on every machine."
)
def command(form: str | None) -> None:
    """Show which brokers kchat can use, how to name them, and what each can do.

    \b
    Examples:
      kchat transports
      kchat transports --json
    """
    if form == "markdown":
        click.echo(as_markdown())
        return
    found, problems = TRANSPORTS.usable()
    if form == "json":
        click.echo(json.dumps(as_json(found), indent=2))
    else:
        # Two tables, since one with everything is twice as wide as a terminal.
        write_table(
            [
                ["transport", "URL", "installed"],
                *([each.name, each.url_form, _usable(each)] for each in found),
            ]
        )
        click.echo()
        answers = zip(*map(_answers, found), strict=True)
        write_table(
            [
                ["", *(each.name for each in found)],
                *([name, *row] for name, row in zip(_CAPABILITIES, answers, strict=True)),
            ]
        )
        switched = [_BY_HOST] if any(map(_by_host, found)) else []
        placed = [_IN_HISTORY] if any(map(_in_history, found)) else []
        click.echo("\n".join(["", *map(_about, found), *switched, *placed]))
    for problem in problems:
        write_line(f"kchat: warning: {problem}")


def _usable(info: Transport) -> str:
    if info.lacking:
        return f"no: this Python lacks {', '.join(info.lacking)}"
    return "yes" if info.installed else "no"


def _about(info: Transport) -> str:
    """What its users should know, and how to install it where it is missing."""
    install = "" if info.installed or info.lacking else f" Install it with: {info.install_command}"
    return f"{info.name}: {with_flags(Hint(info.note))}{install}"


def as_json(found: Sequence[Transport]) -> list[dict[str, object]]:
    """The registry as JSON objects."""
    return [
        {
            "transport": info.name,
            "broker": info.broker,
            "url": info.url_form,
            "installed": info.installed,
            "install": info.install_command or None,
            "capabilities": dict(info.capabilities.items()),
            "history_by_host": _by_host(info),
            "positions_in_history": _in_history(info),
            "abilities": dict(info.capabilities.items()),  # the key that programs knew first
            "note": with_flags(Hint(info.note)),
        }
        for info in found
    ]


def as_markdown() -> str:
    """Kchat's own transports as a table in Markdown; says nothing of this machine."""
    rows = [["transport", "URL", "installed by", *_CAPABILITIES], ["---"] * (3 + len(_CAPABILITIES))]
    for info in map(TRANSPORTS.__getitem__, TRANSPORTS.built_in):
        install = f"`{info.install_command}`" if info.install_command else "built in"
        rows.append([f"`{info.name}`", f"`{info.url_form}`", install, *_answers(info)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _by_host(info: Transport) -> bool:
    """Whether a room has a history only where its host has switched it on."""
    if not info.capabilities.history:
        return False
    try:
        return not info.always_keeps_history
    except ImportError:  # of a driver that is not installed
        return False


def _in_history(info: Transport) -> bool:
    """Whether only those messages have positions that are read from a room's history beside its queues."""
    if info.capabilities.positions or not info.capabilities.history:
        return False
    try:
        policy = info.history("chat")
    except ImportError:  # of a driver that is not installed
        return False
    return policy.beside and type(policy).position_of is not HistoryPolicy.position_of


def _answers(info: Transport) -> list[str]:
    """What it can do, by :data:`_CAPABILITIES`."""
    answers = {name: "yes" if able else "no" for name, able in info.capabilities.items()}
    if _by_host(info):
        answers["history"] = "by host"
    if _in_history(info):
        answers["positions"] = "in history"
    return list(answers.values())
