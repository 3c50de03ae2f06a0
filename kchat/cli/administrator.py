"""The host's administrator account, by which guests' accounts are made, listed and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kchat.cli.stderr import write_line

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.transports.guests import Account, Administration

management_option = click.option(
    "--management-url",
    metavar="URL",
    envvar="KCHAT_MANAGEMENT_URL",
    show_default="port + 10,000",
    help="RabbitMQ's management API.",
)


def administrator(settings: Settings, management_url: str | None) -> Administration:
    """The administrator's access.

    Raises:
        kchat.errors.NotAuthorised: the account is not an administrator.
        kchat.errors.SettingsError: there is no such API, the settings name no account, or the plug-in is unfinished.
    """
    from kchat.errors import SettingsError
    from kchat.transports.guests import Administration

    management = settings.transport.guests.management(settings, management_url)
    if missing := [name for name in vars(Administration) if name[0] != "_" and not hasattr(management, name)]:
        raise SettingsError(
            f"the plug-in {settings.transport.name!r} cannot make accounts: its administration has no {', '.join(missing)}"
        )
    warn_in_clear(management)
    management.require_administrator()
    return management


def warn_in_clear(management: Administration) -> None:
    """Warn if the administrator's password is about to go over a network unencrypted."""
    if management.in_clear:
        write_line(
            f"kchat: warning: {management.url} is not encrypted: the account's password can be read on its way there; "
            "use https://, or an SSH tunnel to the broker's machine"
        )


def tell_removed(account: Account) -> None:
    """Say that an account was removed."""
    from kchat.message.times import moment

    write_line(f"removed {account.name}, which expired at {moment(account.expires or 0)}")
