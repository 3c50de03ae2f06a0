"""``kchat invite``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kchat.cli.administrator import administrator, management_option, tell_removed
from kchat.cli.help import Command
from kchat.cli.options import broker_options_of_rooms, to_settings
from kchat.cli.param_types import DURATION, whole_number
from kchat.cli.stderr import write_line
from kchat.cli.table import write_table
from kchat.cli.web_guests import (
    invite_to_page,
    public_url_option,
    show_picture,
    store_option,
    table_of_guests,
)
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.hosting.invitation import Invitation
    from kchat.transports.guests import Administration
    from kchat.web.inviting import Wanted

_MAY = {False: "send and listen", True: "send only"}
"""What an account may do, by whether it is ``send_only``."""


@click.command(name="invite", cls=Command)
@click.argument("name", required=False)
@click.option("--web", is_flag=True, help="Print a link to the page of kchat serve.")
@click.option("--token", is_flag=True, help="Print a bearer token for a program, for kchat serve.")
@click.option("--send-only", is_flag=True, help="The guest can send, but not receive.")
@click.option(
    "--expires", type=DURATION, metavar="TIME", help="End it after 30m, 24h, 7d (RabbitMQ, or --web)."
)
@click.option(
    "--address",
    metavar="HOST[:PORT]|URL",
    envvar="KCHAT_ADDRESS",
    show_default="yours",
    help="The broker's address for guests.",
)
@click.option("--qr", is_flag=True, help="Show the invitation or the link as a QR code, too.")
@click.option(
    "--list", "show_list", is_flag=True, help="List the accounts that kchat made, and the guests of the page."
)
@click.option("--apply", is_flag=True, help="Run those commands (Pub/Sub, Redis).")
@click.option(
    "--max-connections",
    type=whole_number(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Maximum of the guest's connections.",
)
@public_url_option
@store_option
@management_option
@broker_options_of_rooms
def command(
    name: str | None,
    web: bool,
    token: bool,
    send_only: bool,
    expires: float | None,
    address: str | None,
    qr: bool,
    show_list: bool,
    apply: bool,
    max_connections: int,
    public_url: str | None,
    store: Path | None,
    management_url: str | None,
    rooms: tuple[str, ...],
    **broker: Any,
) -> None:
    """Create the account NAME for a guest of a room, and print an invitation.

    The invitation is one line. It contains the account's password and is shown only once; the guest passes it to
    "kchat join". Log in as an administrator.

    On Pub/Sub, NAME is an e-mail address or another principal; on Redis, an account. The commands that admit the guest
    are printed, or run with --apply.

    With --web, the guest needs only a browser: the link opens the page of "kchat serve" once, and the account's
    password stays with the server. --token is the same for a program. A guest who exists gets another one.

    \b
    Examples:
      kchat invite ada --host localhost --rmq-username rmq -W --address me.example
      kchat invite logger --send-only --expires 24h --qr
      kchat invite --list
      kchat invite grace --web --expires 7d
      kchat invite ada@example.com --project my-project --apply
    """
    from kchat.message.lookalikes import normalised
    from kchat.transports.guests import check_account_name
    from kchat.web.inviting import Wanted

    if show_list == (name is not None):
        raise click.UsageError("Name a guest, or use --list.")
    _check_combination(rooms, web=web, token=token, qr=qr)
    settings = to_settings(**broker)
    if name is None:
        return _list(settings, management_url, store)
    until = None if expires is None else int(time.time() + expires)
    wanted = Wanted(normalised(name), rooms, send_only, until, max_connections)
    if web or token or settings.transport.guests.makes_accounts:
        check_account_name(wanted.name)  # before anything is contacted
    if web or token:
        management = _administrator(settings, management_url)
        line = invite_to_page(
            settings,
            wanted,
            management,
            store_file=store,
            public_url=public_url,
            apply=apply,
            token=token,
        )
    elif settings.transport.guests.makes_accounts:
        line = _make(settings, wanted, management_url, address)
    else:
        if expires is not None:
            raise _no_accounts(settings, "ends no accounts in time")
        line = _admit(settings, name, send_only=send_only, address=address, apply=apply).encode()
    click.echo(line)
    return show_picture(line) if qr else None


def _check_combination(rooms: tuple[str, ...], *, web: bool, token: bool, qr: bool) -> None:
    if web and token:
        raise click.UsageError("--web prints a link and --token a token: choose one of them.")
    if token and qr:
        raise click.UsageError("--qr shows an invitation or a link.")
    if not (web or token):
        if len(rooms) > 1:
            raise click.UsageError("An invitation is for one room.")
        return
    typed = click.get_current_context().get_parameter_source("address") is ParameterSource.COMMANDLINE
    if typed:
        raise click.UsageError("--address is the broker's, for kchat join; the page's is --public-url.")


def _no_accounts(settings: Settings, what: str) -> SettingsError:
    guests = settings.transport.guests
    return SettingsError(f"kchat {what} on {guests.name}", hint=guests.ending)


def _make(settings: Settings, wanted: Wanted, management_url: str | None, address: str | None) -> str:
    """Make an account; returns the invitation."""
    from kchat.hosting import inviting

    management = administrator(settings, management_url)
    management.remove_expired(tell_removed)
    made = inviting.invite(
        management,
        settings,
        wanted.name,
        address=address,
        send_only=wanted.send_only,
        expires=None if wanted.expires is None else int(wanted.expires),
        max_connections=wanted.max_connections,
    )
    _tell(made, management.warnings(str(made.account), send_only=wanted.send_only))
    return made.encode()


def _administrator(settings: Settings, management_url: str | None) -> Administration | None:
    if not settings.transport.guests.makes_accounts:
        return None
    management = administrator(settings, management_url)
    management.remove_expired(tell_removed)
    return management


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


def _list(settings: Settings, management_url: str | None, store: Path | None) -> None:
    if not settings.transport.guests.makes_accounts:
        table = table_of_guests(settings, store, None)
        if not table:
            raise _no_accounts(settings, "lists no accounts")
        return write_table(table)
    _list_accounts(settings, management_url, store)
    return None


def _list_accounts(settings: Settings, management_url: str | None, store: Path | None) -> None:
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
    table = table_of_guests(settings, store, management)
    if len(table) > 1:
        click.echo()
        write_table(table)


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
