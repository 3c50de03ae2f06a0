"""``kchat invite``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.administrator import administrator, management_option, tell_removed
from kchat.cli.help import Command
from kchat.cli.options import broker_options, to_settings
from kchat.cli.param_types import DURATION, whole_number
from kchat.cli.stderr import can_show, write_line

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.hosting.invitation import Invitation
    from kchat.transports.guests import Account, Administration

_MEMBER, _SENDER = "send and listen", "send only"


@click.command(name="invite", cls=Command)
@click.argument("name", required=False)
@click.option("--send-only", is_flag=True, help="The guest can send, but not receive.")
@click.option(
    "--expires",
    type=DURATION,
    metavar="TIME",
    help="Delete the account after 30m, 24h, 7d (RabbitMQ).",
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
    if show_list == (name is not None):
        raise click.UsageError("Name a guest, or use --list.")
    settings = to_settings(**broker)
    if not settings.transport.guests.makes_accounts:
        if name is None or expires is not None:
            raise click.UsageError("Only RabbitMQ's accounts can be listed or have an expiry.")
        line = _grant(settings, name, send_only=send_only, address=address, apply=apply)
    elif name is None:
        return _list(settings, management_url)
    else:
        until = None if expires is None else int(time.time() + expires)
        line = _account(settings, name, management_url, address, send_only, until, max_connections)
    click.echo(line)
    if qr and can_show("▀▄█", sys.stderr):
        click.echo(_picture(line), err=True)
    elif qr:
        write_line("no QR code: this terminal's encoding lacks the characters for it")
    return None


def _account(
    settings: Settings,
    name: str,
    management_url: str | None,
    address: str | None,
    send_only: bool,
    expires: int | None,
    max_connections: int,
) -> str:
    """Make the account, and say what it is; returns the invitation's line."""
    from kchat.hosting import inviting
    from kchat.message.lookalikes import normalised
    from kchat.transports.guests import check_account_name

    name = normalised(name)
    check_account_name(name)
    management = administrator(settings, management_url)
    management.remove_expired(tell_removed)
    brokers = inviting.guest_brokers(settings, address, name)
    # Errors are found before there is an account.
    inviting.invitation(settings, brokers, None).encode()
    inviting.declare_room(settings)
    password = management.create(
        settings, name, send_only=send_only, expires=expires, max_connections=max_connections
    )
    made = inviting.invitation(settings, brokers, password, send_only=send_only, expires=expires)
    _tell(made)
    for warning in management.warnings(name, send_only=send_only):
        write_line(warning)
    return made.encode()


def _tell(made: Invitation) -> None:
    from kchat.hosting import inviting
    from kchat.message.times import moment

    until = "" if made.expires is None else f", until {moment(made.expires)}"
    write_line(f"{made.account} may {_SENDER if made.send_only else _MEMBER} in {made}{until}")
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


def _list(settings: Settings, management_url: str | None) -> None:
    from kchat.cli.table import write_table
    from kchat.hosting import inviting

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
    header = ["account", "room", "virtual host", "may", "until", "connections"]
    write_table([header, *(_row(account, management) for account in found)])


def _row(account: Account, management: Administration) -> list[str]:
    from kchat.message.lookalikes import spelled
    from kchat.message.times import moment

    may = _SENDER if account.send_only else _MEMBER
    return [
        spelled(account.name),
        account.room or "?",
        account.vhost or "none",
        "set by hand" if account.room is None else may,
        "" if account.expires is None else moment(account.expires),
        str(len(management.connections(account.name))),
    ]


def _grant(settings: Settings, name: str, *, send_only: bool, address: str | None, apply: bool) -> str:
    """Show or run the commands that admit a guest; returns the invitation's line."""
    from kchat.hosting import inviting

    guests = settings.transport.guests
    granted = guests.admit(settings, name, send_only=send_only)
    brokers = inviting.guest_brokers(settings, address, granted.account)
    made = inviting.invitation(settings, brokers, granted.password, send_only=send_only)
    line = made.encode()
    if granted.needs_room:
        inviting.declare_room(settings)
    if granted.steps and not apply:
        write_line("run these commands, or let --apply run them:")
        for step in granted.steps:
            write_line("  " + step.text)
    elif granted.steps:
        with inviting.host_channel(settings, guests.admitting) as channel:
            for step in granted.steps:
                step.run(channel)
                text = step.text if granted.password is None else step.text.replace(granted.password, "***")
                write_line(f"done: {text}")
    for advice in granted.advice:
        write_line(advice)
    if inviting.only_here(brokers[0]):
        write_line(f"warning: name the broker's address for others with --address, not {brokers[0].host}")
    write_line("the guest runs: kchat join -")
    return line


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
