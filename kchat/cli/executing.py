"""``kchat subscribe --exec``: a command for each message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

from kchat.cli.param_types import SECONDS, whole_number
from kchat.cli.shutdown import shutdown_by_signal
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.client.commands import OnFailure, Outcome
    from kchat.client.subscriber import Subscriber

F = TypeVar("F", bound=Callable[..., Any])

MOST_JOBS = 1000

_FAILURES = ("stop", "retry", "skip")

_OPTIONS = (
    click.option(
        "--exec",
        "command_line",
        metavar="CMD",
        help="Run a command for each message.",
    ),
    click.option("--shell", is_flag=True, help="Run CMD by sh -c."),
    click.option(
        "--jobs",
        type=whole_number(1, MOST_JOBS),
        default=1,
        show_default=True,
        metavar="N",
        help="Maximum number of commands at once.",
    ),
    click.option("--exec-timeout", type=SECONDS, metavar="SECONDS", help="End a command after this time."),
    click.option(
        "--on-failure",
        type=click.Choice(_FAILURES),
        default="stop",
        show_default=True,
        metavar="WHAT",
        help="stop, retry or skip the message.",
    ),
    click.argument("arguments", nargs=-1, metavar="[-- ARGUMENT...]"),
)


def exec_options(function: F) -> F:
    """Add the options of ``--exec``; :func:`given` takes their values."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


class Exec(NamedTuple):
    """What to run, and how."""

    words: list[str]
    jobs: int
    timeout: float | None
    on_failure: OnFailure


def given(
    command_line: str | None,
    arguments: Sequence[str],
    *,
    shell: bool,
    jobs: int,
    exec_timeout: float | None,
    on_failure: str,
    several: bool,
) -> Exec | None:
    """The values of :func:`exec_options`; None without ``--exec``; ``several`` rooms are too many for it.

    Raises:
        click.UsageError: they contradict each other.
        kchat.errors.SettingsError: there is no such command.
    """
    from click.core import ParameterSource

    source = click.get_current_context().get_parameter_source
    if command_line is None:
        if arguments:
            raise click.UsageError(f"Got unexpected extra argument ({arguments[0]})")
        others = ("shell", "jobs", "exec_timeout", "on_failure")
        if any(source(name) is ParameterSource.COMMANDLINE for name in others):
            raise click.UsageError("--shell, --jobs, --exec-timeout and --on-failure go with --exec.")
        return None
    if source("mode") is ParameterSource.COMMANDLINE:
        raise click.UsageError("Give either --mode or --exec: a command shows what it wants to.")
    if several:
        raise click.UsageError("--exec takes one --room.")
    if source("events") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--events goes with --mode json, and not with --exec.")
    words = _words(command_line, arguments, shell=shell)
    return Exec(words, jobs, exec_timeout, cast("OnFailure", on_failure))


def _words(command_line: str, arguments: Sequence[str], *, shell: bool) -> list[str]:
    import shlex
    import shutil

    if not command_line.strip():
        raise SettingsError("--exec: the command is empty")
    if shell:
        return ["/bin/sh", "-c", command_line, "sh", *arguments]
    try:
        words = [*shlex.split(command_line), *arguments]
    except ValueError as error:
        raise SettingsError(f"--exec: {command_line!r}: {str(error).lower()}") from None
    if not words:
        raise SettingsError("--exec: the command is empty")
    if shutil.which(words[0]) is None:
        raise SettingsError(
            f"--exec: there is no program {words[0]!r} that can be run",
            hint="a pipe, a variable or anything else of the shell's needs --shell",
        )
    return words


def execute(
    subscribed: Callable[..., Subscriber],
    wanted: Exec,
    report: Callable[[object], None],
    *,
    present: bool,
    verbose: bool,
    durable: bool,
    limit: int | None,
    idle_timeout: float | None,
) -> int:
    """Run the command for each message of the subscriber that is made with ``prefetch``. Returns the exit code.

    ``durable``: whether what is not acknowledged comes again.
    """
    import signal

    from kchat.cli import DONE, FAILED, INTERRUPTED, TOO_FEW
    from kchat.cli.listening import listening
    from kchat.cli.stderr import write_line
    from kchat.client.commands import Commands, prefetch_for

    subscriber = subscribed(prefetch=prefetch_for(wanted.jobs))
    # Inherited as ignored, it would make the system forget how commands ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    commands = Commands(
        subscriber,
        wanted.words,
        jobs=wanted.jobs,
        timeout=wanted.timeout,
        on_failure=wanted.on_failure,
        tell=lambda text: write_line(f"kchat: {text}"),
        waits=lambda count: report(_waiting(count, interrupted=stop.requested)),
    )
    begun = False
    outcomes: list[Outcome] = []
    with (
        shutdown_by_signal() as stop,
        listening(subscriber, stop, report, present=present, verbose=verbose, notes=[]),
    ):
        stop.wake, stop.grace = commands.stop, 0.0
        begun = True
        outcomes.append(commands.run(limit=limit, idle_timeout=idle_timeout))
    if not outcomes:  # interrupted a second time, or while it connected
        return INTERRUPTED if begun else DONE
    (outcome,) = outcomes
    if outcome.stopped is not None:
        write_line(f"kchat: {outcome.stopped}")
        left = f"{_left(outcome.left)}; " if durable else ""
        write_line(f"  {left}--on-failure retry or --on-failure skip goes on after a failure")
        return FAILED
    if outcome.failed:
        return FAILED
    return DONE if stop.requested or limit is None or outcome.taken >= limit else TOO_FEW


def _waiting(count: int, *, interrupted: bool) -> str:
    again = f"; Ctrl+C again ends {'it' if count == 1 else 'them'}" if interrupted else ""
    return f"waiting for {'a command' if count == 1 else f'{count} commands'}{again}"


def _left(count: int) -> str:
    what = "1 message is" if count == 1 else f"{count} messages are"
    return f"{what} not acknowledged: the durable queue delivers {'it' if count == 1 else 'them'} again"
