"""What becomes of a test whose broker or tool is not there."""

from __future__ import annotations

import os
import shutil
from typing import Literal, NoReturn, cast

import pytest

Choice = Literal["auto", "docker", "machine"]


def in_ci() -> bool:
    """Returns whether ``CI`` says that nothing may be skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def choice() -> Choice:
    """Returns where brokers may come from: ``KCHAT_TEST_BROKERS``, default ``auto``.

    ``auto`` is Docker where it answers, else the machine's own packages. A URL in the environment
    (``KCHAT_TEST_RABBITMQ_URL`` and the like) comes before all of them.
    """
    chosen = os.environ.get("KCHAT_TEST_BROKERS", "auto")
    if chosen not in {"auto", "docker", "machine"}:
        raise pytest.UsageError(f"KCHAT_TEST_BROKERS={chosen}: choose auto, docker or machine")
    return cast("Choice", chosen)


def missing(reason: str) -> NoReturn:
    """Ends a test for want of something: skipped with the reason, or failed where ``CI=true``."""
    if in_ci():
        pytest.fail(f"{reason} (with CI set, nothing is skipped)", pytrace=False)
    pytest.skip(reason)


def require(command: str, why: str = "") -> str:
    """Returns the path of a command that a test needs, such as ``tmux``.

    Arguments:
        command: its name, looked up on the ``PATH``.
        why: what it is for, for the summary. Default: nothing said.

    Raises:
        pytest.skip.Exception: it is not installed; with ``CI=true`` the test fails instead.
    """
    found = shutil.which(command)
    if found is None:
        missing(f"{command} is not installed" + (f": {why}" if why else ""))
    return found
