"""The options of a durable queue, the same for each command that reads one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from kchat.cli.param_types import DURATION, SIZE
from kchat.errors import SettingsError
from kchat.transports.durable import Durable

F = TypeVar("F", bound=Callable[..., Any])

_NAME = click.option("--durable", metavar="NAME", help="Durable queue: keeps messages while you are away.")
_LIMITS = (
    click.option(
        "--expires",
        type=DURATION,
        metavar="AGE",
        show_default="30d",
        help="Time unread that ends --durable.",
    ),
    click.option(
        "--max-size",
        type=SIZE,
        metavar="SIZE",
        show_default="1GiB",
        help="Size from which --durable drops.",
    ),
    click.option("--shared", is_flag=True, help="Share --durable: each reader gets a part."),
)


def durable_options(function: F) -> F:
    """Add them. Click hands them over as keyword arguments, for :func:`to_durable`."""
    return _NAME(durable_limits(function))


def durable_limits(function: F) -> F:
    """Add those besides its name, for a command that always reads one."""
    for option in reversed(_LIMITS):
        function = option(function)
    return function


def to_durable(
    durable: str | None, expires: float | None, max_size: int | None, *, shared: bool
) -> Durable | None:
    """The typed value of :func:`durable_options`; ``None`` without ``--durable``.

    Raises:
        kchat.errors.SettingsError: there are others without it.
    """
    if durable is not None:
        return Durable(durable, expires, max_size, shared)
    given = {"expires": expires, "max_size": max_size, "shared": shared or None}
    for name, value in given.items():
        if value is not None:
            raise SettingsError(
                f"--{name.replace('_', '-')} is about a durable queue, and none is named",
                hint="name it with {durable}",
            )
    return None
