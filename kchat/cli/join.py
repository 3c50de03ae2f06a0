"""``kchat join``."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING

import click

from kchat import errors
from kchat.cli.help import Command
from kchat.cli.options import complete_profiles, connect_timeout_option, refuse_misplaced_urls
from kchat.cli.stderr import write_line

if TYPE_CHECKING:
    from kchat.hosting.invitation import Invitation
    from kchat.hosting.profile_changes import Plan

_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")
_BLANKS = re.compile("[\\s\u2800]{2,}|[^\\S ]|\u2800")
"""Everything blank but a single space, the Braille cell without dots included."""

_NAME_COLUMNS, _VALUE_COLUMNS = 14, 60
"""Columns of a terminal for a row's name, and for its value before it is wrapped."""

_OVERRULING = ("URL", "TRANSPORT", "HOST", "PORT", "VHOST", "PROJECT", "PROFILE")
"""Variables that come before the profile in use, without ``KCHAT_``."""


@click.command(name="join", cls=Command)
@click.argument("invitation", metavar="INVITATION|URL|-")
@click.option(
    "--name",
    metavar="PROFILE",
    help="Name of the profile. Default: the room's name.",
    shell_complete=complete_profiles,
)
@click.option("--yes", "-y", is_flag=True, help="Accept without asking, even if a profile is replaced.")
@click.option("--room", "-r", metavar="NAME", help="The room, if you give a connection URL. Default: chat.")
@connect_timeout_option
def command(
    invitation: str, name: str | None, yes: bool, room: str | None, connect_timeout: float
) -> int | None:
    """Accept an INVITATION from "kchat invite": show what it contains, ask, try to connect, and save it as a profile.

    After that, "kchat send" and "kchat subscribe" use it without further options. "-" reads the invitation from standard
    input, which keeps its password out of the shell's history and the process list. A connection URL works as well. The
    question is asked at the terminal even if standard input is a pipe; scripts use --yes.

    \b
    Examples:
      kchat join -                                    # and paste the invitation
      kchat join --yes - < invitation.txt
      kchat join pubsub://my-project --room lunch --name lunch
    """
    from kchat.config.settings import Settings
    from kchat.hosting import inviting, joining, profile_changes
    from kchat.hosting.invitation import SCHEME, Invitation

    refuse_misplaced_urls()
    text = _from_standard_input() if invitation == "-" else invitation
    if text.strip().strip("<>\"'`").lower().startswith(SCHEME) or "://" not in text:
        if room is not None:
            raise click.UsageError("An invitation names its room; --room is for connection URLs.")
        joined = Invitation.decode(text)
        joining.check(joined)
    else:
        joined = _of_url(text.strip(), room)
        joining.check(joined, by_url=True)
    if invitation != "-" and joined.password is not None:
        write_line(
            "warning: other accounts of this machine can see the arguments of a command, and the shell's history keeps "
            "them: next time kchat join -, and paste the invitation"
        )
    planned = profile_changes.plan(joined, name)
    _show(joined, planned)
    if joined.expired:
        raise errors.NotAuthorised(
            "not authorised: the invitation has expired", hint="ask the room's host for a new one"
        )
    if not yes and not _confirm("Join this room?"):
        write_line("not joined, and nothing was saved")
        return 1
    with inviting.guest_settings(joined, connect_timeout) as settings:
        inviting.try_out(settings, send_only=joined.send_only, tell=write_line)
    profile, kept = profile_changes.join(joined, name, shown=planned)
    write_line(f"it works: saved as profile {profile.name}" + (f", the password {kept}" if kept else ""))
    Settings.resolve(profile=profile.name).unlocked()  # the saved profile can be read
    overruling = [name for each in _OVERRULING if os.environ.get(name := f"KCHAT_{each}")]
    if overruling:
        use = shlex.join(["kchat", "send", f"--profile={profile.name}"])
        write_line(f"warning: {', '.join(overruling)} in the environment comes first: use {use}")
    else:
        write_line('now: kchat send "Hello"' + ("" if joined.send_only else ", and kchat subscribe"))
    return None


def _show(joined: Invitation, planned: Plan) -> None:
    """Say all that an invitation says, and what it changes in an existing profile."""
    from kchat.display.escaping import cautious_cells, take_columns, width
    from kchat.display.escaping import display_name as short
    from kchat.hosting.joining import describe
    from kchat.message.unprintable import escape_unprintable

    # A long name would wrap, and its second line could look like a row.
    where = ";".join(map(str, joined.brokers)) + (", to send only" if joined.send_only else "")
    write_line(f"joining {short(joined.room, _VALUE_COLUMNS)} at {where}")
    rows = [*describe(joined), ("profile", planned.name + (" (new)" if planned.replaces is None else ""))]
    if planned.in_use != planned.name:
        former = "the room on this machine" if planned.in_use is None else f"the profile {planned.in_use}"
        rows.append(("in use", f"from now on, instead of {former}"))
    for change, (before, after) in planned.changes.items():
        rows.append(("CHANGES", f"{change}: from {before} to {after}"))
    for name, value in rows:
        # A value must not look like another row: its only blanks are single spaces, and further lines are marked.
        rest = _BLANKS.sub(lambda found: "␣" * len(found[0]), escape_unprintable(value, keep_newlines=False))
        lead = f"  {name:<{_NAME_COLUMNS}} "
        while rest:
            whole = _FINGERPRINT.match(rest)  # kept in one piece, for comparing
            part = whole[0] if whole else take_columns(rest, _VALUE_COLUMNS, cautious_cells) or rest
            write_line(lead + part)
            rest, lead = rest[len(part) :], "  " + "·" * max(_NAME_COLUMNS, width(name)) + " "


def _confirm(question: str) -> bool:
    """Ask at the terminal itself: standard input may be a file or a pipe. Enter alone, or the end of input, means no."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise errors.SettingsError(
            "nothing was changed: without a terminal the question cannot be asked",
            hint="read what is shown above, and agree to it with --yes",
        ) from None
    with os.fdopen(descriptor, "r+b", buffering=0) as terminal:
        import termios

        # Text pasted after the invitation must not answer the question.
        termios.tcflush(descriptor, termios.TCIFLUSH)
        terminal.write(f"{question} [y/N] ".encode())
        return bytes(terminal.read(1024)).strip().lower() in (b"y", b"yes")


def _from_standard_input() -> str:
    from kchat.hosting.invitation import LONGEST

    if sys.stdin is None:  # closed by the parent process
        raise errors.SettingsError("standard input is closed, so the invitation cannot be read")
    if sys.stdin.isatty():
        return str(click.prompt("Invitation", hide_input=True, err=True))
    try:
        return sys.stdin.read(2 * LONGEST)
    except UnicodeDecodeError:
        return ""  # bytes that are not text are not an invitation either


def _of_url(url: str, room: str | None) -> Invitation:
    from kchat.config.settings import Settings
    from kchat.hosting.invitation import Invitation, check_joined_url

    for part in url.split(";"):
        check_joined_url(part.strip())
    settings = Settings.resolve(url=url, room=room)
    if len({broker.password for broker in settings.brokers}) > 1:
        raise errors.SettingsError("the URLs to join must have the same password")
    return Invitation(settings.brokers, settings.room, settings.broker.password)
