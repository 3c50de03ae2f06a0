"""The options that choose messages, the same for all commands that show some."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from kchat.config.validation import login_name
from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.client.filters import Filter
    from kchat.config.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--from", "senders", metavar="NAME", multiple=True, help="Only what NAME sends; may be repeated."
    ),
    click.option(
        "--grep",
        "patterns",
        metavar="REGEX",
        multiple=True,
        help="Only texts with a match (RE2 syntax; (?i) ignores case); may be repeated.",
    ),
    click.option("--not", "inverted", is_flag=True, help="Only what --from and --grep leave out."),
    click.option("--ignore-me", is_flag=True, help="Leave out what you send."),
    click.option("--only-verified", is_flag=True, help="Only names that the broker has checked."),
)


def filter_options(function: F) -> F:
    """Add the options. Click hands them over as keyword arguments; :func:`take_choice` takes them out again."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


class Choice(NamedTuple):
    """The values of :func:`filter_options`."""

    senders: tuple[str, ...]
    patterns: tuple[str, ...]
    inverted: bool
    ignore_me: bool
    only_verified: bool

    def to_filter(self, settings: Settings, username: str | None) -> Filter | None:
        """What the options say; ``None`` where every message is wanted.

        Arguments:
            settings: the room's.
            username: the viewer's name. Default: the settings', else the login name.

        Raises:
            kchat.errors.SettingsError: they are not valid, or nothing could be shown.
        """
        if not any(self):
            return None
        if self.inverted and not (self.senders or self.patterns):
            raise click.UsageError("--not goes with --from or --grep.")
        from kchat.client.filters import choose, is_mine

        self.check(
            verifies=settings.transport.verifies_accounts, where=f"the {settings.transport.name} transport"
        )
        name = (settings.username or login_name()) if username is None else username
        return choose(
            usernames=self.senders,
            patterns=self.patterns,
            inverted=self.inverted,
            ignored=is_mine(name, settings.broker.account) if self.ignore_me else None,
            only_verified=self.only_verified,
        )

    def check(self, *, verifies: bool, where: str) -> None:
        """Refuse to look for verified names where no name is checked.

        Arguments:
            verifies: whether accounts are checked there.
            where: the transport, or the broker.

        Raises:
            kchat.errors.SettingsError: they are not, and only verified ones are wanted.
        """
        if self.only_verified and not verifies:
            raise SettingsError(
                f"{where} checks no names, so none is verified", hint="leave --only-verified out"
            )


def take_choice(options: dict[str, Any]) -> Choice:
    """The values of :func:`filter_options`, taken out of a command's other options."""
    return Choice(*(options.pop(name) for name in Choice._fields))
