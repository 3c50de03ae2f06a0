"""``kchat durable``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.administrator import management_option
from kchat.cli.confirming import confirmed
from kchat.cli.help import Group
from kchat.cli.options import broker_options, quiet_option, to_settings
from kchat.cli.stderr import line_writer
from kchat.errors import BrokerError, SettingsError

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.transports.durable import Subscription

_HEADER = ["name", "account", "messages", "size", "readers", "last read", "expires after", "at most"]


@click.group(name="durable", cls=Group, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List and remove durable subscriptions: the queues of --durable, which keep messages while nobody reads them.

    \b
    Examples:
      kchat durable list
      kchat durable remove archive
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@management_option
@broker_options
@quiet_option
def list_(as_json: bool, management_url: str | None, quiet: bool, **broker: Any) -> int:
    """List the durable subscriptions of a room: what they hold, who reads them, and their limits.

    On RabbitMQ this needs the management API, and an account that may use it.

    \b
    Examples:
      kchat durable list
      kchat durable list --json | jq -r '.durable[] | select(.readers == 0) | .name'
    """
    from kchat.cli.table import write_table
    from kchat.client import durable

    settings = to_settings(**broker)
    found = durable.subscriptions(settings, management_url=management_url)
    if as_json:
        click.echo(json.dumps({"room": settings.room, "durable": [to_json(each) for each in found]}))
        return 0
    if not found:
        line_writer(quiet)(f"no durable subscriptions in {settings}")
        return 0
    rows = [_HEADER, *map(_row, found)]
    used = [column for column in range(len(_HEADER)) if any(row[column] for row in rows[1:])]
    write_table([[row[column] for column in used] for row in rows])
    return 0


@command.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Remove it without asking.")
@management_option
@broker_options
@quiet_option
def remove(name: str, yes: bool, management_url: str | None, quiet: bool, **broker: Any) -> int:
    """Remove a durable subscription with the messages that it holds. It asks first; without a terminal it takes --yes.

    NAME is what --durable was given, or the name of the queue. Stop its reader first: that would make it again.

    \b
    Examples:
      kchat durable remove archive
      kchat durable remove archive --yes
    """
    from kchat.client import durable

    settings = to_settings(**broker)
    durable.require_durable(settings)
    found = _find(settings, name, management_url, quiet=yes)
    if found is not None and found.readers:
        line_writer(quiet and yes)(
            "somebody is reading it now, and makes it again unless that reader is stopped first"
        )
    if not yes and not confirmed(lambda: _question(name, found)):
        return 1
    durable.remove(settings, name)
    line_writer(quiet)(f"removed the durable subscription {name} from {settings}")
    return 0


def _find(settings: Settings, name: str, management_url: str | None, *, quiet: bool) -> Subscription | None:
    """What is known of it; ``None`` for nothing: it can be removed all the same. ``quiet``: whatever the reason."""
    from kchat.client import durable

    try:
        found = durable.subscriptions(settings, management_url=management_url)
    except SettingsError:
        if quiet:
            return None
        raise
    except BrokerError:
        return None
    return next((each for each in found if name in (each.name, each.queue)), None)


def _question(name: str, found: Subscription | None) -> str:
    """What to ask, with what would be lost where that is known."""
    from kchat.message.unprintable import escape_unprintable

    held = f" and its {found.messages:,} messages" if found is not None and found.messages else ""
    return escape_unprintable(f"Remove the durable subscription {name}{held}?", keep_newlines=False)


def to_json(subscription: Subscription) -> dict[str, object]:
    """A subscription as a JSON object; times in UNIX seconds."""
    return {
        "name": subscription.name,
        "queue": subscription.queue,
        "account": subscription.account,
        "messages": subscription.messages,
        "bytes": subscription.size,
        "readers": subscription.readers,
        "last_read": subscription.last_read,
        "expires": subscription.expires,
        "max_size": subscription.max_size,
    }


def _row(subscription: Subscription) -> list[str]:
    from kchat.message.amounts import duration, size
    from kchat.message.times import moment

    def shown(value: Any, how: Any) -> str:
        return "" if value is None else str(how(value))

    last_read = "now" if subscription.readers else shown(subscription.last_read, moment)
    return [
        subscription.name,
        subscription.account or "",
        shown(subscription.messages, "{:,}".format),
        shown(subscription.size, size),
        shown(subscription.readers, str),
        last_read,
        shown(subscription.expires, duration),
        shown(subscription.max_size, size),
    ]
