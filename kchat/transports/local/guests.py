"""Guests of an embedded room: there are no accounts, and a group of the machine shares the file."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from amqp.exceptions import AccessRefused, AMQPError

from kchat.errors import SettingsError
from kchat.transports import guests

from . import files, untrusted
from .options import Options

if TYPE_CHECKING:
    from kchat.transports.protocols import RoomSettings
    from kchat.transports.url import Broker


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
            real = files.resolve(str(file))
            files.check(real)
            files.check_beside(real)
            is_empty = not Path(real).stat().st_size
            untrusted.check_content(real, Options(real, busy_timeout=1), threading.RLock())
        except FileNotFoundError:
            raise SettingsError(
                f"there is no room at {file}", hint="its host makes it, by sending a first message"
            ) from None
        except (AccessRefused, OSError, ValueError) as error:
            raise SettingsError(f"{file} cannot be opened: {getattr(error, 'strerror', error)}") from error
        except AMQPError as error:
            raise SettingsError(f"{file} is not a kchat room") from error
        if is_empty:
            raise SettingsError(f"{file} is not a kchat room")

    def describe(self, broker: Broker) -> list[tuple[str, str]]:
        """The file."""
        return [("file", broker.path)]
