"""Hints of library errors as the command line shows them: with flags instead of arguments."""

from __future__ import annotations

from kchat.errors import Hint

_OTHERWISE = {"account": "--rmq-username", "password": "--ask-password"}
"""Flags that are not named like the argument."""


def flag(option: str) -> str:
    """The flag for an option of :data:`kchat.errors.ARGUMENTS`: ``--tls-pin`` for ``tls_pin``."""
    return _OTHERWISE.get(option) or "--" + option.replace("_", "-")


def with_flags(hint: str) -> str:
    """A hint, its options as flags."""
    return hint.shown(flag) if isinstance(hint, Hint) else hint
