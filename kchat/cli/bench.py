"""``kchat bench``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.help import Command
from kchat.cli.options import broker_options, quiet_option, refuse_lone_room, to_settings
from kchat.cli.param_types import Read, whole_number
from kchat.cli.shutdown import shutdown_by_signal
from kchat.cli.stderr import can_show, line_writer, write_line

if TYPE_CHECKING:
    from kchat.bench import Latency, Report
    from kchat.bench.pool import Progress

_BLOCKS = " ▁▂▃▄▅▆▇█"
_NO_BLOCKS = " .:-=+*%#"
"""If the terminal's encoding has no blocks."""


def _rate(text: str) -> float:
    """A number of messages per second, more than 0."""
    with suppress(ValueError):
        if 0 < (rate := float(text)) < float("inf"):
            return rate
    raise ValueError(f"{text!r} is not a number of messages per second above 0")


def _number(*names: str, least: int, most: int, metavar: str = "N", **rest: Any) -> Callable[..., Any]:
    return click.option(*names, type=whole_number(least, most), metavar=metavar, show_default=True, **rest)


@click.command(name="bench", cls=Command)
@_number("--messages", "-n", least=1, most=100_000_000, default=20_000, help="Number of messages.")
@_number(
    "--size", metavar="BYTES", least=32, most=1024 * 1024, default=128, help="Size of each message's text."
)
@_number("--senders", least=1, most=100, default=1, help="Number of processes that send.")
@_number("--subscribers", least=0, most=100, default=1, help="Number of processes that receive.")
@click.option(
    "--rate",
    type=Read("rate", _rate),
    metavar="N",
    help="Messages per second. Default: as fast as the broker and the slowest subscriber.",
)
@broker_options
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
@quiet_option
def command(
    messages: int,
    size: int,
    senders: int,
    subscribers: int,
    rate: float | None,
    as_json: bool,
    quiet: bool,
    **broker: Any,
) -> int:
    """Measure a broker: rates, latency, and whether every message arrived once and in order.

    It makes a temporary room, not the one of --room, and deletes it afterwards. At full speed, latency is mostly the time
    that messages wait for each other; use --rate to measure it at a given load, from the moment each message was due.

    \b
    Examples:
      kchat bench
      kchat bench --host localhost --rmq-username rmq -W --senders 2
      kchat bench --rate 500 --json | jq .latency.p99_ms
    """
    settings = to_settings(**broker)
    from kchat.bench import Plan, run
    from kchat.cli.table import write_table

    plan = Plan(messages=messages, size=size, senders=senders, subscribers=subscribers, rate=rate)
    plan.check()
    refuse_lone_room(settings, "a benchmark's processes would have one each")
    beside = "beside" if settings.transport.embedded else "at"
    line_writer(quiet)(f"measuring a temporary room {beside} {settings.broker}")
    show = not quiet and sys.stderr is not None and sys.stderr.isatty()
    report = None
    with (
        shutdown_by_signal(cleans_up=True),
        _progress(plan.messages, show=show, listened=subscribers > 0) as progress,
    ):
        report = run(settings, plan, progress, write_line, line_writer(quiet))
    if report is None:
        raise click.Abort
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        write_table(_rows(report))
    return 0 if report.good else 1


def _rows(report: Report) -> list[tuple[str, str]]:
    """A report for people."""
    each = "" if report.subscribers == 1 else " each"
    sizes = f"{report.size:,} bytes, {_many(report.senders, 'sender')}"
    rows = [
        ("sent", f"{report.sent:,} of {report.messages:,}, {sizes}"),
        ("send rate", f"{report.sent_per_second:,.0f} messages/s, each confirmed"),
    ]
    if report.not_sent:
        rows.append(("not sent", f"{report.not_sent:,}: {report.not_sent_because}"))
    if report.connections_lost:
        lost = f"{report.connections_lost:,}; the rates include the time that this took"
        rows.append(("connections lost", lost))
    if report.subscribers:
        rows += [
            ("received", f"{report.received:,} by {_many(report.subscribers, 'subscriber')}"),
            ("receive rate", f"{report.received_per_second:,.0f} messages/s{each}"),
            ("lost", f"{report.lost:,}"),
            ("out of order", f"{report.out_of_order:,}"),
            ("repeated", f"{report.repeated:,}"),
        ]
    if (told := report.latency) is not None:
        shares = ("p50", told.p50_ms), ("p95", told.p95_ms), ("p99", told.p99_ms), ("max", told.max_ms)
        rows.append(("latency", ", ".join(f"{name} {_ms(value)}" for name, value in shares)))
        rows.append(("", _sparkline(told)))
    return rows


def _sparkline(latency: Latency) -> str:
    """The histogram as one line of blocks, from its lowest bound to its highest."""
    most = max(count for _, count in latency.histogram)
    heights = _BLOCKS if can_show(_BLOCKS, sys.stdout) else _NO_BLOCKS
    blocks = [
        heights[0 if not count else max(1, round(count / most * (len(heights) - 1)))]
        for _, count in latency.histogram
    ]
    first, last = latency.histogram[0][0] / 2, latency.histogram[-1][0]
    return f"{_ms(first)} {''.join(blocks)} {_ms(last)} (each block twice as long as the one before)"


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"


@contextmanager
def _progress(total: int, *, show: bool, listened: bool) -> Iterator[Progress]:
    """Progress bars on standard error, if it is a terminal."""
    if not show:
        yield lambda _sent, _received: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        sending = bars.add_task("sent", total=total)
        receiving = bars.add_task("received by all", total=total, visible=listened)

        def update(sent: int, received: int) -> None:
            bars.update(sending, completed=sent)
            bars.update(receiving, completed=received)

        yield update
