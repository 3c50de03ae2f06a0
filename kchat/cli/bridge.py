"""``kchat bridge``."""

from __future__ import annotations

import sys
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from kchat.cli.help import Command
from kchat.cli.options import (
    confirm_timeout_option,
    connect_timeout_option,
    heartbeat_option,
    quiet_option,
    refuse_lone_room,
    refuse_misplaced_urls,
    verbose_option,
    wait_option,
)
from kchat.cli.param_types import SINCE, Read
from kchat.cli.shutdown import shutdown_by_signal
from kchat.cli.stderr import line_writer
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat import events
    from kchat.client.bridge import Bridge
    from kchat.client.way import Way
    from kchat.config.settings import Settings

_LOOK = 1.0
"""Seconds between two updates of the status line."""


def _pair(text: str) -> tuple[str, str]:
    one, equals, other = text.partition("=")
    if not one or (equals and not other):
        raise ValueError(f"{text!r} is not a pair of rooms such as chat=lobby")
    return one, other or one


_PAIR = Read("pair", _pair)
"""Two rooms, ``a=b``, or one that is called the same on both brokers."""


@click.command(name="bridge", cls=Command)
@click.option(
    "--from",
    "source",
    required=True,
    metavar="URL|PROFILE",
    envvar="KCHAT_BRIDGE_FROM",
    help="The broker to read from: a URL, or a profile's name.",
)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="URL|PROFILE",
    envvar="KCHAT_BRIDGE_TO",
    help="The broker to write to.",
)
@click.option("--both", is_flag=True, help="Carry messages the other way, too.")
@click.option(
    "--room-map",
    "pairs",
    multiple=True,
    type=_PAIR,
    metavar="A=B",
    show_default="profile's room, else chat",
    help="A room there and its name here, or one name for both; repeatable.",
)
@click.option("--name", metavar="NAME", help="Of its durable queues.", show_default="by the other end")
@click.option(
    "--since",
    type=SINCE,
    metavar="AGE|DATE",
    help="Begin with the history since then, at its first start: 10m, 2h, 2026-01-31T12:00Z.",
)
@wait_option
@connect_timeout_option
@confirm_timeout_option
@heartbeat_option
@quiet_option
@verbose_option
def command(
    source: str,
    target: str,
    both: bool,
    pairs: tuple[tuple[str, str], ...],
    name: str | None,
    since: float | None,
    wait: bool,
    connect_timeout: float,
    confirm_timeout: float,
    heartbeat: float,
    quiet: bool,
    verbose: bool,
) -> int:
    """Carry the messages of a room on one broker to a room on another, until Ctrl+C.

    What is said while it is not running waits for it, where the broker has durable queues. Messages keep their ids.

    \b
    Examples:
      kchat bridge --from amqp://rmq@localhost/ --to pubsub://my-project
      kchat bridge --from work --to home --both --room-map chat=lobby
    """
    from kchat.cli import DONE, FAILED
    from kchat.client.bridge import Bridge

    refuse_misplaced_urls()
    rooms = dict(pairs)
    if len(rooms) < len(pairs) or len(set(rooms.values())) < len(rooms):
        raise SettingsError("--room-map names a room twice", hint="give each room once on each side")
    source_of = click.get_current_context().get_parameter_source
    times = {
        option: value
        for option, value in (
            ("connect_timeout", connect_timeout),
            ("confirm_timeout", confirm_timeout),
            ("heartbeat", heartbeat),
        )
        if source_of(option) is not ParameterSource.DEFAULT  # else a URL's own counts
    }
    ends = _settings(source, times), _settings(target, times)
    for end in ends:
        refuse_lone_room(end, "there is nothing to bridge")
    bridge = Bridge(
        *ends,
        rooms=rooms or None,
        both=both,
        name=name,
        since=since,
        wait=wait,
        on_event=_teller(verbose=verbose),
    )
    report = line_writer(quiet)
    with shutdown_by_signal() as stop, closing(bridge):
        bridge.open()
        for way in bridge.ways:
            report(f"bridging {_path(way)}")
            if verbose:
                report(f"queue {way.queue_name}")
            if not way.keeps:
                report(
                    f"{way.source.transport.name} has no durable queues: "
                    f"what is said in {way.source} while this bridge is away is missed"
                )
        stop.wake = bridge.stop
        stop.graceful = True
        try:
            _watch(bridge, show=not quiet)
        finally:
            bridge.close()
            for way in bridge.ways:
                report(_total(way))
    return FAILED if any(way.refused for way in bridge.ways) else DONE


def _settings(place: str, times: dict[str, float]) -> Settings:
    """The broker of a URL, or of a profile's name."""
    from kchat.config.settings import Settings

    if "://" in place:
        return Settings.resolve(url=place, **times)  # type: ignore[arg-type]  # all of them are times
    return Settings.resolve(profile=place, **times)  # type: ignore[arg-type]


def _teller(*, verbose: bool) -> Callable[[str, events.Event], None]:
    """Says what happens to the connections, each room's apart. There are several, so that none is written over."""
    from kchat.cli.connection_line import ConnectionLine

    lines: dict[str, ConnectionLine] = {}

    def tell(where: str, event: events.Event) -> None:
        lines.setdefault(where, ConnectionLine(verbose=verbose, in_place=False)).tell(event)

    return tell


def _watch(bridge: Bridge, *, show: bool) -> None:
    """Wait for its end; on a terminal, with the messages per second of each way."""
    from kchat.cli.connection_line import can_write_over, write_over_line

    show = show and can_write_over()
    before, at = [0] * len(bridge.ways), monotonic()
    while not bridge.wait(_LOOK):
        if show:
            seconds, at = monotonic() - at, monotonic()
            counts = [way.bridged for way in bridge.ways]
            rates = (
                f"{(count - past) / seconds:,.0f}/s {way.source.room} → {way.target.room}"
                for way, count, past in zip(bridge.ways, counts, before, strict=True)
            )
            write_over_line(f"{sum(counts):,} bridged, {', '.join(rates)}")
            before = counts
    if show and sys.stderr is not None:
        write_over_line("")


def _path(way: Way) -> str:
    return f"{way.source} → {way.target}"


def _total(way: Way) -> str:
    parts = [f"{way.bridged:,} bridged {_path(way)}"]
    if way.passed_by:
        parts.append(f"{way.passed_by:,} left out that had been there")
    if way.refused:
        parts.append(f"{way.refused:,} not bridged")
    return ", ".join(parts)
