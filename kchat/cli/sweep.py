"""``kchat sweep``."""

from __future__ import annotations

from typing import Any

import click

from kchat.cli.help import Command
from kchat.cli.options import broker_options, to_settings
from kchat.message.unprintable import escape_unprintable


@click.command(name="sweep", cls=Command)
@broker_options
@click.option("--all-rooms", is_flag=True, help="In all rooms of the project, not only in this one.")
@click.option("--list", "only_list", is_flag=True, help="List them without deleting anything.")
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
def command(all_rooms: bool, only_list: bool, yes: bool, **broker: Any) -> int:
    """List and delete the subscriptions that killed subscribers left behind on Pub/Sub.

    Without it they disappear after a day. The other brokers delete a subscriber's queue by themselves. Subscriptions of
    living subscribers, those whose subscribers kchat cannot check, and durable ones are never deleted.

    \b
    Examples:
      kchat sweep --project my-project                 # list them, ask, delete
      kchat sweep --project my-project --all-rooms --list
    """
    settings = to_settings(**broker)
    transport = settings.transport
    if not transport.sweeps:
        click.echo(f"nothing to sweep: {transport.name} deletes a subscriber's queue by itself")
        return 0
    transport.require()
    stale = transport.stale_queues(settings.broker, None if all_rooms else settings.room)
    where = f"project {settings.broker.host}" if all_rooms else str(settings)
    if not stale:
        click.echo(f"nothing to sweep in {where}")
        return 0
    for found in stale:
        click.echo(escape_unprintable(f"{found.queue}: {found.reason}", keep_newlines=False))
    if only_list:
        return 0
    if not yes and not click.confirm(f"Delete {len(stale)} subscriptions?", err=True):
        return 1
    deleted = transport.delete_queues(settings.broker, stale)
    click.echo(f"{deleted} of {len(stale)} deleted in {where}")
    return 0
