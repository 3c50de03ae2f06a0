"""``kchat revoke``."""

from __future__ import annotations

from typing import Any

import click

from kchat.cli.options import broker_options, management_option, tell_removed, to_settings
from kchat.cli.say import speaker


@click.command(name="revoke", short_help="Take an invitation back.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@management_option
@broker_options
def command(names: tuple[str, ...], management_url: str | None, **broker: Any) -> None:
    """End the accounts that "kchat invite" has made for these guests, and close their open connections.

    Name the broker with your own account, an administrator's. Other accounts are left alone.

    \b
    Examples:
      kchat revoke ada
      kchat revoke ada logger --host localhost --rmq-username rmq -W
    """
    from kchat import accounts
    from kchat.management import Management

    settings = to_settings(**broker)
    if settings.transport.name != "amqp":
        raise click.UsageError("Only RabbitMQ's accounts can be ended by kchat.")
    management = Management.of(settings, management_url)
    management.require_administrator()
    say = speaker(quiet=False)
    for name in names:
        closed = accounts.revoke(management, name)
        say(f"revoked {name}: its account is gone" + _closed(closed))
    accounts.remove_expired(management, tell_removed)


def _closed(count: int) -> str:
    return f", {count} connection{'s' * (count != 1)} closed" if count else ""
