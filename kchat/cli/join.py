"""``kchat join``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from kchat import errors
from kchat.cli.say import speaker

if TYPE_CHECKING:
    from kchat.invitation import Invitation

_OVERRULING = ("KCHAT_URL", "KCHAT_TRANSPORT", "KCHAT_HOST", "KCHAT_PORT", "KCHAT_VHOST", "KCHAT_PROJECT")


@click.command(name="join", short_help="Accept an invitation.")
@click.argument("invitation", metavar="INVITATION|URL|-")
@click.option("--name", metavar="PROFILE", help="What to call the profile. Default: the room's name.")
@click.option("--room", help="The room, where a connection URL is given. Default: chat.")
@click.option(
    "--connect-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    envvar="KCHAT_CONNECT_TIMEOUT",
    show_envvar=True,
    help="How long a broker may take to answer.",
)
def command(invitation: str, name: str | None, room: str | None, connect_timeout: float) -> None:
    """Accept an INVITATION of "kchat invite": shows where it leads, tries it, and stores it as a profile.

    From then on "kchat send" and "kchat subscribe" use it, with no options. With "-" the invitation is read from
    standard input, which keeps its password out of the shell's history. The URL of any broker is taken as well.

    \b
    Examples:
      kchat join -                                       # and paste the invitation
      kchat join - < invitation.txt
      kchat join pubsub://my-project --room lunch --name lunch
    """
    from kchat import profiles, sharing
    from kchat.invitation import SCHEME, Invitation, moment
    from kchat.settings import Settings

    say = speaker(quiet=False)
    text = _from_standard_input() if invitation == "-" else invitation
    if text.strip().strip("<>\"'`").lower().startswith(SCHEME) or "://" not in text:
        if room is not None:
            raise click.UsageError("An invitation names its room; --room goes with a connection URL.")
        joined = Invitation.decode(text)
    else:
        joined = _of_url(text.strip(), room)
    say(f"joining {joined}" + (", to send only" if joined.send_only else ""))
    if joined.expires is not None:
        say(f"the account ends at {moment(joined.expires)}")
    if joined.expired:
        raise errors.NotAuthorised(
            "not authorised: the invitation has expired", hint="ask the room's host for a new one"
        )
    if joined.tls_pin:
        say(f"the server has to have the certificate {joined.tls_pin}")
    elif joined.tls_ca:
        say("the server's certificate has to come from the invitation's own CA")
    with sharing.guest_settings(joined, connect_timeout) as settings:
        sharing.try_out(settings, send_only=joined.send_only, tell=say)
    profile, kept = profiles.join(joined, name)
    say(f"it works. Stored as profile {profile.name}" + (f", the password {kept}" if kept else ""))
    Settings.resolve(profile=profile.name)  # what was stored can be read
    overruling = [variable for variable in _OVERRULING if os.environ.get(variable)]
    if overruling:
        say(
            f"warning: {', '.join(overruling)} in the environment comes first: use kchat send --profile {profile.name}"
        )
    else:
        say('now: kchat send "Hello"' + ("" if joined.send_only else ", and kchat subscribe"))


def _from_standard_input() -> str:
    from kchat.invitation import LONGEST

    if sys.stdin.isatty():
        return str(click.prompt("Invitation", hide_input=True, err=True))
    return sys.stdin.read(2 * LONGEST)


def _of_url(url: str, room: str | None) -> Invitation:
    from kchat.invitation import Invitation
    from kchat.settings import Settings

    settings = Settings.resolve(url=url, room=room, environ={})
    return Invitation(settings.brokers, settings.room, settings.broker.password)
