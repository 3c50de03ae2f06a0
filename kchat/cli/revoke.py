"""``kchat revoke``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kchat.cli.administrator import administrator, management_option, tell_removed
from kchat.cli.help import Command
from kchat.cli.options import broker_options, to_settings
from kchat.cli.stderr import write_line

if TYPE_CHECKING:
    from kchat.transports.guests import Ended


@click.command(name="revoke", cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@management_option
@broker_options
def command(names: tuple[str, ...], management_url: str | None, **broker: Any) -> None:
    """Delete the accounts that "kchat invite" made for these guests, close their connections and delete their queues.

    Log in with your own account, which must be an administrator. Other accounts are not changed.

    \b
    Examples:
      kchat revoke ada
      kchat revoke ada logger --host localhost --rmq-username rmq -W
    """
    from kchat.errors import NotAuthorised, NotFound, Refused
    from kchat.message.lookalikes import spelled

    settings = to_settings(**broker)
    if not settings.transport.guests.makes_accounts:
        raise click.UsageError("kchat can only end accounts on RabbitMQ.")
    management = administrator(settings, management_url)
    failed = None
    for name in names:
        try:
            ended = management.revoke(name, vhost=settings.broker.vhost)
        except (NotFound, Refused) as error:
            # One failure does not keep the other accounts.
            if isinstance(error, NotAuthorised):
                raise
            if failed is not None:
                write_line(f"error: {failed}")
            failed = error
            continue
        write_line(f"revoked {spelled(name)}: its account is gone{_what_else(ended)}")
    management.remove_expired(tell_removed)
    if failed is not None:
        raise failed


def _what_else(ended: Ended) -> str:
    """``, 2 connections closed, 1 queue deleted``; only what is not zero."""
    counts = {
        "connection": (ended.connections, "closed"),
        "queue": (sum(each.kind == "queue" for each in ended.removed), "deleted"),
        "exchange": (sum(each.kind == "exchange" for each in ended.removed), "deleted"),
    }
    return "".join(
        f", {count} {thing}{'' if count == 1 else 's'} {done}"
        for thing, (count, done) in counts.items()
        if count
    )
