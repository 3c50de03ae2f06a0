"""``kchat archive import``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kchat.cli.help import Command
from kchat.cli.options import complete_rooms, quiet_option
from kchat.cli.stderr import line_writer, write_line

if TYPE_CHECKING:
    from kchat.archive.importing import Imported
    from kchat.archive.store import Store
    from kchat.cli.stream import Progress
    from kchat.client.json_lines import Damage

_MOST_TOLD = 10
"""Maximum number of damaged lines of a file that are told each by itself."""


@click.command(name="import", cls=Command, short_help="Import messages from files of JSON lines.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--to",
    "--archive",
    "target",
    type=click.Path(),
    metavar="FILE|URL",
    envvar="KCHAT_ARCHIVE",
    show_default="archive.db in your data folder",
    help="The archive: an SQLite file, or clickhouse://user@host:9000/default.",
)
@click.option(
    "-r",
    "--room",
    "room",
    metavar="NAME",
    help="The room of lines that name none.",
    shell_complete=complete_rooms,
)
@quiet_option
def command(files: tuple[str, ...], target: str | None, room: str | None, quiet: bool) -> int:
    """Import messages from files of JSON lines: of kchat record, kchat subscribe --mode json, or kchat archive export.

    What is there already stays as it is, so a file can be imported again. A line that cannot be read is told and left out,
    with exit code 1 at the end. A name that ends in .gz or .zst is decompressed; "-" is standard input.

    \b
    Examples:
      kchat archive import day.jsonl
      kchat archive import --to archive.db 2026-*.jsonl.gz
      kchat subscribe --mode json --since 1d --no-follow | kchat archive import -r chat -
    """
    from kchat.archive.opening import open_store
    from kchat.cli import DONE, FAILED

    damaged = 0
    with open_store(target, write=True) as store:
        for file in files:
            damaged += _import(store, file, room, quiet=quiet).damaged
    return FAILED if damaged else DONE


def _import(store: Store, file: str, room: str | None, *, quiet: bool) -> Imported:
    from kchat.archive.importing import import_file
    from kchat.cli.stream import Progress
    from kchat.client.recording import STANDARD

    name = "standard input" if file == STANDARD else file
    shares: list[float | None] = [None]
    progress = Progress(
        show=not quiet,
        more=lambda _: "" if shares[0] is None else f", {shares[0]:.0%} of the file",
        done="imported",
    )
    damage = _Damage(name, progress)

    def on_progress(counts: Imported, share: float | None) -> None:
        shares[0] = share
        progress.update(counts.messages)

    try:
        found = import_file(store, file, room=room, on_damage=damage.tell, on_progress=on_progress)
    finally:
        progress.clear()
    damage.end()
    line_writer(quiet)(_summary(name, found, store.where))
    return found


def _summary(name: str, found: Imported, where: str) -> str:
    parts = [f"{name}: {_messages(found.new)} imported to {where}"]
    if known := found.messages - found.new:
        parts.append(f"{known:,} {'was' if known == 1 else 'were'} there already")
    if found.skipped:
        parts.append(f"{found.skipped:,} about the connection skipped")
    return ", ".join(parts)


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


class _Damage:
    """Tells of what cannot be read, a line each, and of many in one."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name = name
        self._progress = progress
        self._lines = 0

    def tell(self, damage: Damage) -> None:
        """One of them."""
        self._lines += not damage.cut
        if damage.cut or self._lines <= _MOST_TOLD:
            self._progress.clear()
            write_line(f"kchat: {self._name}, {damage}")

    def end(self) -> None:
        """That was all."""
        if self._lines > _MOST_TOLD:
            write_line(f"kchat: {self._name}: {self._lines:,} damaged lines in all")
