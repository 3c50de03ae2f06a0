"""Hints of library errors as the command line shows them: with the flag in place of the argument."""

from __future__ import annotations

from kchat.errors import Hint

_OTHERWISE = {"account": "--rmq-username", "password": "--ask-password"}
"""What the library calls otherwise than the command line does; every other flag is the argument's name."""


def flag(option: str) -> str:
    """The flag for an option of :data:`kchat.errors.ARGUMENTS`: ``--tls-pin`` for ``tls_pin``."""
    return _OTHERWISE.get(option) or "--" + option.replace("_", "-")


def with_flags(hint: str) -> str:
    """A hint, its options as flags."""
    return hint.shown(flag) if isinstance(hint, Hint) else hint
