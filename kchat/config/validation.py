"""What rooms and people may be called."""

from __future__ import annotations

import os
from collections.abc import Collection

from kchat.errors import SettingsError
from kchat.message.control import has_control
from kchat.transports import TRANSPORTS

MAX_BYTES = 255
"""AMQP 0-9-1 section 4.2.5.3: an exchange's name is a short string."""


def check_room(room: str, *, predeclared: Collection[str] = ()) -> None:
    """A room's name may hold spaces, slashes and any script, up to 255 bytes of UTF-8; anything else is a SettingsError.

    ``amq.`` is reserved (AMQP 0-9-1) for rooms that the broker has from the start, ``predeclared``.
    """
    if not room or not room.strip():
        raise SettingsError("a room needs a name")
    if has_control(room):
        raise SettingsError(f"the room's name {room!a} has control characters in it")
    size = len(room.encode())
    if size > MAX_BYTES:
        raise SettingsError(f"the room's name is too long: {size} bytes of UTF-8, at most {MAX_BYTES}")
    if room.startswith("amq.") and room not in predeclared:
        there = [name for name in TRANSPORTS.built_in if room in TRANSPORTS[name].predeclared_rooms]
        raise SettingsError(
            f"{room!r}: names that start with 'amq.' are the broker's own",
            hint=f"on {' and '.join(there).upper()} {room!r} is a room" if there else "",
        )


def check_name(name: str, what: str = "username") -> None:
    """A name may be anything that a person can read on one line, up to 255 bytes of UTF-8; else SettingsError.

    ``what`` it is stands in the error: ``username``, ``account`` or ``durable name``.
    """
    if not name or not name.strip():
        raise SettingsError(f"the {what} is empty", hint=f"name one with {{{what.split(maxsplit=1)[0]}}}")
    if has_control(name):
        raise SettingsError(f"the {what} {name!a} has control characters in it")
    if len(name.encode()) > MAX_BYTES:
        raise SettingsError(f"the {what} is too long: at most {MAX_BYTES} bytes of UTF-8")


def login_name() -> str:
    """The name of the logged-in user: the default ``--username``."""
    if name := os.environ.get("LOGNAME"):
        return name  # where getuser looks first; its module loads much for a terminal
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):  # no such user in the password database, as in some containers
        return f"uid{os.getuid()}" if hasattr(os, "getuid") else "somebody"
