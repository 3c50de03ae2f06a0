"""``kchat profile``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kchat.cli.help import Group
from kchat.cli.options import complete_profiles
from kchat.cli.stderr import write_line

if TYPE_CHECKING:
    from kchat.config.profiles import Profile


@click.group(name="profile", cls=Group, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show and choose profiles: the rooms that you have joined with "kchat join".

    "kchat send" and "kchat subscribe" use the profile in use when nothing else names a broker. The order is: --url,
    --profile or --host, KCHAT_URL, KCHAT_PROFILE, the profile in use, the room on this machine.

    \b
    Examples:
      kchat profile list
      kchat profile use lunch
      kchat profile use --none               # back to the room on this machine
      kchat send --profile lunch "Soup"      # just this once
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command(name="list")
def list_() -> None:
    """List the profiles; a star marks the one in use.

    \b
    Examples:
      kchat profile list
    """
    from kchat.cli.table import write_table
    from kchat.config import profiles
    from kchat.message.times import moment

    loaded = profiles.load()
    if not loaded.profiles:
        write_line(f"no profiles in {profiles.path()}: kchat join makes one")
        return
    rows = [["", "profile", "room", "broker", "until"]]
    for profile in loaded.profiles.values():
        star = "*" if profile.name == loaded.use else ""
        until = "" if profile.expires is None else moment(profile.expires)
        rows.append([star, profile.name, profile.room or "chat", _broker(profile), until])
    write_table(rows)


@command.command(short_help="Show a profile, by default the one in use.")
@click.argument("name", required=False, shell_complete=complete_profiles)
def show(name: str | None) -> None:
    """Show a profile, by default the one in use; its password is not shown.

    \b
    Examples:
      kchat profile show
      kchat profile show lunch
    """
    from kchat.cli.table import write_table
    from kchat.config import profiles
    from kchat.errors import SettingsError
    from kchat.message.times import moment

    loaded = profiles.load()
    name = name or loaded.use
    if name is None:
        raise SettingsError("no profile is in use", hint="name one: kchat profile show NAME")
    profile = loaded.find(name)
    secret = "in the system's keyring" if profile.keyring else "in the file" if profile.password else "none"
    rows = [
        ["profile", profile.name + (" (in use)" if profile.name == loaded.use else "")],
        ["file", str(profiles.path())],
        ["broker", _broker(profile)],
        ["room", profile.room or "chat"],
        ["username", profile.username or "the login name"],
        ["password", secret],
        ["may", "send only" if profile.send_only else "send and listen"],
        ["until", "" if profile.expires is None else moment(profile.expires)],
        ["certificate", profile.tls.pin or ""],
        ["CA", profile.tls.ca or ""],
        ["client certificate", profile.tls.cert or ""],
        ["certificate check", "off" if profile.tls.insecure else ""],
    ]
    write_table([row for row in rows if row[1]])


@command.command()
@click.argument("name", required=False, shell_complete=complete_profiles)
@click.option("--none", is_flag=True, help="Use no profile: back to the room on this machine.")
def use(name: str | None, none: bool) -> None:
    """Use a profile from now on.

    \b
    Examples:
      kchat profile use lunch
      kchat profile use --none
    """
    from kchat.hosting import profile_changes

    if none == (name is not None):
        raise click.UsageError("Name a profile, or --none.")
    profile_changes.use(name)
    write_line("no profile is in use" if name is None else f"profile {name} is in use")


@command.command()
@click.argument("name", shell_complete=complete_profiles)
def remove(name: str) -> None:
    """Remove a profile and its password. The account on the broker stays.

    \b
    Examples:
      kchat profile remove lunch
    """
    from kchat.hosting import profile_changes

    profile_changes.remove(name)
    write_line(f"removed profile {name}; its account stays until the room's host revokes it")


def _broker(profile: Profile) -> str:
    """The URL, safe to show even if somebody wrote a password into it by hand."""
    from kchat.config.settings import Broker

    return ";".join(map(str, Broker.parse_all(profile.url)))
