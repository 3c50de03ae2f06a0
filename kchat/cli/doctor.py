"""``kchat doctor``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import click

from kchat.cli.administrator import management_option, warn_in_clear
from kchat.cli.flags import with_flags
from kchat.cli.help import Command
from kchat.cli.options import broker_options, confirm_timeout_option, to_settings

if TYPE_CHECKING:
    from kchat.doctor import Finding, Options

_SIGNS = {
    "ok": ("✓", "green"),
    "note": ("!", "yellow"),
    "wrong": ("✗", "red"),
    "skipped": ("\N{EN DASH}", None),
}


@click.command(name="doctor", cls=Command)
@broker_options
@confirm_timeout_option
@click.option("--only", type=click.Choice(["send", "subscribe"]), help="Check only what this command needs.")
@click.option(
    "--send-test", is_flag=True, help="Send a test message, which everyone in the room sees, and receive it."
)
@management_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def command(
    only: Literal["send", "subscribe"] | None,
    send_test: bool,
    management_url: str | None,
    as_json: bool,
    **broker: Any,
) -> int:
    """Check each step from this machine to a room, and print what is wrong and how to fix it.

    Nobody in the room notices, except with --send-test. The exit code is 1 if something is wrong.

    \b
    Examples:
      kchat doctor
      kchat doctor --host broker.example --rmq-username ada --ask-password
      kchat doctor --url amqps://logger@broker.example/ -W --only send
      kchat doctor --json | jq .first
    """
    from kchat.cli import DONE, FAILED
    from kchat.doctor import Options, Status

    findings: list[Finding] = []
    for finding in _findings(broker, Options(only, send_test, management_url)):
        if not as_json:
            _show(finding, findings[-1].broker if findings else "")
        findings.append(finding)
    bad = [finding for finding in findings if finding.status is Status.WRONG]
    if as_json:
        first = _as_json(bad[0]) if bad else None
        click.echo(json.dumps({"ok": not bad, "first": first, "findings": [*map(_as_json, findings)]}))
    elif bad:
        click.echo(f"wrong: {', '.join(dict.fromkeys(finding.check for finding in bad))}")
    elif any(finding.check == "round trip" and finding.status is Status.OK for finding in findings):
        click.echo("everything works: a message made the round trip")
    else:
        click.echo("nothing wrong was found")
    return FAILED if bad else DONE


def _findings(broker: dict[str, Any], options: Options) -> Iterator[Finding]:
    from kchat.config.masking import mask
    from kchat.doctor import Finding, Status, diagnose
    from kchat.errors import KchatError, SettingsError

    try:
        settings = to_settings(**broker).unlocked()
    except SettingsError as error:
        yield Finding(Status.WRONG, mask(str(error)), mask(with_flags(error.hint)), check="settings")
        return
    if options.management_url is not None:
        with suppress(KchatError):  # the findings say why
            warn_in_clear(settings.transport.guests.management(settings, options.management_url))
    yield from diagnose(settings, options)


def _show(finding: Finding, shown: str) -> None:
    """A finding as a line, below its broker unless that is shown; signs and colours on a terminal, words elsewhere."""
    if finding.broker != shown:
        click.echo(_one_line(finding.broker))
    sign, colour = _SIGNS[finding.status.value]
    label, indent, arrow = f"{finding.status.value:<7}", " " * 7, "->"
    if sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf"):
        indent, arrow = " ", "→"
        label = sign if colour is None or os.environ.get("NO_COLOR") else click.style(sign, fg=colour)
    click.echo(f"  {label} {finding.check:<10}  {_one_line(finding.text)}")
    if finding.hint:
        click.echo(f"  {indent} {'':<10}  {arrow} {_one_line(with_flags(finding.hint))}")


def _one_line(text: str) -> str:
    from kchat.message.unprintable import escape_unprintable

    return " ".join(escape_unprintable(text, keep_newlines=False).split())


def _as_json(finding: Finding) -> dict[str, str | float]:
    names = ("broker", "check", "status", "text", "hint", "seconds")
    return {name: getattr(finding, name) for name in names} | {"hint": with_flags(finding.hint)}
