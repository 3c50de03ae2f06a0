"""``kchat archive export``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from kchat.cli.help import Command
from kchat.cli.options import complete_rooms, quiet_option
from kchat.cli.param_types import SINCE, TIME
from kchat.cli.stderr import line_writer

if TYPE_CHECKING:
    from kchat.archive.archive import Archive

FORMATS = ("jsonl", "csv", "parquet")


@click.command(name="export", cls=Command, short_help="Export messages to JSON lines, CSV or Parquet.")
@click.option(
    "--from",
    "--archive",
    "source",
    type=click.Path(),
    metavar="FILE|URL",
    envvar="KCHAT_ARCHIVE",
    show_default="archive.db in your data folder",
    help="The archive: an SQLite file, or clickhouse://user@host:9000/default.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    default="-",
    show_default="standard output",
    help="Where to; a file that is there is replaced. .gz and .zst compress it.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    show_default="by the file's name, else jsonl",
    help="JSON lines, CSV for spreadsheets, or Parquet (needs the extra archive).",
)
@click.option(
    "-r",
    "--room",
    "rooms",
    multiple=True,
    metavar="NAME",
    show_default="all",
    help="Only this room; may be repeated.",
    shell_complete=complete_rooms,
)
@click.option(
    "--since", type=SINCE, metavar="TIME", help="Only from that time on: 30d, 2h, 9:00, 2026-01-31."
)
@click.option("--until", type=TIME, metavar="TIME", help="Only until that time.")
@quiet_option
def command(
    source: str | None,
    output: str,
    form: str | None,
    rooms: tuple[str, ...],
    since: float | None,
    until: float | None,
    quiet: bool,
) -> int:
    """Export an archive's messages to a file, which is there only when it is whole.

    They are by room, each room's in the order of their times. "kchat archive import" makes the same records of JSON lines.

    \b
    Examples:
      kchat archive export -o all.jsonl.gz
      kchat archive export --format csv --since 30d -r chat -o chat.csv
      kchat archive export -o all.parquet
      kchat archive export --since 1d | jq -r .text
    """
    from kchat import archive
    from kchat.archive.exporting import export, format_of
    from kchat.cli import DONE
    from kchat.cli.stream import Progress
    from kchat.client.recording import STANDARD

    form = form or format_of(output)
    if output == STANDARD and form != "jsonl" and sys.stdout.isatty():
        raise click.UsageError(
            f"{form} is not for a terminal: name a file with -o, or send it to another program."
        )
    progress = Progress(show=not quiet, done="exported")
    with archive.open(source) as kept:
        _check_rooms(kept, rooms)
        try:
            count = export(
                kept.records(rooms=rooms, since=_moment(since), until=_moment(until)),
                output,
                form,
                on_progress=progress.update,
            )
        except BrokenPipeError:  # as in "kchat archive export | head -3"; Click would end with 1
            return DONE
        finally:
            progress.clear()
        target = "standard output" if output == STANDARD else output
        many = "1 message" if count == 1 else f"{count:,} messages"
        line_writer(quiet)(f"{many} exported from {kept.where} to {target}")
    return DONE


def _check_rooms(kept: Archive, rooms: tuple[str, ...]) -> None:
    if not rooms:
        return
    there = kept.rooms()
    for room in rooms:
        if room not in there:
            raise click.UsageError(
                f"{kept.where} has no room {room!r}; it has: {', '.join(there) or 'none'}."
            )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
