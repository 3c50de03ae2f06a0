"""``kchat stats``."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kchat.archive.store import MOST_ROWS
from kchat.archive.store import SECONDS as QUERY_SECONDS
from kchat.cli.help import Command
from kchat.cli.options import COLOR, color_option, quiet_option, refuse_misplaced_urls, room_option
from kchat.cli.param_types import SECONDS, ZONE, Moment, whole_number
from kchat.cli.stderr import line_writer
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kchat.archive.archive import Archive
    from kchat.archive.span import Zone
    from kchat.archive.stats import Stats

_WATCH = 5.0
"""Seconds from one reading of the archive to the next one, unless said otherwise."""

_TOGETHER = 500
"""Lines that are written at once."""

_LAST = 32_503_679_999
"""The last second of the year 2999, UNIX seconds: no message is later."""

_APART = {
    "--json": ("--csv",),
    "--watch": ("--json", "--csv", "--html", "--png"),
    "--all-rooms": ("--room",),
    "--query": (
        *(
            "--watch",
            "--html",
            "--png",
            "--words",
            "--since",
            "--until",
            "--room",
            "--all-rooms",
            "--timezone",
        ),
        "--top",
    ),
}
"""Options that have no effect together."""


def _local_zone() -> str:
    from kchat.archive.span import local_zone

    return local_zone()


@click.command(name="stats", cls=Command)
@click.option(
    "--archive",
    "archive_name",
    type=click.Path(),
    metavar="FILE|URL",
    envvar="KCHAT_ARCHIVE",
    show_default="archive.db in your data folder",
    help="The archive: an SQLite file, or clickhouse://user@host:9000/default.",
)
@click.option("--all-rooms", is_flag=True, help="All rooms of the archive together.")
@click.option(
    "--timezone",
    "zone",
    type=ZONE,
    is_eager=True,  # --since and --until are by its clocks
    default=_local_zone,
    metavar="NAME",
    show_default="this machine's",
    help="Time zone of days, hours and times, also of --since and --until: Europe/Berlin, UTC.",
)
@click.option(
    "--top",
    type=whole_number(1, 1000),
    metavar="N",
    default=10,
    show_default=True,
    help="Length of each list.",
)
@click.option("--words", is_flag=True, help="Also count words; this reads every text.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: a row for each figure.")
@click.option("--html", metavar="FILE", help="Write a report as one HTML file; - for standard output.")
@click.option("--png", metavar="FILE", help="Write a report as a picture; needs matplotlib.")
@click.option(
    "--watch",
    type=SECONDS,
    metavar="[SECONDS]",
    is_flag=False,
    flag_value=_WATCH,
    help=f"Draw it again as messages come, every {_WATCH:g} seconds unless you say otherwise.",
)
@click.option("--query", metavar="SQL", help="Ask the archive a question of your own; it can change nothing.")
@click.option(
    "--query-rows",
    type=whole_number(1, 10_000_000),
    metavar="N",
    default=MOST_ROWS,
    show_default=True,
    help="Maximum number of rows of its answer.",
)
@click.option(
    "--query-timeout",
    type=SECONDS,
    metavar="SECONDS",
    default=QUERY_SECONDS,
    show_default=True,
    help="Maximum time for it.",
)
@click.option(
    "--since",
    type=Moment("zone", past=True),
    metavar="TIME",
    help="Only from that time on: 7d, 2h, 9:00, 2026-01-31.",
)
@click.option("--until", type=Moment("zone"), metavar="TIME", help="Only until that time.")
@room_option
@color_option
@quiet_option
def command(
    archive_name: str | None,
    all_rooms: bool,
    zone: Zone,
    top: int,
    words: bool,
    as_json: bool,
    as_csv: bool,
    html: str | None,
    png: str | None,
    watch: float | None,
    query: str | None,
    query_rows: int,
    query_timeout: float,
    since: Callable[[], float] | None,
    until: Callable[[], float] | None,
    rooms: tuple[str, ...],
    color: str,
    quiet: bool,
    **_: Any,
) -> int:
    """Show who said how much and when, from an archive that "kchat archive" keeps.

    It is about your room, or those that you name. Times are in this machine's time zone.

    \b
    Examples:
      kchat stats
      kchat stats --since 7d --room chat --room ops
      kchat stats --json | jq -r '.top[].username'
      kchat stats --html report.html
      kchat stats --watch
      kchat stats --query "SELECT count(*) FROM user_messages"
    """
    from kchat import archive

    refuse_misplaced_urls()
    _check()
    tell = line_writer(quiet)
    with archive.open(archive_name) as kept:
        if query is not None:
            return _ask(kept, query, query_rows, query_timeout, as_json, as_csv, color, tell)
        chosen = _rooms(kept, rooms, every=all_rooms, tell=tell)

        def read() -> Stats:
            return kept.stats(
                rooms=chosen, since=_moment(since), until=_moment(until), zone=zone.name, top=top, words=words
            )

        if watch is not None:
            from kchat.cli.stats_watch import Reading, watch_archive

            # A time that moves on is another one each time.
            version: Callable[[], object] = kept.rooms if since is None and until is None else object
            return watch_archive(Reading(read, version), watch, COLOR[color])
        stats = read()
    if html is not None or png is not None:
        from kchat.cli.stats_files import write_reports

        if "-" not in (html, png):
            write_reports(stats, html, png, tell)
        elif as_json or as_csv:
            raise SettingsError("only one thing can go to standard output")
        else:
            _write(lambda: write_reports(stats, html, png, tell))
    if as_json or as_csv or (html is None and png is None):
        _write_lines(_lines(stats, as_json=as_json, as_csv=as_csv, color=COLOR[color]))
    return 0


def _check() -> None:
    """Refuse options that have no effect together.

    Raises:
        kchat.errors.SettingsError: there are some.
    """
    context = click.get_current_context()
    given = {
        flag
        for option in context.command.params
        for flag in option.opts
        if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    }
    if alone := {"--query-rows", "--query-timeout"} & given if "--query" not in given else ():
        raise SettingsError(f"{min(alone)} has no effect without --query")
    for one, others in _APART.items():
        if one in given and (both := [each for each in others if each in given]):
            raise SettingsError(f"{one} and {both[0]} exclude each other")


def _ask(
    kept: Archive,
    query: str,
    most: int,
    seconds: float,
    as_json: bool,
    as_csv: bool,
    color: str,
    tell: Callable[[str], object],
) -> int:
    from kchat.cli.stats_query import answer_lines

    answer = kept.query(query, most_rows=most, seconds=seconds)
    _write_lines(answer_lines(answer, as_json=as_json, as_csv=as_csv, color=COLOR[color]))
    if answer.more:
        tell(f"these are the first {len(answer.rows):,} rows; --query-rows gets more")
    return 0


def _write_lines(lines: Iterable[str]) -> None:
    from kchat.display.output import Output

    def write() -> None:
        output = Output(sys.stdout)
        for number, line in enumerate(lines, 1):
            output.write(line)
            if number % _TOGETHER == 0:
                output.flush()
        output.flush()

    _write(write)


def _write(write: Callable[[], object]) -> None:
    """Write to standard output; that nobody reads any more is no error, as in "kchat stats | head".

    Raises:
        kchat.errors.SettingsError: it is closed.
        OSError: it cannot be written to.
    """
    if sys.stdout is None:
        raise SettingsError("standard output is closed, so there is nowhere to write")
    with suppress(BrokenPipeError):  # of which Click would make the exit code 1
        write()


def _lines(stats: Stats, *, as_json: bool, as_csv: bool, color: bool | None) -> Iterator[str]:
    """The figures; for people as wide as the terminal is, or for 80 columns where there is none."""
    if as_json:
        yield json.dumps(stats.to_json(), indent=2 if sys.stdout.isatty() else None) + "\n"
        return
    if as_csv:
        from kchat.archive import tidy

        yield from tidy.to_csv(tidy.Row._fields, tidy.rows(stats))
        return
    from kchat.archive.terminal import glyphs_for, report
    from kchat.display.output import Output

    output = Output(sys.stdout)
    colored = output.color if color is None else color
    columns, _ = output.size() or (80, 24)
    # A terminal without colours still has bold and faint text.
    styled = colored or output.is_styled
    for line in report(stats, columns, styled=styled, color=colored, glyphs=glyphs_for(output)):
        yield f"{line}\n"


def _moment(time: Callable[[], float] | None) -> datetime | None:
    return None if time is None else datetime.fromtimestamp(min(time(), _LAST), UTC)


def _rooms(
    kept: Archive, given: tuple[str, ...], *, every: bool, tell: Callable[[str], object]
) -> tuple[str, ...]:
    """The rooms to count; empty for all. Says which where that may be a surprise."""
    from kchat.message.amounts import listed

    there = kept.rooms()
    if every or not there:
        return () if every else given
    known = listed(list(there))
    if given:
        if missing := [room for room in given if room not in there]:
            tell(f"the archive has no messages of {listed(missing)}; it has the rooms {known}")
        return given
    own = _own_room()
    if own not in there:
        if list(there) != [own]:
            tell(f"the archive has no messages of the room {own}: this is about {known}")
        return ()
    if len(there) > 1:
        tell(f"the archive has {len(there)} rooms, this is about {own}; --all-rooms counts them all")
    return (own,)


def _own_room() -> str:
    """The room that other commands use: the profile's, else the default one."""
    from kchat.config import profiles
    from kchat.config.settings import DEFAULT_ROOM

    profile = None if os.environ.get("KCHAT_URL") else profiles.chosen(os.environ)
    return (profile and profile.room) or DEFAULT_ROOM
