"""``kchat archive``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kchat.cli import archive_export, archive_import
from kchat.cli.confirming import confirmed
from kchat.cli.durable_options import durable_limits
from kchat.cli.help import GroupWithOptions
from kchat.cli.listening import listening
from kchat.cli.options import (
    broker_options_of_rooms,
    heartbeat_option,
    quiet_option,
    refuse_lone_room,
    refuse_misplaced_urls,
    to_settings,
    username_option,
    verbose_option,
    wait_option,
)
from kchat.cli.param_types import DURATION, SECONDS, SINCE, whole_number
from kchat.cli.shutdown import shutdown_by_signal
from kchat.cli.stderr import connection_teller, line_writer, write_line
from kchat.transports.durable import Durable

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.archive.archiver import Archiver
    from kchat.archive.store import Store
    from kchat.config.settings import Settings
    from kchat.errors import ArchiveUnavailable

DURABLE = "archive"
"""The name of the durable queue, unless another one is given."""


@click.group(
    name="archive",
    cls=GroupWithOptions,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]...]",
)
@click.option(
    "--to",
    "target",
    type=click.Path(),
    metavar="FILE|URL",
    envvar="KCHAT_ARCHIVE",
    show_default="archive.db in your data folder",
    help="The archive: an SQLite file, or clickhouse://user@host:9000/default.",
)
@click.option("--no-text", is_flag=True, help="Keep no texts, only their lengths and keyed hashes.")
@click.option("--keep", type=DURATION, metavar="AGE", help="Delete older messages, now and every hour: 90d.")
@click.option("--forget", metavar="USERNAME", help="Delete that person's messages, and end. It asks first.")
@click.option("--yes", "-y", is_flag=True, help="With --forget: do not ask.")
@click.option(
    "--since",
    type=SINCE,
    metavar="AGE|DATE",
    help="At its first start, begin with the history since then: 10m, 2h, 2026-01-31T12:00Z.",
)
@click.option("--limit", type=whole_number(1), metavar="N", help="Exit after N messages.")
@click.option(
    "--idle-timeout", type=SECONDS, metavar="SECONDS", help="Exit after this time without a message."
)
@click.option(
    "--durable",
    is_flag=False,
    flag_value=DURABLE,
    default=DURABLE,
    show_default=True,
    metavar="[NAME]",
    help="The durable queue that keeps messages while nobody archives them.",
)
@durable_limits
@username_option
@broker_options_of_rooms
@click.option("--hidden", is_flag=True, help="Do not count as here for kchat who.")
@heartbeat_option
@wait_option
@quiet_option
@verbose_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    target: str | None,
    no_text: bool,
    keep: float | None,
    forget: str | None,
    yes: bool,
    since: float | None,
    limit: int | None,
    idle_timeout: float | None,
    durable: str,
    expires: float | None,
    max_size: int | None,
    shared: bool,
    username: str | None,
    rooms: tuple[str, ...],
    hidden: bool,
    wait: bool,
    quiet: bool,
    verbose: bool,
    **broker: Any,
) -> int | None:
    """Keep what is said in a room, or in several, in an archive outside of it: an SQLite file, or ClickHouse.

    It listens by a durable queue, and acknowledges a message when it is committed: nothing is lost and nothing kept twice,
    whatever is killed. "kchat stats" asks the archive.

    \b
    Examples:
      kchat archive
      kchat archive --to archive.db --since 7d -r chat -r ops
      kchat archive --to clickhouse://user@host:9000/default --durable --shared
      kchat archive --no-text --keep 90d
      kchat archive --forget ada
    """
    _refuse_stray_options(ctx, forgets=forget is not None)
    if ctx.invoked_subcommand is not None:
        return None
    if forget is not None:
        typed = ctx.get_parameter_source("room") is ParameterSource.COMMANDLINE
        return _forget(target, forget, rooms if typed else (), yes=yes, quiet=quiet)
    settings = to_settings(**broker)
    refuse_lone_room(settings, "nothing of it can be archived")
    return _archive(
        [replace(settings, room=room) for room in rooms or (settings.room,)],
        target,
        texts=False if no_text else None,
        keep=keep,
        since=since,
        limit=limit,
        idle_timeout=idle_timeout,
        durable=Durable(durable, expires, max_size, shared),
        username=username,
        hidden=hidden,
        wait=wait,
        quiet=quiet,
        verbose=verbose,
    )


command.add_command(archive_import.command)
command.add_command(archive_export.command)

_OF_FORGETTING = {"target", "forget", "yes", "room", "quiet", "verbose"}


def _refuse_stray_options(ctx: click.Context, *, forgets: bool) -> None:
    """Refuse options that would have no effect.

    Raises:
        click.UsageError: there is one.
    """
    typed = {
        str(option.name): max(option.opts, key=len)
        for option in ctx.command.params
        if ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    }
    if ctx.invoked_subcommand is not None and typed:
        flag = next(iter(typed.values()))
        raise click.UsageError(
            f"{flag} goes behind the command: {ctx.command_path} {ctx.invoked_subcommand} {flag} ..."
        )
    if forgets and (others := typed.keys() - _OF_FORGETTING):
        raise click.UsageError(f"{typed[min(others)]} has no effect with --forget, which archives nothing.")
    if "yes" in typed and not forgets:
        raise click.UsageError("--yes goes with --forget.")


def _forget(target: str | None, username: str, rooms: tuple[str, ...], *, yes: bool, quiet: bool) -> int:
    """Delete the messages of somebody."""
    from kchat.archive.opening import open_store
    from kchat.cli import DONE, FAILED

    refuse_misplaced_urls()
    with open_store(target) as store:  # to write, one that is not there would be made
        where = store.where
    place = f"{', '.join(rooms)} in {where}" if rooms else where
    if not yes and not confirmed(lambda: f"Delete all messages of {username} from {place}?"):
        return FAILED
    with open_store(target, write=True) as store:
        count = store.forget(username, rooms)
    line_writer(quiet)(
        f"deleted {_messages(count)} of {username} from {place}"
        if count
        else f"there are no messages of {username} in {place}"
    )
    return DONE


def _archive(
    settings: list[Settings],
    target: str | None,
    *,
    texts: bool | None,
    keep: float | None,
    since: float | None,
    limit: int | None,
    idle_timeout: float | None,
    durable: Durable,
    username: str | None,
    hidden: bool,
    wait: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Listen, and archive what comes."""
    from kchat.archive.archiving import Archiving
    from kchat.cli import DONE, TOO_FEW
    from kchat.client.durable import require_durable

    first = settings[0]
    require_durable(first)  # before the archive is made
    report = line_writer(quiet)
    present = first.transport.capabilities.presence and not hidden
    taken = 0
    with shutdown_by_signal() as stop, ExitStack() as stack:
        store = stack.enter_context(_opened(target, texts=texts, wait=wait))
        archiving = Archiving(
            settings,
            store,
            username,
            durable=durable,
            since=since,
            keep=keep,
            wait=wait,
            present=present,
            on_event=connection_teller(verbose=verbose, several=len(first.brokers) > 1),
            tell=write_line,
        )
        notes = [f"archiving to {store.where}"]
        stack.enter_context(listening(archiving, stop, report, present=present, verbose=verbose, notes=notes))
        stack.callback(_tell_end, archiving.archiver, store.where, report)
        try:
            archiving.run(limit=limit, idle_timeout=idle_timeout, stop=stop)
        finally:
            taken = archiving.archiver.taken
    return DONE if stop.requested or limit is None or taken >= limit else TOO_FEW


def _opened(target: str | None, *, texts: bool | None, wait: bool) -> Store:
    from kchat.archive.opening import open_store, wait_for_store

    if not wait:
        return open_store(target, write=True, texts=texts)

    def tell(error: ArchiveUnavailable, pause: float, attempt: int) -> None:
        if attempt.bit_count() == 1:  # 1, 2, 4, 8, ...
            write_line(f"the archive is away, trying again in {pause:.1f} s (attempt {attempt}): {error}")

    return wait_for_store(target, texts=texts, tell=tell)


def _tell_end(archiver: Archiver, where: str, report: Callable[[object], None]) -> None:
    parts = [f"{_messages(archiver.count)} archived to {where}"]
    if (known := archiver.taken - archiver.count) > 0:
        parts.append(f"{known:,} were there already")
    if archiver.deleted:
        parts.append(
            "1 older one deleted" if archiver.deleted == 1 else f"{archiver.deleted:,} older ones deleted"
        )
    if archiver.is_away:
        parts.append("what else there is waits in the broker")
    report("; ".join(parts))


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"
