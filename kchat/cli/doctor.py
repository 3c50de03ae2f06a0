"""``kchat doctor``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import click

from kchat.cli.administrator import management_option, warn_in_clear
from kchat.cli.flags import with_flags
from kchat.cli.help import Command
from kchat.cli.options import broker_options, confirm_timeout_option, to_settings

if TYPE_CHECKING:
    from kchat.config.settings import Settings
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
@click.option(
    "--only",
    type=click.Choice(["send", "subscribe"]),
    help="Check only what this command needs.",
)
@click.option(
    "--send-test",
    is_flag=True,
    help="Send a test message, which everyone in the room sees, and receive it.",
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
    from kchat.config.masking import mask
    from kchat.doctor import Finding, Options, Status
    from kchat.errors import KchatError, SettingsError

    report = _Json() if as_json else _Lines()
    findings: list[Finding] = []
    try:
        settings = to_settings(**broker)
    except SettingsError as error:
        findings.append(
            Finding(Status.WRONG, mask(str(error)), mask(with_flags(error.hint)), check="settings")
        )
        report.show(findings[0])
    else:
        if management_url is not None:
            with suppress(KchatError):  # the findings say why
                warn_in_clear(settings.transport.guests.management(settings, management_url))
        findings += _walk(settings, Options(only, send_test, management_url), report.show)
    bad = [finding for finding in findings if finding.status is Status.WRONG]
    report.end(findings, bad)
    return FAILED if bad else DONE


def _walk(settings: Settings, options: Options, show: Callable[[Finding], None]) -> list[Finding]:
    from kchat.doctor import diagnose

    findings = []
    for finding in diagnose(settings, options):
        show(finding)
        findings.append(finding)
    return findings


class _Lines:
    """A line for each finding, as it is made; signs and colours on a terminal, words elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")
        self._coloured = not os.environ.get("NO_COLOR")
        self._broker = ""

    def show(self, finding: Finding) -> None:
        """Show one."""
        from kchat.message.unprintable import escape_unprintable

        if finding.broker != self._broker:
            self._broker = finding.broker
            click.echo(escape_unprintable(finding.broker, keep_newlines=False))
        sign, colour = _SIGNS[finding.status.value]
        label = sign if self._terminal else f"{finding.status.value:<7}"
        if self._terminal and self._coloured and colour is not None:
            label = click.style(sign, fg=colour)
        text = " ".join(escape_unprintable(finding.text, keep_newlines=False).split())
        click.echo(f"  {label} {finding.check:<10}  {text}")
        if finding.hint:
            hint = " ".join(escape_unprintable(with_flags(finding.hint), keep_newlines=False).split())
            click.echo(
                f"  {' ' if self._terminal else ' ' * 7} {'':<10}  {'→' if self._terminal else '->'} {hint}"
            )

    def end(self, findings: list[Finding], bad: list[Finding]) -> None:
        """Sum up."""
        if bad:
            click.echo(f"wrong: {', '.join(dict.fromkeys(finding.check for finding in bad))}")
        elif any(finding.check == "round trip" and finding.status.value == "ok" for finding in findings):
            click.echo("all is well: a message made the round trip")
        else:
            click.echo("nothing wrong was found")


class _Json:
    """One JSON object at the end."""

    def show(self, finding: Finding) -> None:
        """Nothing yet."""

    def end(self, findings: list[Finding], bad: list[Finding]) -> None:
        """Write it: ``ok``, ``first`` (what is wrong, or null) and ``findings``."""
        rows = [
            {
                "broker": finding.broker,
                "check": finding.check,
                "status": finding.status.value,
                "text": finding.text,
                "hint": with_flags(finding.hint),
                "seconds": finding.seconds,
            }
            for finding in findings
        ]
        first = rows[findings.index(bad[0])] if bad else None
        click.echo(json.dumps({"ok": not bad, "first": first, "findings": rows}))
