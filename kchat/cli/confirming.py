"""Asking before something is lost: at a terminal; elsewhere ``--yes`` has to say it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from kchat.errors import SettingsError


def at_terminal() -> bool:
    """Whether somebody is there who can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def confirmed(question: Callable[[], str | None]) -> bool:
    """Whether to go on.

    Arguments:
        question: returns what to ask, or ``None`` where nothing would be lost.

    Raises:
        kchat.errors.SettingsError: there is no terminal to ask at.
    """
    asked = question()
    if asked is None:
        return True
    if not at_terminal():
        raise SettingsError(f"without a terminal to ask at, it takes --yes: {asked}")
    return click.confirm(asked, err=True)
