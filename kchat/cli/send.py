"""``kchat send``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.bot import PAUSE, Pause, posts
from kchat.cli.help import Command
from kchat.cli.options import (
    broker_options,
    confirm_timeout_option,
    quiet_option,
    refuse_lone_room,
    to_settings,
    username_option,
    wait_option,
)
from kchat.cli.param_types import whole_number
from kchat.cli.shutdown import Shutdown, shutdown_by_signal
from kchat.cli.stderr import connection_teller, line_writer, write_line
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.client.sender import Sender
    from kchat.message import Message

_PROGRESS_SECONDS = 0.1


@click.command(name="send", cls=Command)
@click.argument("message", nargs=-1, metavar="[MESSAGE | -]")
@click.option("--message", "-m", "text", metavar="TEXT", help="The message, if not an argument.")
@username_option
@broker_options
@confirm_timeout_option
@wait_option
@click.option("--mandatory", is_flag=True, help="Fail if the broker says that nobody is listening.")
@click.option("--bot", is_flag=True, help="Send quotes until Ctrl+C, after MESSAGE if given.")
@click.option(
    "--bot-wait-s",
    type=PAUSE,
    default="5",
    show_default=True,
    metavar="N|MIN..MAX",
    help="Pause, in seconds; 1..10: random.",
)
@click.option("--bot-count", type=whole_number(1), metavar="N", help="Exit after N quotes.")
@click.option("--bot-authors", is_flag=True, help="Send each quote under its author's name.")
@quiet_option
def command(
    message: tuple[str, ...],
    text: str | None,
    username: str | None,
    wait: bool,
    mandatory: bool,
    bot: bool,
    bot_wait_s: Pause,
    bot_count: int | None,
    bot_authors: bool,
    quiet: bool,
    **broker: Any,
) -> int:
    """Send MESSAGE to a room, and exit when the broker has confirmed it.

    With "-", each line of standard input is a message.

    \b
    Examples:
      kchat send "Hello world"
      kchat send --host localhost --rmq-username rmq --ask-password "Hello world"
      tail -f app.log | kchat send --username app -
      kchat send --bot --bot-wait-s 2 --bot-count 10
      kchat send -- "- starts with a dash"
    """
    if message and text is not None:
        raise click.UsageError("Give the message once: as an argument, or by --message.")
    if bot and message == ("-",):
        raise click.UsageError("Give either '-' or --bot: the bot does not read standard input.")
    if not bot and (bot_authors or bot_count is not None):
        raise click.UsageError("--bot-authors and --bot-count go with --bot.")
    if not (message or text is not None or bot):
        raise click.UsageError(
            "Missing message: give it as an argument, by --message, or '-' for standard input."
        )
    settings = to_settings(**broker)
    refuse_lone_room(settings, "nobody can receive the message")
    from kchat.cli import INTERRUPTED
    from kchat.client.sender import Sender

    report = line_writer(quiet)
    tell = connection_teller(several=len(settings.brokers) > 1)
    sender = Sender(settings, username, mandatory=mandatory, wait=wait, on_event=tell)
    code = INTERRUPTED
    words = " ".join(message) if message else text
    # Bytes that are not UTF-8 become visible escapes, as in standard input.
    words = None if words is None else os.fsencode(words).decode("utf-8", "backslashreplace")
    with shutdown_by_signal() as stop:
        if bot:
            report(f"posting to {settings} every {bot_wait_s} s; Ctrl+C ends it")
            quotes = posts(words, bot_wait_s, bot_count, stop, as_authors=bot_authors)
            code = _send_all(sender, quotes, stop, quiet, endless=True)
        elif message == ("-",):
            from kchat.cli.stdin import read_lines

            descriptor = _standard_input()
            is_typed = os.isatty(descriptor)
            report(f"sending to {settings}, a message a line{'; Ctrl+D ends' if is_typed else ''}")
            lines = read_lines(descriptor)
            if is_typed:
                lines = (line for line in lines if line is None or line.strip())
            code = _send_all(sender, lines, stop, quiet, meter=not is_typed)
        elif words is not None:
            code = _send_one(sender, words, quiet)
    return code


def _standard_input() -> int:
    if sys.stdin is None:
        raise SettingsError("standard input is closed, so there is nothing to read a message from")
    return sys.stdin.fileno()


def _send_one(sender: Sender, text: str, quiet: bool) -> int:
    from kchat.cli import DONE

    settings = sender.settings
    try:
        with sender:
            receipt = sender.send(text)
    except KeyboardInterrupt:
        if sender.unsettled:
            write_line("kchat: interrupted before it was confirmed: it may or may not have been delivered")
        raise
    unrouted = ""
    if receipt.routed is False:
        kept = ", it is kept in the room's history" if settings.transport.capabilities.history else ""
        unrouted = f"; nobody was listening{kept}"
    line_writer(quiet)(f"sent to {settings}{unrouted}")
    return DONE


def _send_all(
    sender: Sender,
    messages: Iterable[str | Message | None],
    stop: Shutdown,
    quiet: bool,
    *,
    endless: bool = False,
    meter: bool = False,
) -> int:
    """Send a stream; report each refusal as it happens, and the totals at the end. Returns the exit code.

    When asked to stop, it takes no more messages, and waits for outstanding confirmations as long as the signal allows;
    that is success if the stream is ``endless``. A ``meter`` counts on a terminal, but not while a person types there.
    """
    from kchat.cli import DONE, FAILED, INTERRUPTED

    report = line_writer(quiet)
    progress = _Progress(show=meter and not quiet and sys.stderr is not None and sys.stderr.isatty())
    confirmed = failed = unrouted = 0
    code = DONE
    try:
        with sender:
            stop.graceful = True
            for receipt in sender.send_many(takewhile(lambda _: not stop(), messages)):
                if receipt.error is None:
                    confirmed += 1
                    unrouted += receipt.routed is False
                else:
                    failed += 1
                    progress.clear()
                    write_line(f"kchat: {receipt.error}")
                progress.update(confirmed)
        if stop():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        code = DONE if endless else INTERRUPTED
    finally:
        progress.clear()
        parts = [f"{confirmed:,} sent to {sender.settings}"]
        if unrouted:
            parts.append(f"{unrouted:,} with nobody listening")
        if failed:
            parts.append(f"{failed:,} not sent")
        if sender.unsettled:
            parts.append(f"{sender.unsettled:,} not confirmed, which may or may not have been delivered")
        report(", ".join(parts))
    return FAILED if failed else code


class _Progress:
    """A counter on one line of a terminal, redrawn at most ten times a second."""

    def __init__(self, show: bool) -> None:
        self._show = show
        self._started = self._drawn = time.monotonic()
        self._width = 0

    def update(self, count: int) -> None:
        if not self._show:
            return
        now = time.monotonic()
        if now - self._drawn < _PROGRESS_SECONDS:
            return
        self._drawn = now
        line = f"{count:,} sent, {count / (now - self._started):,.0f}/s"
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def clear(self) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0
