"""``kchat who``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.help import Command
from kchat.cli.options import broker_options, quiet_option, refuse_lone_room, to_settings
from kchat.cli.param_types import SECONDS
from kchat.cli.stderr import line_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kchat import events

_WAITS = "waiting: those who are here answer each in turn, the next one within a minute (Ctrl+C ends)"

NAMES = 20
"""Maximum number of names that people are shown; programs get all that are known."""


@click.command(name="who", cls=Command)
@broker_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    help="How long to wait for an answer; it usually takes less than a second.",
)
@quiet_option
def command(as_json: bool, timeout: float, quiet: bool, **broker: Any) -> int:
    """Show who is in a room: those who listen with chat or subscribe, unless --hidden.

    Somebody who vanished without leaving is shown for up to a minute. Of more than 20 people, 20 are named.

    \b
    Examples:
      kchat who
      kchat who --json | jq -r '.here[].username'
    """
    from kchat.client.presence import who
    from kchat.display.names import NOT_CHECKED

    settings = to_settings(**broker)
    settings.require_presence()
    refuse_lone_room(settings, "nobody else can be in it")
    report = line_writer(quiet)
    nobody = "nobody is here"

    def tell_timeout() -> None:
        nonlocal nobody
        nobody = "nobody has answered"
        report(f"not everybody may have answered within {timeout:g} s: a longer --timeout waits for them")

    people = who(settings, timeout=timeout, on_wait=lambda: report(_WAITS), on_timeout=tell_timeout)
    if as_json:
        click.echo(json.dumps(to_json(settings.room, people)))
        return 0
    report(f"{people if people.count else nobody} in {settings}")
    verifies = settings.transport.verifies_accounts
    named = list(to_lines(people, verifies, settings.broker.account, report))
    if people.here and not verifies:
        report(NOT_CHECKED)
    for name in named[:NAMES]:
        click.echo(name)
    if people.count > NAMES:
        report(f"and {people.count - NAMES:,} more")
    return 0


def to_json(room: str, people: events.People) -> dict[str, object]:
    """Who is here as a JSON object."""
    from kchat.message.lookalikes import is_own_name

    return {
        "room": room,
        "count": people.count,
        "more": people.more,
        "here": [
            {
                "username": each.username,
                "account": each.account,
                "verified": each.account is not None and is_own_name(each.username, each.account),
            }
            for each in people.here
        ],
    }


def to_lines(
    people: events.People,
    verifies: bool,
    own: str | None,
    tell: Callable[[str], object] = lambda text: None,  # noqa: ARG005 - nobody is told
) -> Iterator[str]:
    """The names, safe to show, with the marks that messages have.

    Arguments:
        people: who is here.
        verifies: whether the broker checks accounts.
        own: the viewer's account. Where all share it, it is not shown.
        tell: told that, once. Default: nobody is.
    """
    from kchat.display.names import Names

    names = Names(own, mark_unverified=verifies, tell=tell)
    for each in people.here:
        names.meet(each.account)
    for each in people.here:
        yield "".join(names.sign(each.username, each.account))
