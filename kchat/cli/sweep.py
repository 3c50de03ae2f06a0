"""``kchat sweep``."""

from __future__ import annotations

from typing import Any

import click

from kchat.cli.options import broker_options, to_settings
from kchat.client.connection import broker_errors
from kchat.message.unprintable import visible


@click.command(name="sweep", short_help="Delete what killed subscribers left behind.")
@broker_options
@click.option("--all-rooms", is_flag=True, help="Not only in this room, but in the whole project.")
@click.option("--list", "only_list", is_flag=True, help="List them, and delete nothing.")
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
def command(all_rooms: bool, only_list: bool, yes: bool, **broker: Any) -> int:
    """List and delete the subscriptions of a room whose subscribers were killed.

    Only Pub/Sub needs that: there they would stay for a day. RabbitMQ, Redis and an embedded room take a subscriber's
    queue away by themselves. A subscription whose subscriber lives, or of which that cannot be told, and one that
    --durable made, is never touched.

    \b
    Examples:
      kchat sweep --project my-project                 # list them, ask, delete
      kchat sweep --project my-project --all-rooms --list
    """
    settings = to_settings(**broker)
    if settings.transport.name != "pubsub":
        click.echo(f"nothing to sweep: {settings.transport.name} takes a subscriber's queue away by itself")
        return 0
    settings.transport.require()
    from kchat.transports.pubsub import sweep

    project = settings.broker.host
    with broker_errors(settings.broker, "sweep"):
        stale = sweep.stale_subscriptions(project, None if all_rooms else settings.room)
    where = f"project {project}" if all_rooms else str(settings)
    if not stale:
        click.echo(f"nothing to sweep in {where}")
        return 0
    for found in stale:
        click.echo(visible(f"{found.queue}: {found.reason}", keep_newlines=False))
    if only_list:
        return 0
    if not yes and not click.confirm(f"Delete {len(stale)} subscriptions?", err=True):
        return 1
    with broker_errors(settings.broker, "sweep"):
        deleted = sweep.delete(project, stale)
    click.echo(f"{len(deleted)} of {len(stale)} deleted in {where}")
    return 0
