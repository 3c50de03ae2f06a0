"""The command line: the Click group, and the one map from errors to exit codes.

A command is one module with an attribute ``command``, and one line in :data:`COMMANDS`. It is imported when it is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

import click

from kchat import __version__
from kchat.errors import KchatError, SettingsError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

DONE, FAILED, USAGE, TOO_FEW, INTERRUPTED = 0, 1, 2, 3, 130

COMMANDS = {
    "chat": "Talk in a room: read and write in one window.",
    "send": "Send messages to a room.",
    "subscribe": "Show the messages of a room.",
    "who": "Show who is in a room.",
    "history": "Let a room remember what was said, for those who come later.",
    "record": "Record a room to a file.",
    "replay": "Send a recording again.",
    "archive": "Keep what is said in rooms, to ask later.",
    "stats": "Show who said how much and when, from an archive.",
    "durable": "List and remove durable subscriptions.",
    "invite": "Invite somebody to a room.",
    "revoke": "Revoke an invitation.",
    "serve": "Open a room to guests with nothing but a browser.",
    "join": "Accept an invitation.",
    "profile": "List and choose the rooms that you have joined.",
    "doctor": "Find out why a room is unreachable.",
    "certify": "Make certificates for a broker with TLS.",
    "bridge": "Make rooms of two brokers one.",
    "transports": "List the brokers that kchat can use, and what each can do.",
    "bench": "Measure how fast a broker is.",
    "sweep": "Delete what killed subscribers left behind on Pub/Sub.",
}


class LazyGroup(click.Group):
    """A group that imports a command when it is used, and none for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order to show."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command by its name."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"kchat.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands from the table, without importing them, and the options."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nShell completion, for bash; likewise zsh_source and fish_source:\n"
    '  eval "$(_KCHAT_COMPLETE=bash_source kchat)"',
)
@click.version_option(__version__, prog_name="kchat")
@click.option(
    "--debug",
    is_flag=True,
    envvar="KCHAT_DEBUG",
    show_envvar=True,
    help="Show tracebacks and the libraries' logs; put it before the command.",
)
@click.pass_context
def group(ctx: click.Context, debug: bool) -> None:
    """A chat room on the message broker that you already have.

    Without a broker, the room is a file on this machine. To use a broker, give --url or --host, or set KCHAT_URL.

    \b
    Examples:
      kchat subscribe --mode rich            # in one terminal
      kchat send "Hello world"               # in another terminal
      kchat send --host localhost --rmq-username rmq --ask-password "Hello world"
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    if debug:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s: %(message)s")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit with its code: see ``docs/command-line.md``.

    Arguments:
        argv: the words after the program's name. Default ``sys.argv[1:]``.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None and any(
        "password" in word or "@" in word or "kchat://" in word.lower() for word in words
    ):
        from kchat.cli.process import hide_passwords

        hide_passwords(words)
    asked = os.environ.get("KCHAT_DEBUG", "").strip().lower()
    debug = "--debug" in words[:1] or asked in ("1", "true", "t", "yes", "y", "on")  # as Click has it
    if debug:
        sys.excepthook = _show_traceback
    try:
        code = _run(words)
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of the output is gone, as in "kchat subscribe | head -3".
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except ImportError as error:
        # A Python built without one of its modules; anything else missing is a bug.
        if error.name not in sys.stdlib_module_names:
            raise
        from kchat.transports import without

        code = _failure(without(error.name), debug=debug)
    except (OSError, KchatError) as error:
        code = _failure(error, debug=debug)
    if (stderr := sys.modules.get("kchat.cli.stderr")) is not None:
        stderr.finish_line()
    sys.exit(code)


def _failure(error: OSError | KchatError, *, debug: bool) -> int:
    if debug:
        _show_traceback(type(error), error, error.__traceback__)
    if isinstance(error, KchatError):
        _complain(str(error), error.hint)
        return USAGE if isinstance(error, SettingsError) else FAILED
    # Brokers' errors are KchatErrors by now; what remains is writing the output.
    _complain(f"cannot write the output: {error.strerror or error}", "")
    return FAILED


def _run(words: list[str]) -> int:
    """Run what Click makes of the words; report wrong usage."""
    try:
        result = group.main(args=words, prog_name="kchat", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        _complain(" ".join(error.format_message().split()), _help_hint(error))
        return error.exit_code
    except (OSError, KchatError, click.Abort):
        raise
    except Exception as error:
        from kchat.plugins import blamed

        if (unusable := blamed(error)) is None:
            raise
        raise unusable from error
    return result if isinstance(result, int) else DONE


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an uncaught error as Python does, but without passwords."""
    import traceback

    from kchat.config.masking import mask

    if sys.stderr is not None:  # closed by the parent process
        sys.stderr.write(mask("".join(traceback.format_exception(kind, error, trace))))


def _help_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return ""
    see = f"see: {context.command_path} --help"
    mistaken = isinstance(error, click.NoSuchOption | click.BadOptionUsage)
    if mistaken and context.command.name == "send":
        return f'{see}; put -- before a message that begins with a dash: kchat send -- "- like this"'
    return see


def _complain(text: str, hint: str) -> None:
    from kchat.cli.flags import with_flags
    from kchat.cli.stderr import finish_line
    from kchat.config.masking import mask
    from kchat.message.unprintable import escape_unprintable

    finish_line()
    for part, lead in (text, "kchat: "), (with_flags(hint), "  "):
        if line := " ".join(escape_unprintable(part, keep_newlines=False).split()):
            click.echo(lead + mask(line), err=True)
