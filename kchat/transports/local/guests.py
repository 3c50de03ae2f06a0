"""Guests of an embedded room: there are no accounts, and a group of the machine shares the file."""

from __future__ import annotations

import os
import shlex
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from kchat.errors import SettingsError
from kchat.transports import guests

if TYPE_CHECKING:
    from kchat.transports.protocols import RoomSettings
    from kchat.transports.url import Broker

_SQLITE = b"SQLite format 3\0"
_HEADER_BYTES = 100
"""https://www.sqlite.org/fileformat.html section 1.3."""


class Guests(guests.Guests):
    """See :class:`kchat.transports.guests.Guests`."""

    def admit(self, settings: RoomSettings, guest: str, *, send_only: bool) -> guests.Access:
        """A file to share: anyone who can write it can do everything. SQLite gives its log and index the file's mode."""
        if send_only:
            raise SettingsError(
                "anyone who can write a room's file can do everything, so no guest can be limited to sending",
                hint="a room on a broker has accounts",
            )
        path = settings.brokers[0].path
        file, folder = shlex.quote(path), shlex.quote(str(Path(path).parent))
        advice = (
            f"the room is the file {path}, without accounts: anyone who can write it can do everything",
            f"for a group of this machine: chgrp GROUP {folder} {file}; chmod 2770 {folder}; chmod 660 {file}",
            "in a folder of that group, not in your home, and not on a network file system: its locks are too weak",
        )
        return guests.Access(advice=advice, needs_room=True)

    def check(self, broker: Broker) -> None:
        """Its file is a room; nothing is changed: joining makes no file, and writes into no other."""
        file = Path(broker.path)
        if not file.is_absolute() or ".." in file.parts:
            raise SettingsError("a room in a file is joined by its absolute path: local:///path/to/room.db")
        try:
            # Without waiting: the other end of a named pipe may never come.
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            with os.fdopen(descriptor, "rb", buffering=0) as opened:
                regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
                header = opened.read(_HEADER_BYTES) if regular else b""
        except FileNotFoundError:
            raise SettingsError(
                f"there is no room at {file}", hint="its host makes it, by sending a first message"
            ) from None
        except (OSError, ValueError) as error:
            raise SettingsError(f"{file} cannot be opened: {getattr(error, 'strerror', error)}") from error
        if not header.startswith(_SQLITE) or not _is_room(file, header):
            raise SettingsError(f"{file} is not a kchat room")

    def describe(self, broker: Broker) -> list[tuple[str, str]]:
        """The file."""
        return [("file", broker.path)]


def _is_room(file: Path, header: bytes) -> bool:
    """By the application's id, which for a young room is in the log beside it and not yet in its header."""
    from kchat.transports.local.schema import APPLICATION_ID

    found = int.from_bytes(header[68:72], "big")
    if found or not file.with_name(file.name + "-wal").exists():
        return found == APPLICATION_ID
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=1)) as db:
            return bool(db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,))
    except sqlite3.Error:
        return False
