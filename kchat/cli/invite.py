"""``kchat invite``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.administrator import administrator, management_option, tell_removed
from kchat.cli.help import Command
from kchat.cli.options import broker_options, to_settings
from kchat.cli.param_types import DURATION, whole_number
from kchat.cli.stderr import can_show, write_line
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.hosting.invitation import Invitation

_MAY = {False: "send and listen", True: "send only"}
"""What an account may do, by whether it is ``send_only``."""


@click.command(name="invite", cls=Command)
@click.argument("name", required=False)
@click.option("--send-only", is_flag=True, help="The guest can send, but not receive.")
@click.option(
    "--expires", type=DURATION, metavar="TIME", help="Delete the account after 30m, 24h, 7d (RabbitMQ)."
)
@click.option(
    "--address",
    metavar="HOST[:PORT]|URL",
    envvar="KCHAT_ADDRESS",
    show_default="yours",
    help="The broker's address for guests.",
)
@click.option("--qr", is_flag=True, help="Show the invitation as a QR code, too.")
@click.option("--list", "show_list", is_flag=True, help="List the accounts that kchat made on the broker.")
@click.option("--apply", is_flag=True, help="Run those commands (Pub/Sub, Redis).")
@click.option(
    "--max-connections",
    type=whole_number(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Maximum of the guest's connections.",
)
@management_option
@broker_options
def command(
    name: str | None,
    send_only: bool,
    expires: float | None,
    address: str | None,
    qr: bool,
    show_list: bool,
    apply: bool,
    max_connections: int,
    management_url: str | None,
    **broker: Any,
) -> None:
    """Create the account NAME for a guest of a room, and print an invitation.

    The invitation is one line. It contains the account's password and is shown only once; the guest passes it to
    "kchat join". Log in as an administrator.

    On Pub/Sub, NAME is an e-mail address or another principal; on Redis, an account. The commands that admit the guest
    are printed, or run with --apply.

    \b
    Examples:
      kchat invite ada --host localhost --rmq-username rmq -W --address me.example
      kchat invite logger --send-only --expires 24h --qr
      kchat invite --list
      kchat invite ada@example.com --project my-project --apply
    """
    from kchat.hosting import inviting
    from kchat.message.lookalikes import normalised
    from kchat.transports.guests import check_account_name

    if show_list == (name is not None):
        raise click.UsageError("Name a guest, or use --list.")
    settings = to_settings(**broker)
    if not settings.transport.guests.makes_accounts:
        if name is None or expires is not None:
            guests = settings.transport.guests
            what = "lists no accounts" if name is None else "ends no accounts in time"
            raise SettingsError(f"kchat {what} on {guests.name}", hint=guests.ending)
        made = _admit(settings, name, send_only=send_only, address=address, apply=apply)
    elif name is None:
        return _list(settings, management_url)
    else:
        check_account_name(normalised(name))  # before anything is contacted
        management = administrator(settings, management_url)
        management.remove_expired(tell_removed)
        made = inviting.invite(
            management,
            settings,
            name,
            address=address,
            send_only=send_only,
            expires=None if expires is None else int(time.time() + expires),
            max_connections=max_connections,
        )
        _tell(made, management.warnings(str(made.account), send_only=send_only))
    line = made.encode()
    click.echo(line)
    if qr and can_show("▀▄█", sys.stderr):
        click.echo(_picture(line), err=True)
    elif qr:
        write_line("no QR code: this terminal's encoding lacks the characters for it")
    return None


def _tell(made: Invitation, warnings: Sequence[str]) -> None:
    """Say what account was made."""
    from kchat.hosting import inviting
    from kchat.message.times import moment

    until = "" if made.expires is None else f", until {moment(made.expires)}"
    write_line(f"{made.account} may {_MAY[made.send_only]} in {made}{until}")
    if made.expires is not None:
        write_line(
            "RabbitMQ does not end accounts by itself: after that time the account ends with your next "
            "kchat invite, kchat invite --list or kchat revoke"
        )
    if inviting.only_here(made.brokers[0]):
        write_line(
            f"warning: {made.brokers[0].host or 'localhost'} means, on every machine, that machine itself: "
            "name the broker's address with --address"
        )
    elif not made.brokers[0].encrypted:
        write_line(
            "warning: the connection is not encrypted, and others on the way can read the password: see docs/tls.md"
        )
    write_line("the invitation contains the password and is shown only once; the guest runs: kchat join -")
    for warning in warnings:
        write_line(warning)


def _list(settings: Settings, management_url: str | None) -> None:
    from kchat.cli.table import write_table
    from kchat.hosting import inviting
    from kchat.message.lookalikes import spelled
    from kchat.message.times import moment

    management = administrator(settings, management_url)
    found = management.remove_expired(tell_removed)
    # A restart of the broker deletes the room, and guests may not make it.
    inviting.declare_room(settings)
    if management.repair_room(settings, found):
        write_line(
            f"repaired the exchange with which durable queues of {settings.room} survive a restart: another one had its name"
        )
    for account in found:
        if account.more_tags:
            write_line(f"{account.name} has the tag {', '.join(account.more_tags)}: kchat does not end it")
    rows = [["account", "room", "virtual host", "may", "until", "connections"]]
    for account in found:
        may = "set by hand" if account.room is None else _MAY[account.send_only]
        until = "" if account.expires is None else moment(account.expires)
        connections = str(len(management.connections(account.name)))
        names = [spelled(account.name), account.room or "?", account.vhost or "none"]
        rows.append([*names, may, until, connections])
    write_table(rows)


def _admit(settings: Settings, name: str, *, send_only: bool, address: str | None, apply: bool) -> Invitation:
    """Show or run the commands that admit a guest."""
    from kchat.hosting import inviting

    granted, made = inviting.admit(settings, name, send_only=send_only, address=address)
    if granted.steps and not apply:
        write_line("run these commands, or let --apply run them:")
        for step in granted.steps:
            write_line("  " + step.text)
    elif granted.steps:
        with inviting.host_channel(settings, settings.transport.guests.admitting) as channel:
            for step in granted.steps:
                step.run(channel)
                text = step.text if granted.password is None else step.text.replace(granted.password, "***")
                write_line(f"done: {text}")
    for advice in granted.advice:
        write_line(advice)
    if inviting.only_here(made.brokers[0]):
        write_line(
            f"warning: name the broker's address for others with --address, not {made.brokers[0].host}"
        )
    write_line("the guest runs: kchat join -")
    return made


def _picture(line: str) -> str:
    """The QR code for a terminal, two rows of modules in a line, always light on dark."""
    import io
    import os

    import segno

    out = io.StringIO()
    segno.make_qr(line, error="l").terminal(out, compact=True, border=2)
    rows = out.getvalue().splitlines()
    if os.environ.get("NO_COLOR"):
        return "\n".join(rows)
    return "\n".join(f"\x1b[97;40m{row}\x1b[0m" for row in rows)
