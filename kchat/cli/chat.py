"""``kchat chat``."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.durable_options import durable_options, to_durable
from kchat.cli.filter_options import filter_options, take_choice
from kchat.cli.help import Command
from kchat.cli.options import (
    broker_options,
    complete_rooms,
    confirm_timeout_option,
    heartbeat_option,
    refuse_lone_room,
    to_settings,
    username_option,
    wait_option,
)
from kchat.cli.param_types import SINCE, whole_number
from kchat.cli.stderr import write_line
from kchat.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.tui.options import Outcome


@click.command(name="chat", cls=Command)
@click.argument("rooms", nargs=-1, metavar="[ROOM]...", shell_complete=complete_rooms)
@filter_options
@username_option
@broker_options
@click.option(
    "--last",
    type=whole_number(0, 1_000_000_000),
    metavar="N",
    help="Begin with the last N messages of the history.",
)
@click.option(
    "--since", type=SINCE, metavar="TIME", help="Begin at that time: 10m, 2h, 9:00, 2026-01-31T12:00Z."
)
@durable_options
@click.option("--hidden", is_flag=True, help="Do not count as here.")
@confirm_timeout_option
@heartbeat_option
@wait_option
@click.option("--highlight", metavar="WORD", multiple=True, help="Highlight this word, too; may be repeated.")
@click.option("--bell", is_flag=True, envvar="KCHAT_BELL", help="Ring when somebody names you.")
@click.option(
    "--notify",
    type=click.Choice(["osc9", "osc777"]),
    metavar="KIND",
    envvar="KCHAT_NOTIFY",
    help="... with a desktop notice: osc9 or osc777.",
)
@click.option(
    "--theme",
    type=click.Choice(["dark", "light"]),
    metavar="NAME",
    envvar="KCHAT_THEME",
    show_default="the terminal's",
    help="dark or light.",
)
@click.option("--no-mouse", is_flag=True, envvar="KCHAT_NO_MOUSE", help="Leave the mouse to the terminal.")
@click.option(
    "--plain",
    is_flag=True,
    envvar="KCHAT_PLAIN",
    help="Line by line, for screen readers.",
)
def command(
    rooms: tuple[str, ...],
    username: str | None,
    last: int | None,
    since: float | None,
    durable: str | None,
    expires: float | None,
    max_size: int | None,
    shared: bool,
    hidden: bool,
    confirm_timeout: float,
    heartbeat: float,
    wait: bool,
    highlight: tuple[str, ...],
    bell: bool,
    notify: str | None,
    theme: str | None,
    no_mouse: bool,
    plain: bool,
    **broker: Any,
) -> int:
    """Talk in one or more rooms. F1 shows the keys, Ctrl+Q leaves.

    \b
    Examples:
      kchat chat lunch ops --username ada --highlight deploy
      kchat chat --plain        # for screen readers
    """
    from kchat.cli import DONE, FAILED

    choice = take_choice(broker)
    settings = _in_rooms(rooms, to_settings(confirm_timeout=confirm_timeout, heartbeat=heartbeat, **broker))
    refuse_lone_room(settings[0], "nobody else could be in it")
    from kchat.config.validation import check_name

    for name, what in ((username, "username"), (durable, "durable name")):
        if name is not None:
            check_name(name, what)  # before the window, which would be gone again before one has read why
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stdout)):
        raise SettingsError("a chat needs a terminal; in a script, use kchat send and kchat subscribe")
    plain = plain or os.environ.get("TERM") == "dumb" or not _has_lines(sys.stdout)
    _require("prompt_toolkit" if plain else "textual")
    settings[0].transport.require()
    from kchat.tui.options import ChatOptions

    options = ChatOptions(
        settings,
        username,
        highlight=highlight,
        durable=to_durable(durable, expires, max_size, shared=shared),
        last=last,
        since=since,
        where=choice.to_filter(settings[0], username),
        wait=wait,
        hidden=hidden,
        bell=bell,
        notify=notify,
        theme=theme,
        mouse=not no_mouse,
    )
    if plain:
        from kchat.tui.plain import chat as talk
    else:
        from kchat.tui.run import chat as talk
    outcome = talk(options)
    _tell_unsent(outcome)
    if outcome.error is not None:
        raise outcome.error
    return FAILED if outcome.unsent else DONE


def _in_rooms(rooms: tuple[str, ...], settings: Settings) -> list[Settings]:
    """The settings for each room: those that are named, else the one of the other options."""
    if not rooms:
        return [settings]
    if click.get_current_context().get_parameter_source("room") is click.core.ParameterSource.COMMANDLINE:
        raise SettingsError("the room is named by --room and as an argument", hint="name rooms as arguments")
    if any("//" in room for room in rooms):
        raise SettingsError("a room was given as a URL", hint="the broker's URL goes to --url")
    return [replace(settings, room=room) for room in dict.fromkeys(rooms)]


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()


def _has_lines(stream: Any) -> bool:
    """Whether the terminal's encoding has what the window is drawn with."""
    try:
        "─·…↓“”".encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _require(module: str) -> None:
    if find_spec(module) is None:
        raise MissingExtra(
            "this needs a library that is not installed",
            hint='install it with: pip install "kombu-chat[chat]"',
        )


def _tell_unsent(outcome: Outcome) -> None:
    """What was written and not sent is not lost with the window."""
    for text in outcome.unsent:
        write_line(f"not sent to {text}")
