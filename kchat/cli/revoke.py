"""``kchat revoke``."""

from __future__ import annotations

from typing import Any

import click

from kchat.cli.administrator import administrator, management_option, tell_removed
from kchat.cli.help import Command
from kchat.cli.options import broker_options, to_settings
from kchat.cli.stderr import write_line
from kchat.errors import SettingsError


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
        guests = settings.transport.guests
        raise SettingsError(f"kchat made no accounts on {guests.name}, so it ends none", hint=guests.ending)
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
        kinds = [each.kind for each in ended.removed]
        counts = (
            (ended.connections, "connection", "closed"),
            (kinds.count("queue"), "queue", "deleted"),
            (kinds.count("exchange"), "exchange", "deleted"),
        )
        gone = (
            f", {count} {thing}{'' if count == 1 else 's'} {done}" for count, thing, done in counts if count
        )
        write_line(f"revoked {spelled(name)}: its account is gone{''.join(gone)}")
    management.remove_expired(tell_removed)
    if failed is not None:
        raise failed
