"""``kchat subscribe``."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from kchat.cli.durable_options import durable_options, to_durable
from kchat.cli.executing import exec_options
from kchat.cli.filter_options import filter_options, take_choice
from kchat.cli.help import Command
from kchat.cli.job_control import opened
from kchat.cli.options import (
    COLOR,
    broker_options_of_rooms,
    color_option,
    date_option,
    heartbeat_option,
    quiet_option,
    refuse_lone_room,
    to_settings,
    username_option,
    utc_option,
    verbose_option,
    wait_option,
)
from kchat.cli.param_types import SECONDS, NameIn, whole_number
from kchat.cli.shutdown import shutdown_by_signal
from kchat.cli.span_options import span_options
from kchat.cli.stderr import connection_teller, line_writer
from kchat.display import MODES
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.several import Subscribers
    from kchat.client.subscriber import Subscriber
    from kchat.config.settings import Settings
    from kchat.display import Display
    from kchat.events import Event

_PRESENT_AFTER = 0.2
"""Seconds after which it counts as here: a script that waits for one message that is there never does."""


@click.command(name="subscribe", cls=Command)
@click.option(
    "--mode",
    type=NameIn(MODES),
    metavar="MODE",
    default="plain",
    show_default=True,
    envvar="KCHAT_MODE",
    help="; ".join(f"{mode.name}: {mode.help}" for mode in MODES.built_in.values()) + ".",
)
@click.option(
    "--format",
    "line_format",
    metavar="TEXT",
    help="Instead of a mode, lines such as '{time:%H:%M} {username}: {text}'.",
)
@filter_options
@username_option
@broker_options_of_rooms
@color_option
@utc_option
@date_option
@click.option("--limit", type=whole_number(1), metavar="N", help="Exit after N messages.")
@click.option(
    "--idle-timeout", type=SECONDS, metavar="SECONDS", help="Exit after this time without a message."
)
@span_options
@durable_options
@click.option(
    "--queue-length",
    type=whole_number(1, 100_000_000),
    metavar="N",
    help="Messages that wait for a slow reader.",
)
@click.option("--events", is_flag=True, help="With --mode json: an object for each event, too.")
@click.option("--hidden", is_flag=True, help="Do not count as here for kchat who.")
@exec_options
@heartbeat_option
@wait_option
@quiet_option
@verbose_option
def command(
    mode: str,
    line_format: str | None,
    rooms: tuple[str, ...],
    username: str | None,
    limit: int | None,
    idle_timeout: float | None,
    last: int | None,
    since: float | None,
    until: float | None,
    follow: bool,
    durable: str | None,
    expires: float | None,
    max_size: int | None,
    shared: bool,
    queue_length: int | None,
    events: bool,
    hidden: bool,
    command_line: str | None,
    arguments: tuple[str, ...],
    shell: bool,
    jobs: int,
    exec_timeout: float | None,
    on_failure: str,
    color: str,
    utc: bool,
    date: bool,
    wait: bool,
    quiet: bool,
    verbose: bool,
    **broker: Any,
) -> int:
    """Show the messages of a room: all from "listening" on, until Ctrl+C.

    \b
    Examples:
      kchat subscribe --last 20 --mode rich
      kchat subscribe --limit 1 --idle-timeout 30        # exit code 3 if none
      kchat subscribe --durable alarms --exec ./alarm.sh --on-failure retry
      kchat subscribe --since 9:00 --until 10:00 --not --from ci
      kchat subscribe --last 20 --no-follow --format '{time:%H:%M} {text}'
    """
    from kchat.cli import DONE, TOO_FEW
    from kchat.cli.executing import execute, given
    from kchat.client.beside import PresenceBeside
    from kchat.display.loop import event_objects, listen, show_event
    from kchat.display.output import Reader

    choice = take_choice(broker)
    wanted = given(
        command_line,
        arguments,
        shell=shell,
        jobs=jobs,
        exec_timeout=exec_timeout,
        on_failure=on_failure,
        several=len(rooms) > 1,
    )
    settings = to_settings(**broker)
    report = line_writer(quiet)
    tell_connection = connection_teller(verbose=verbose, several=len(settings.brokers) > 1)
    present = settings.transport.capabilities.presence and not hidden
    subscribed = partial(
        _subscriber,
        settings,
        rooms,
        username,
        durable=to_durable(durable, expires, max_size, shared=shared),
        last=last,
        since=since,
        until=until,
        follow=follow,
        where=choice.to_filter(settings, username),
        queue_length=queue_length,
        wait=wait,
        present=present,
    )
    if wanted is not None:
        refuse_lone_room(settings, "no message can come")
        return execute(
            cast("Callable[..., Subscriber]", partial(subscribed, on_event=tell_connection)),  # of one room
            wanted,
            report,
            present=present,
            verbose=verbose,
            durable=durable is not None,
            limit=limit,
            idle_timeout=idle_timeout,
        )

    def note(text: str) -> None:
        (display.status if has_screen else report)(text)

    # Made twice at most: what it marks depends on the broker, and a mode that cannot be made is said before.
    make = partial(
        _maker(mode, line_format, settings.room),
        sys.stdout,
        color=COLOR[color],
        own=settings.broker.account,
        utc=utc,
        date=date,
        tell=note,
    )
    verifies = settings.transport.verifies_accounts
    display = make(mark_unverified=verifies)

    has_screen = False
    show_object = event_objects(display, mode, wanted=events)

    def tell(event: Event) -> None:
        show_object(event)
        if has_screen:
            show_event(display, event)
        else:
            display.status(str(event))
            tell_connection(event)

    shown, ended = 0, False
    subscriber = subscribed(on_event=tell)
    refuse_lone_room(settings, "no message can come")
    with (
        shutdown_by_signal() as stop,
        ExitStack() as ends_last,
        closing(subscriber),
        ExitStack() as ends_first,
    ):
        try:
            subscriber.open()
            for each in subscriber.each if present else ():
                beside = PresenceBeside(each, after=_PRESENT_AFTER)
                ends_first.callback(beside.stop)
                ends_last.callback(beside.close)
            if verifies and not subscriber.verifies_accounts and len(settings.brokers) == 1:
                verifies = False  # AMQP leaves it to the broker
                choice.check(verifies=verifies, where=str(subscriber.where))
                display = make(mark_unverified=verifies)
            _announce(subscriber, report, verifies=verifies, verbose=verbose)
            stop.wake = subscriber.stop
            stop.graceful = True
            reader = Reader(sys.stdout.fileno())
            if has_screen := getattr(display, "live", False):
                _introduce(display, verifies=verifies)
            with opened(display, subscriber.where, sys.stdout.fileno(), subscriber.wake) as (
                ended_by_key,
                keyboard,
            ):
                reader.watch(subscriber.stop, keyboard)

                def enough() -> bool:
                    nonlocal ended
                    ended = stop() or reader.is_gone() or ended_by_key()
                    return ended

                try:
                    shown = listen(subscriber, display, limit=limit, idle_timeout=idle_timeout, stop=enough)
                finally:
                    has_screen = False
        except BrokenPipeError:  # as in "kchat subscribe | head -3"; Click would end with 1
            ended = True
        finally:
            display.close()
    return DONE if ended or stop.requested or limit is None or shown >= limit else TOO_FEW


def _maker(mode: str, template: str | None, room: str) -> Callable[..., Display]:
    """What makes the display of a mode or of a format.

    Raises:
        click.UsageError: both are given.
        kchat.errors.SettingsError: there is nowhere to show anything.
    """
    if sys.stdout is None:
        raise SettingsError("standard output is closed, so there is nowhere to show messages")
    if template is None:
        from kchat.display import create

        return partial(create, mode)
    if click.get_current_context().get_parameter_source("mode") is ParameterSource.COMMANDLINE:
        raise click.UsageError("Give either --mode or --format.")
    from kchat.display.template import Template

    return partial(Template, template=template, room=room)


def _subscriber(
    settings: Settings, rooms: tuple[str, ...], username: str | None, **options: Any
) -> Subscriber | Subscribers:
    """What listens to a room, or to several of them by one connection."""
    if len(rooms) < 2:
        from kchat.client.subscriber import Subscriber

        return Subscriber(settings, username, **options)
    from kchat.client.several import Subscribers

    return Subscribers([replace(settings, room=room) for room in rooms], username, **options)


def _announce(
    subscriber: Subscriber | Subscribers, report: Callable[[object], None], *, verifies: bool, verbose: bool
) -> None:
    """Say that it listens, and whether names are checked."""
    from kchat.cli.announcement import listening
    from kchat.display.names import NOT_CHECKED

    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    for line in listening(subscriber.where, [] if verifies else [NOT_CHECKED], cut=is_terminal):
        report(line)
    if verbose:
        report(f"queue {subscriber.queue_name}")


def _introduce(display: Display, *, verifies: bool) -> None:
    """Tell a display on a whole screen what it says besides messages."""
    from kchat.cli.advice import same_room
    from kchat.display.names import REMARK_NOT_CHECKED

    send = same_room(click.get_current_context(), "send")
    texts = {
        "remark": "" if verifies else REMARK_NOT_CHECKED,
        "empty": f"No messages yet. To send one, in another terminal:\n\n  {send} 'Hello'",
    }
    for name, text in texts.items():
        if hasattr(display, name):
            setattr(display, name, text)
