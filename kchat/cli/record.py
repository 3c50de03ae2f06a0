"""``kchat record``."""

from __future__ import annotations

from typing import Any

import click

from kchat.cli.help import Command
from kchat.cli.options import (
    broker_options,
    heartbeat_option,
    quiet_option,
    refuse_lone_room,
    to_settings,
    username_option,
    verbose_option,
    wait_option,
)
from kchat.cli.param_types import SECONDS, whole_number
from kchat.cli.shutdown import shutdown_by_signal
from kchat.cli.span_options import span_options
from kchat.cli.stderr import connection_teller, line_writer, write_line


@click.command(name="record", cls=Command)
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@username_option
@broker_options
@click.option("--limit", type=whole_number(1), metavar="N", help="Exit after N messages.")
@click.option(
    "--idle-timeout", type=SECONDS, metavar="SECONDS", help="Exit after this time without a message."
)
@span_options
@click.option("--durable", metavar="NAME", help="Durable queue: keeps messages while you are away.")
@click.option("--hidden", is_flag=True, help="Do not count as here for kchat who.")
@heartbeat_option
@wait_option
@quiet_option
@verbose_option
def command(
    file: str,
    username: str | None,
    limit: int | None,
    idle_timeout: float | None,
    last: int | None,
    since: float | None,
    until: float | None,
    follow: bool,
    durable: str | None,
    hidden: bool,
    wait: bool,
    quiet: bool,
    verbose: bool,
    **broker: Any,
) -> int:
    """Record the messages of a room to a new FILE of JSON lines, byte for byte and with their times, until Ctrl+C.

    A name that ends in .gz or .zst compresses it; "-" is standard output. If it is killed, the file can be read up to the
    last message. "kchat replay" sends them again.

    \b
    Examples:
      kchat record monday.jsonl.gz
      kchat record --since 1d --no-follow day.jsonl
      kchat record --since 9:00 --until 10:00 hour.jsonl.zst
      kchat record --durable tape --limit 1000 tape.jsonl
    """
    from kchat.cli import DONE, TOO_FEW
    from kchat.cli.listening import listening
    from kchat.client.recording import STANDARD, Recorder
    from kchat.client.subscriber import Subscriber
    from kchat.display.loop import listen

    settings = to_settings(**broker)
    present = settings.transport.capabilities.presence and not hidden
    subscriber = Subscriber(
        settings,
        username,
        durable=durable,
        last=last,
        since=since,
        until=until,
        follow=follow,
        wait=wait,
        on_event=connection_teller(verbose=verbose, several=len(settings.brokers) > 1),
        present=present,
        content_types=True,
    )
    refuse_lone_room(settings, "no message can come")
    waited = not (durable is None and last is None and since is None)
    recorder = Recorder(file, settings.room, waited=waited, sync=durable is not None)
    report = line_writer(quiet)
    taken = 0
    recorder.open()
    try:
        notes = ["recording to standard output" if file == STANDARD else f"recording to {file}"]
        with (
            shutdown_by_signal() as stop,
            listening(subscriber, stop, report, present=present, verbose=verbose, notes=notes),
        ):
            recorder.open()
            taken = listen(subscriber, recorder, limit=limit, idle_timeout=idle_timeout, stop=stop)
    finally:
        recorder.close()
        if not quiet:
            many = "1 message" if recorder.count == 1 else f"{recorder.count:,} messages"
            write_line(f"{many} recorded" if file == STANDARD else f"{many} recorded to {file}")
    return DONE if stop.requested or limit is None or taken >= limit else TOO_FEW
