"""``kchat send``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from itertools import chain, islice, repeat
from pathlib import Path
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
from kchat.cli.shutdown import shutdown_by_signal
from kchat.cli.stderr import connection_teller, line_writer, write_line
from kchat.errors import KchatError, SettingsError

if TYPE_CHECKING:
    from kchat.cli.awaited import Ended
    from kchat.cli.receipts import Receipts
    from kchat.cli.shutdown import Shutdown
    from kchat.client.sender import Sender
    from kchat.message import Message

_INTERRUPTED = "interrupted before it was confirmed: it may or may not have been delivered"


@click.command(name="send", cls=Command)
@click.argument("message", nargs=-1, metavar="[MESSAGE | -]")
@click.option("--message", "-m", "text", metavar="TEXT", help="The message, if not an argument.")
@click.option("--file", metavar="FILE", help="A message from a file, or with '-' from all of standard input.")
@click.option("--count", type=whole_number(1), metavar="N", help="Send it N times.")
@click.option("--template", metavar="TEXT", help="With --count: numbered messages, such as 'ping {n}'.")
@click.option("--after", is_flag=True, help="Run a command, given as the arguments, and tell how it ended.")
@click.option("--wait-pid", type=whole_number(1), metavar="PID", help="Tell when this process has ended.")
@username_option
@broker_options
@confirm_timeout_option
@wait_option
@click.option("--allow-empty", is_flag=True, help="Send empty and blank messages, too.")
@click.option("--json", "receipts", is_flag=True, help="Print what became of each message as JSON.")
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
    file: str | None,
    count: int | None,
    template: str | None,
    after: bool,
    wait_pid: int | None,
    username: str | None,
    wait: bool,
    allow_empty: bool,
    receipts: bool,
    mandatory: bool,
    bot: bool,
    bot_wait_s: Pause,
    bot_count: int | None,
    bot_authors: bool,
    quiet: bool,
    **broker: Any,
) -> int:
    """Send MESSAGE, or each line of standard input ("-" shows a prompt), and exit when the broker has confirmed it.

    \b
    Examples:
      kchat send "Hello world"
      kchat send --host localhost --rmq-username rmq --ask-password "Hello world"
      tail -f app.log | kchat send -u app -r logs
      kchat send -- "- starts with a dash"
      kchat send --after -- make -j4 test        # tells the room when it is done
    """
    _check_usage(click.get_current_context().params)
    words = _read_file(file) if file is not None else _words(() if after else message, text)
    implied = words is None and not (bot or template or after or wait_pid or message)
    if implied and sys.stdin is None:
        raise _missing("standard input is closed")
    if implied and sys.stdin.isatty():
        raise _missing("give '-' to type messages")
    given = words if template is None else template  # a field makes no blank message
    if given is not None and not given.strip() and not allow_empty:
        raise SettingsError(
            "the message is blank" if given else "the message is empty", hint="--allow-empty sends it"
        )
    texts = _repeated(words, template, count)
    settings = to_settings(**broker)
    refuse_lone_room(settings, "nobody can receive the message")
    from kchat.cli import INTERRUPTED
    from kchat.client.sender import Sender

    tell = connection_teller(several=len(settings.brokers) > 1)
    sender = Sender(settings, username, mandatory=mandatory, wait=wait, on_event=tell)
    code = INTERRUPTED
    json = _receipts(sender) if receipts else None
    if after:
        return _send_after(sender, message, words, quiet, json)
    with shutdown_by_signal() as stop:
        if bot:
            from kchat.cli.stream import send_stream

            line_writer(quiet)(f"posting to {settings} every {bot_wait_s} s; Ctrl+C ends it")
            quotes = posts(words, bot_wait_s, bot_count, stop, as_authors=bot_authors)
            code = send_stream(sender, quotes, stop, quiet, endless=True, receipts=json)
        elif wait_pid is not None:
            code = _send_one(sender, _when_ended(sender, wait_pid, words, quiet), quiet, json)
        elif texts is not None:
            from kchat.cli.stream import send_stream

            code = send_stream(sender, texts, stop, quiet, meter=True, receipts=json)
        elif words is None:
            code = _send_input(sender, stop, quiet, json, allow_empty=allow_empty, implied=implied)
        else:
            code = _send_one(sender, words, quiet, json)
    if json is not None:
        json.close()
    return code


_KINDS = {
    "bot": "--bot",
    "file": "--file",
    "template": "--template",
    "after": "--after",
    "wait_pid": "--wait-pid",
}
"""Options that say what is sent, besides the message itself."""


def _check_usage(given: dict[str, Any]) -> None:
    """Refuse options that do not go together.

    Raises:
        click.UsageError: they do not.
    """
    message, text, count = given["message"], given["text"], given["count"]
    kinds = [name for name in _KINDS if given[name] not in (None, False)]
    rules = {
        "Give the message once: as an argument, or by --message.": message
        and text is not None
        and kinds != ["after"],
        f"Give only one of {', '.join(_KINDS.values())}.": len(kinds) > 1,
        "Give either '-' or --bot: the bot does not read standard input.": given["bot"] and message == ("-",),
        "--bot-authors and --bot-count go with --bot.": not given["bot"]
        and (given["bot_authors"] or given["bot_count"] is not None),
        "--file and --template take the place of a message.": kinds in (["file"], ["template"])
        and (message or text is not None),
        "--template goes with --count.": kinds == ["template"] and count is None,
        "--count goes with a message, --file or --template.": count is not None
        and not (kinds in (["file"], ["template"]) or (not kinds and (text or message not in ((), ("-",))))),
        "--after needs a command to run: kchat send --after make test.": kinds == ["after"] and not message,
    }
    for why, broken in rules.items():
        if broken:
            raise click.UsageError(why)


def _read_file(name: str) -> str:
    """A file, or with ``-`` standard input, as a message: without the newline at its end."""
    from kchat.errors import TooLarge
    from kchat.message.message import LARGEST

    if name == "-" and sys.stdin is None:
        raise SettingsError("standard input is closed, so there is nothing to read a message from")
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"cannot read {name!r}: {error.strerror or error}") from error
    if len(data) > LARGEST:
        raise TooLarge(f"{name!r} has more than {LARGEST:,} bytes, which is more than a subscriber reads")
    return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "backslashreplace")


def _repeated(words: str | None, template: str | None, count: int | None) -> Iterable[str] | None:
    """The messages of ``--count``; ``None`` without it."""
    if count is None:
        return None
    if template is None:
        assert words is not None
        return repeat(words, count)
    from kchat.cli.numbered import numbered

    return numbered(template, count)


def _when_ended(sender: Sender, pid: int, label: str | None, quiet: bool) -> Message:
    from kchat.cli.awaited import wait_for

    report = line_writer(quiet)
    text = f"waiting for process {pid}, to tell {sender.settings}"
    return _told(sender, wait_for(pid, label, lambda: report(text)))


def _told(sender: Sender, ended: Ended) -> Message:
    from kchat.message import Message

    return Message.compose(sender.username, ended.text, extra=ended.extra)


def _send_after(
    sender: Sender, command: tuple[str, ...], label: str | None, quiet: bool, receipts: Receipts | None
) -> int:
    """Run a command, and tell how it ended. Returns its exit code, or if that is 0, the one of sending."""
    from kchat.cli import INTERRUPTED
    from kchat.cli.awaited import NotStarted, run

    try:
        ended = run(command, label)
    except NotStarted as error:
        write_line(f"kchat: {error}")
        return error.code
    code = INTERRUPTED
    try:
        with shutdown_by_signal():
            code = _send_one(sender, _told(sender, ended), quiet, receipts)
    except KchatError as error:
        if not ended.code:
            raise
        write_line(f"kchat: {error}")
    if receipts is not None:
        receipts.close()
    return ended.code or code


def _words(message: tuple[str, ...], text: str | None) -> str | None:
    """The message, if it is not standard input; bytes that are not UTF-8 become visible escapes, as they do there."""
    words = text if message in ((), ("-",)) else " ".join(message)
    return None if words is None else os.fsencode(words).decode("utf-8", "backslashreplace")


def _receipts(sender: Sender) -> Receipts:
    from kchat.cli.receipts import Receipts

    if sys.stdout is None:
        raise SettingsError("standard output is closed, so nothing can be printed there")
    return Receipts(sender)


def _send_input(
    sender: Sender,
    stop: Shutdown,
    quiet: bool,
    receipts: Receipts | None,
    *,
    allow_empty: bool,
    implied: bool,
) -> int:
    """Send standard input, which may be a person."""
    if sys.stdin is None:
        raise SettingsError("standard input is closed, so there is nothing to read a message from")
    report = line_writer(quiet)
    descriptor = sys.stdin.fileno()
    if os.isatty(descriptor):
        from kchat.cli.prompt import send_typed

        report(f"sending to {sender.settings}; Ctrl+D ends")
        return send_typed(sender, stop, quiet, allow_empty=allow_empty, receipts=receipts)
    from kchat.cli.stdin import read_lines
    from kchat.cli.stream import Lines, send_stream

    rest = read_lines(descriptor)
    nothing = "standard input is empty"
    # The first step does not wait for input. What is empty from the start is refused before anything is contacted.
    first = list(islice(rest, 1))
    if implied and not first:
        raise _missing(nothing)
    lines = Lines(chain(first, rest), wanted=allow_empty)
    report(f"sending to {sender.settings}, a message a line")
    code = send_stream(sender, lines, stop, quiet, meter=True, receipts=receipts)
    if implied and not (lines.taken or lines.blank or code):
        raise _missing(nothing)
    return code


def _missing(why: str) -> click.UsageError:
    return click.BadArgumentUsage(f"Missing message: give it as an argument or by --message; {why}.")


def _send_one(sender: Sender, text: str | Message, quiet: bool, receipts: Receipts | None) -> int:
    from kchat.cli import DONE
    from kchat.message import Message

    settings = sender.settings
    why: object = _INTERRUPTED
    try:
        with sender:
            message = Message.compose(sender.username, text) if isinstance(text, str) else text
            if receipts is not None:
                receipts.expect(message)
            receipt = sender.send(message)
            kept = receipt.routed is False and sender.keeps_unrouted()
            if receipts is not None:
                receipts.write(receipt)
    except KeyboardInterrupt:
        if sender.unsettled:
            write_line(f"kchat: {_INTERRUPTED}")
        raise
    except KchatError as error:
        why = error
        raise
    finally:
        if receipts is not None:
            receipts.fail(why)
    unrouted = ""
    if receipt.routed is False:
        unrouted = "; nobody was listening" + (", it is kept in the room's history" if kept else "")
    line_writer(quiet)(f"sent to {settings}{unrouted}")
    return DONE
