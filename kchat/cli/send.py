"""``kchat send``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import click

from kchat.cli.options import (
    Seconds,
    broker_options,
    confirm_timeout_option,
    quiet_option,
    to_settings,
    username_option,
    wait_option,
)
from kchat.cli.say import speaker
from kchat.cli.stop import Stop, stop_by_signal
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.sender import Sender

_PROGRESS_SECONDS = 0.1


@click.command(name="send", short_help="Send messages to a room.")
@click.argument("message", nargs=-1, metavar="[MESSAGE | -]")
@click.option("--message", "-m", "text", metavar="MESSAGE", help="The message, if not as an argument.")
@username_option
@broker_options
@confirm_timeout_option
@wait_option
@click.option("--mandatory", is_flag=True, help="Fail when nobody is listening, where the broker can tell.")
@click.option("--bot", is_flag=True, help="Keep posting quotes.")
@click.option(
    "--bot-wait-s",
    type=Seconds(zero=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two quotes.",
)
@click.option("--bot-count", type=click.IntRange(min=1), metavar="N", help="End after so many quotes.")
@quiet_option
def command(
    message: tuple[str, ...],
    text: str | None,
    username: str | None,
    confirm_timeout: float,
    wait: bool,
    mandatory: bool,
    bot: bool,
    bot_wait_s: float,
    bot_count: int | None,
    quiet: bool,
    **broker: Any,
) -> int:
    """Send MESSAGE to a room, and return when the broker has confirmed it.

    With "-", every line of standard input is a message.

    \b
    Examples:
      kchat send "Hello world"
      kchat send --host localhost --rmq-username rmq --ask-password --username ada "Hello world"
      kchat send --url amqp://rmq@broker.example/ --room lunch --message "Soup today"
      tail -f app.log | kchat send --username app -
      kchat send --bot --bot-wait-s 2
    """
    given = [bool(message), text is not None, bot]
    if sum(given) > 1:
        raise click.UsageError("Give the message once: as an argument, by --message, or --bot.")
    if not any(given):
        raise click.UsageError(
            "Missing message: give it as an argument, by --message, or '-' for standard input."
        )
    settings = to_settings(confirm_timeout=confirm_timeout, **broker)
    if settings.transport.name == "memory":
        raise SettingsError(
            "a memory:// room ends with this process: nobody can hear it", hint="it is for tests"
        )
    from kchat.cli import INTERRUPTED
    from kchat.sender import Sender

    say = speaker(quiet)
    sender = Sender(settings, username, mandatory=mandatory, wait=wait, on_event=speaker(quiet=False))
    code = INTERRUPTED
    with stop_by_signal() as stop:
        if bot:
            say(f"posting to {settings} every {bot_wait_s:g} s; Ctrl+C ends it")
            code = _send_all(sender, _quotes(bot_wait_s, bot_count, stop), stop, quiet, endless=True)
        elif message == ("-",):
            from kchat.cli.lines import read_lines

            descriptor = _standard_input()
            say(f"sending to {settings}, a message a line")
            code = _send_all(sender, read_lines(descriptor), stop, quiet)
        else:
            code = _send_one(sender, _typed(" ".join(message) if text is None else text), quiet)
    return code


def _standard_input() -> int:
    if sys.stdin is None:
        raise SettingsError("standard input is closed, so there is nothing to read a message from")
    return sys.stdin.fileno()


def _typed(text: str) -> str:
    """An argument's text; its bytes that are no UTF-8 become visible escapes, as those of standard input do."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _send_one(sender: Sender, text: str, quiet: bool) -> int:
    from kchat.cli import DONE

    settings = sender.settings
    try:
        with sender:
            receipt = sender.send(text)
    except KeyboardInterrupt:
        if sender.unsettled:
            speaker(quiet=False)("kchat: interrupted before it was confirmed: it may have arrived or not")
        raise
    unheard = ""
    if receipt.heard is False:
        kept = ", it is kept in the room's history" if settings.transport.abilities.history else ""
        unheard = f"; nobody was listening{kept}"
    speaker(quiet)(f"sent to {settings}{unheard}")
    return DONE


def _send_all(
    sender: Sender, messages: Iterable[str | None], stop: Stop, quiet: bool, *, endless: bool = False
) -> int:
    """Send a stream; tell what was refused as it happens, and the sum at the end. Returns the exit code.

    Asked to stop, it takes no more messages, and waits for the confirmations of those that it has for as long as a
    signal allows.
    """
    from kchat.cli import DONE, FAILED, INTERRUPTED

    say = speaker(quiet)
    progress = _Progress(show=not quiet and not endless and sys.stderr is not None and sys.stderr.isatty())
    confirmed = failed = unheard = 0
    code = DONE
    try:
        with sender:
            stop.gentle = True
            for receipt in sender.send_many(takewhile(lambda _: not stop(), messages)):
                if receipt.error is None:
                    confirmed += 1
                    unheard += receipt.heard is False
                else:
                    failed += 1
                    progress.clear()
                    speaker(quiet=False)(f"kchat: {receipt.error}")
                progress.update(confirmed)
        if stop():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        code = DONE if endless else INTERRUPTED
    finally:
        progress.clear()
        parts = [f"{confirmed:,} sent to {sender.settings}"]
        if unheard:
            parts.append(f"{unheard:,} with nobody listening")
        if failed:
            parts.append(f"{failed:,} not sent")
        if sender.unsettled:
            parts.append(f"{sender.unsettled:,} not confirmed, which may have arrived or not")
        say(", ".join(parts))
    return FAILED if failed else code


def _quotes(pause: float, count: int | None, stop: Stop) -> Iterator[str | None]:
    """Quotes from the list that comes with the package, in random order, over and over."""
    import random
    from importlib.resources import files

    quotes = files("kchat").joinpath("data/quotes.txt").read_text("utf-8").splitlines()
    sent = 0
    while True:
        for quote in random.sample(quotes, len(quotes)):
            if sent == count:
                return
            if sent:
                yield None  # the confirmation of the last one is collected before the pause
                until = time.monotonic() + pause
                while not stop() and (left := until - time.monotonic()) > 0:
                    time.sleep(min(left, _PROGRESS_SECONDS))
            yield quote
            sent += 1


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
