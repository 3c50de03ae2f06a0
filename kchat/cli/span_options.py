"""The options of a reader's span: from where in the history it begins, and where it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from kchat.cli.param_types import SINCE, TIME, whole_number

F = TypeVar("F", bound=Callable[..., Any])

_SPAN = (
    click.option(
        "--last",
        type=whole_number(0, 1_000_000_000),
        metavar="N",
        help="Begin with the last N messages of the history.",
    ),
    click.option(
        "--since", type=SINCE, metavar="TIME", help="Begin at that time: 10m, 2h, 9:00, 2026-01-31T12:00Z."
    ),
    click.option("--until", type=TIME, metavar="TIME", help="End at that time, in the history or to come."),
    click.option(
        "--no-follow",
        "follow",
        is_flag=True,
        flag_value=False,
        default=True,
        help="End with what is held: wait for no more.",
    ),
)


def span_options(function: F) -> F:
    """Add them. Click hands them over as ``last``, ``since``, ``until`` and ``follow``."""
    for option in reversed(_SPAN):
        function = option(function)
    return function
