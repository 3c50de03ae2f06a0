"""How a command's help looks: options in groups, and the environment variables.

Click writes all options as one list, with the bounds of numbers. A command of kchat has thirty options, most of which name
the broker; :data:`GROUPS` sorts them, the most used ones first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kchat.errors import BrokerError, NotConfirmed

if TYPE_CHECKING:
    from kchat.plugins import Registry

GROUPS = {
    "Messages": (
        "text",
        "file",
        "count",
        "template",
        "after",
        "wait_pid",
        "allow_empty",
        "mandatory",
        "receipts",
        "mode",
        "last",
        "since",
        "until",
        "limit",
        "idle_timeout",
    ),
    "Room": ("room", "username", "profile"),
    "Broker": (
        "url",
        "host",
        "rmq_username",
        "ask_password",
        "rmq_password",
        "port",
        "vhost",
        "transport",
        "project",
        "management_url",
    ),
    "Choosing": ("follow", "senders", "patterns", "inverted", "ignore_me", "only_verified"),
    "Durable": ("durable", "expires", "max_size", "shared"),
    "Command": ("command_line", "shell", "jobs", "exec_timeout", "on_failure"),
    "Bot": ("bot", "bot_wait_s", "bot_count", "bot_authors"),
    "TLS": ("tls", "tls_ca", "tls_cert", "tls_key", "tls_pin", "tls_insecure"),
    "Behaviour": (
        "line_format",
        "events",
        "queue_length",
        "date",
        "utc",
        "color",
        "hidden",
        "wait",
        "connect_timeout",
        "confirm_timeout",
        "heartbeat",
        "quiet",
        "verbose",
        "help",
    ),
}
"""The options that commands share, by parameter names, in the order to show. A command's other options come before them,
in a group "Options"."""

_OTHERS = "Options"

_READ_BY_SETTINGS = {"url": "KCHAT_URL", "profile": "KCHAT_PROFILE"}
"""Variables that Click does not read: settings do, each at its own rank."""

_NAMES_WIDTH = 27
"""Columns of the longest ``--option METAVAR`` whose help stays on the same line."""


def by_group(command: click.Command, context: click.Context) -> dict[str, list[click.Option]]:
    """A command's options, ``--help`` included, by group in the order to show; no group is empty."""
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    shared = [name for members in GROUPS.values() for name in members]
    found = {_OTHERS: [option for option in options if _key(option) not in shared]}
    for group, members in GROUPS.items():
        found[group] = [option for name in members for option in options if _key(option) == name]
    if len(found["Behaviour"]) == 1:  # --help alone
        found[_OTHERS] += found.pop("Behaviour")
    return {group: each for group, each in found.items() if each}


def _key(option: click.Option) -> str:
    """An option's name in :data:`GROUPS`. Click's own name for ``--help`` differs between releases."""
    return "help" if "--help" in option.opts else str(option.name)


def names(option: click.Option, context: click.Context) -> str:
    """``-m, --message TEXT``: how to write an option."""
    record = option.get_help_record(context)
    assert record is not None, f"{option.name} is hidden"
    return record[0]


def default(option: click.Option) -> str:
    """An option's default in words; empty if there is none to show."""
    if isinstance(option.show_default, str):
        return option.show_default
    if not option.show_default or option.default is None:
        return ""
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default)


def variable(option: click.Option) -> str:
    """The environment variable that sets an option; empty if there is none."""
    if isinstance(option.envvar, str):
        return option.envvar
    return _READ_BY_SETTINGS.get(str(option.name), "")


class Command(click.Command):
    """A command whose help shows options in groups, with environment variables, and whose failures suggest the doctor."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; where a broker is the trouble, the error's hint gets the doctor's command line."""
        try:
            return super().invoke(ctx)
        except (BrokerError, NotConfirmed) as error:
            from kchat.cli.advice import advice
            from kchat.cli.flags import with_flags

            # Of a group, the error may be a subcommand's, which has seen to that.
            if ctx.invoked_subcommand is None and (further := advice(ctx)):
                hint = with_flags(error.hint)
                error.hint = (
                    f"{hint} Or run: " if hint.endswith("?") else f"{hint}; or run: " if hint else "run: "
                )
                error.hint += further
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups, and then the environment."""
        groups = by_group(self, ctx)
        options = [each for members in groups.values() for each in members]
        width = max(size for each in options if (size := len(names(each, ctx))) <= _NAMES_WIDTH)
        for group, members in groups.items():
            rows = [(names(each, ctx).ljust(width), _explained(each)) for each in members]
            with formatter.section(group):
                formatter.write_dl(rows, col_max=width)
        if variables := [name for each in options if (name := variable(each))]:
            formatter.write_paragraph()
            formatter.write_text("Environment: " + ", ".join(variables))


def _explained(option: click.Option) -> str:
    """An option's help and default, with what it takes from other distributions, and what of theirs it refuses and why."""
    text = str(option.help)
    registry: Registry[object] | None = getattr(option.type, "registry", None)
    if registry is not None:
        listed = "; ".join([text.rstrip("."), *registry.plug_ins])
        text = " ".join(f"{each}." for each in (listed, *registry.ignored))
    return f"{text} [default: {shown}]" if (shown := default(option)) else text


class Group(click.Group):
    """A command with subcommands, whose help looks like that of other commands."""

    command_class = Command


class GroupWithOptions(Command, Group):
    """A command that does something by itself, with options, and has subcommands besides."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands, and then the options as of any command."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)
