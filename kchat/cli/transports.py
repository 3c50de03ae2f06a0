"""``kchat transports``."""

from __future__ import annotations

import click

from kchat.transports import TRANSPORTS, Abilities


def table() -> list[list[str]]:
    """The registry as rows of text, the header first."""
    rows = [
        [
            "transport",
            "URL",
            "installed",
            *(name.replace("_", " ") for name in Abilities.__dataclass_fields__),
        ]
    ]
    for info in TRANSPORTS.values():
        installed = "yes" if info.installed else info.install_command
        rows.append(
            [
                info.name,
                info.url_form,
                installed,
                *("yes" if able else "no" for _, able in info.abilities.items()),
            ]
        )
    return rows


@click.command(name="transports", short_help="Show which brokers kchat can use.")
def command() -> None:
    """Show which brokers kchat can use, how to name them, and what each can do.

    \b
    Examples:
      kchat transports
    """
    rows = table()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo()
    for info in TRANSPORTS.values():
        click.echo(f"{info.name}: {info.note}")
