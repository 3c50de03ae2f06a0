"""``kchat history``."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.administrator import management_option, warn_in_clear
from kchat.cli.confirming import at_terminal, confirmed
from kchat.cli.help import Group
from kchat.cli.options import broker_options, quiet_option, refuse_lone_room, to_settings
from kchat.cli.param_types import DURATION, SINCE, SIZE, whole_number
from kchat.cli.shutdown import shutdown_by_signal
from kchat.cli.stderr import line_writer
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.transports.history import HistoryStatus

_FLUSH = 250
"""Messages that are written at once."""

_yes_option = click.option("--yes", "-y", is_flag=True, help="Do it without asking.")


@click.group(name="history", cls=Group, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Let a room remember what was said, for those who come later: on RabbitMQ, where rooms forget by default.

    The room's host switches it on; "kchat subscribe --last 20" and "--since 2h" then begin with what is kept.

    \b
    Examples:
      kchat history on --keep 7d --max-size 64MiB
      kchat history status
      kchat history export --since 1d > day.jsonl
      kchat history off
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command(name="on")
@click.option(
    "--keep", type=DURATION, metavar="TIME", help="For how long: 2h, 90m.  [default: as it is, or 7d]"
)
@click.option(
    "--max-size",
    type=SIZE,
    metavar="SIZE",
    help="Size beyond which the oldest messages are deleted: 500MB, 1GiB.  [default: as it is, or 64MiB]",
)
@_yes_option
@management_option
@broker_options
@quiet_option
def on(
    keep: float | None,
    max_size: int | None,
    yes: bool,
    management_url: str | None,
    quiet: bool,
    **broker: Any,
) -> int:
    """Keep what is sent from now on; if it is kept already, change for how long and how much.

    At a terminal it asks first where a lower limit deletes messages.

    \b
    Examples:
      kchat history on --room chat --keep 7d --max-size 64MiB
      kchat history on --keep 30d            # and as much as before
    """
    from kchat.hosting import history
    from kchat.message.amounts import duration, size

    settings = _settings(management_url, broker)
    asks = not yes and (keep is not None or max_size is not None) and at_terminal()
    if asks and not confirmed(lambda: _loss(settings, keep, max_size, management_url)):
        return 1
    limits = history.switch_on(settings, keep=keep, max_size=max_size, management_url=management_url)
    most = "" if limits.max_size is None else f", up to {size(limits.max_size)}"
    line_writer(quiet)(f"{settings} keeps its messages for {duration(limits.keep)}{most}")
    return 0


@command.command()
@_yes_option
@management_option
@broker_options
@quiet_option
def off(yes: bool, management_url: str | None, quiet: bool, **broker: Any) -> int:
    """Keep nothing from now on, and forget what was kept.

    \b
    Examples:
      kchat history off
      kchat history off --yes                # without asking
    """
    from kchat.hosting import history

    settings = _settings(management_url, broker)
    history.check_off(settings)
    if not yes and not confirmed(lambda: _forgets(settings, management_url)):
        return 1
    was_on = history.switch_off(settings, management_url=management_url)
    line_writer(quiet)(f"{settings} keeps no messages{'' if was_on else ': its history was off'}")
    return 0


@command.command()
@_yes_option
@management_option
@broker_options
@quiet_option
def clear(yes: bool, management_url: str | None, quiet: bool, **broker: Any) -> int:
    """Forget what was kept, and go on with the same limits.

    \b
    Examples:
      kchat history clear
    """
    from kchat.hosting import history

    settings = _settings(management_url, broker)
    history.check_clear(settings)
    if not yes and not confirmed(lambda: _forgets(settings, management_url)):
        return 1
    if not history.clear(settings, management_url=management_url):
        raise history.off(settings)
    line_writer(quiet)(f"{settings} has forgotten its history, and goes on keeping messages")
    return 0


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@management_option
@broker_options
def status(as_json: bool, management_url: str | None, **broker: Any) -> None:
    """Show since when messages are kept, how many, their size, and the limits.

    \b
    Examples:
      kchat history status
      kchat history status --json | jq .messages
    """
    from kchat.cli.table import write_table
    from kchat.hosting import history
    from kchat.message.amounts import duration, size
    from kchat.message.times import moment

    settings = _settings(management_url, broker)
    found = history.status(settings, management_url=management_url)
    if as_json:
        click.echo(json.dumps(to_json(settings.room, found)))
    elif found is None:
        click.echo(f"{settings} has no history")
    else:
        unknown = "unknown"
        write_table(
            [
                ["room", str(settings)],
                ["messages", unknown if found.messages is None else f"{found.messages:,}"],
                [
                    "since",
                    ("" if found.messages == 0 else unknown) if found.since is None else moment(found.since),
                ],
                ["size", unknown if found.size is None else size(found.size)],
                ["kept for", unknown if found.keep is None else duration(found.keep)],
                ["maximum size", unknown if found.max_size is None else size(found.max_size)],
            ]
        )


@command.command()
@click.option("--last", type=whole_number(1, 1_000_000_000), metavar="N", help="Only the last N messages.")
@click.option(
    "--since", type=SINCE, metavar="AGE|DATE", help="Begin at that time: 10m, 2h, 2026-01-31T12:00Z."
)
@click.option("--until", type=SINCE, metavar="AGE|DATE", help="End before that time.")
@broker_options
@quiet_option
def export(last: int | None, since: float | None, until: float | None, quiet: bool, **broker: Any) -> int:
    """Print what is kept as JSON, an object a line, as "kchat subscribe --mode json" does, and exit.

    \b
    Examples:
      kchat history export --since 1d > day.jsonl
      kchat history export --since 2026-01-31T09:00 --until 2026-01-31T10:00 | jq -r .message
    """
    from kchat.cli import DONE, INTERRUPTED
    from kchat.display import create
    from kchat.hosting import history

    if sys.stdout is None:
        raise SettingsError("standard output is closed, so there is nowhere to write messages")
    settings = _settings(None, broker)
    display = create("json", sys.stdout)
    count = 0
    try:
        with shutdown_by_signal() as stop:
            stop.graceful = True
            for message in history.read(settings, last=last, since=since, until=until, stopping=stop):
                display.show(message)
                count += 1
                if count % _FLUSH == 0:
                    display.flush()
            display.flush()
    except BrokenPipeError:  # as in "kchat history export | head -3"; Click would end with 1
        return DONE
    finally:
        display.close()
    line_writer(quiet)(f"{count:,} message{'' if count == 1 else 's'} of {settings}")
    return INTERRUPTED if stop.requested else DONE


def to_json(room: str, found: HistoryStatus | None) -> dict[str, object]:
    """A room's history as a JSON object: ``since`` as a date, sizes in bytes, ``keep`` in seconds; null for not known."""
    from kchat.message import rfc3339

    since = (
        None
        if found is None or found.since is None
        else rfc3339.text(datetime.fromtimestamp(found.since, UTC))
    )
    return {
        "room": room,
        "on": found is not None,
        "since": since,
        "messages": None if found is None else found.messages,
        "size": None if found is None else found.size,
        "keep": None if found is None else found.keep,
        "max_size": None if found is None else found.max_size,
    }


def _settings(management_url: str | None, broker: dict[str, Any]) -> Settings:
    settings = to_settings(**broker)
    refuse_lone_room(settings, "it has no history")
    guests = settings.transport.guests
    if management_url is not None and guests.makes_accounts:
        warn_in_clear(guests.management(settings, management_url))
    return settings


def _forgets(settings: Settings, management_url: str | None) -> str | None:
    """What to ask before all that is kept is forgotten; ``None`` where nothing is."""
    from kchat.hosting import history

    found = history.status(settings, management_url=management_url)
    if found is None or found.messages == 0:
        return None
    return f"Forget {_number(found)} in the history of {settings}?"


def _loss(
    settings: Settings, keep: float | None, max_size: int | None, management_url: str | None
) -> str | None:
    """What to ask before limits are changed to these; ``None`` where no message goes with that, as far as is known."""
    from kchat.hosting import history

    found = history.status(settings, management_url=management_url)
    if found is None or found.messages == 0:
        return None
    age = found.keep if found.since is None else time.time() - found.since
    old = keep is not None and (age is None or age > keep)
    most = found.max_size if found.size is None else found.size
    large = max_size is not None and (most is None or most > max_size)
    if not (old or large):
        return None
    return f"Delete what is over these limits, of {_number(found)} in the history of {settings}?"


def _number(found: HistoryStatus) -> str:
    if found.messages is None:
        return "everything"
    return f"{found.messages:,} message{'' if found.messages == 1 else 's'}"
