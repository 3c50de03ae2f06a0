"""The room that is measured: one of its own, which goes afterwards."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kchat import errors
from kchat.client.connection import broker_errors, close, connect

if TYPE_CHECKING:
    from kchat.config.settings import Settings

_ANSWER_SECONDS = 3.0
"""How long to wait for a broker when the room is deleted, in seconds: somebody who pressed Ctrl+C waits for the end."""


class OwnRoom:
    """A room with a name that nobody else uses; an embedded one is in a folder of its own, beside the file that is named.

    Arguments:
        settings: the broker; the room's name is not used.
    """

    def __init__(self, settings: Settings) -> None:
        self.name = f"kchat-bench-{secrets.token_hex(4)}"
        self.settings = replace(settings, room=self.name)
        self._folder: Path | None = None

    def make(self) -> Settings:
        """See to it that processes can use it; returns the settings for that.

        Raises:
            kchat.errors.Refused: the folder of an embedded room cannot be made.
        """
        if self.settings.transport.embedded:
            named = Path(self.settings.broker.path)
            beside = named.parent
            try:
                beside = next(folder for folder in named.parents if folder.is_dir())
                self._folder = beside / f".{self.name}"
                self._folder.mkdir(0o700)
            except OSError as error:
                raise errors.Refused(f"cannot make a room in {beside}: {error.strerror or error}") from None
            broker = replace(self.settings.broker, path=str(self._folder / "room.db"))
            self.settings = replace(self.settings, brokers=(broker,))
        return self.settings

    def delete(self) -> str:
        """Delete it; returns what is left behind and why, or nothing."""
        if self.settings.transport.embedded and self._folder is None:
            return ""  # it was not made
        return delete_room(self.settings)


def delete_room(settings: Settings) -> str:
    """Delete a room that :meth:`OwnRoom.make` has made; returns what is left behind and why, or nothing."""
    if not settings.transport.embedded:
        return _delete_from_broker(settings)
    folder = Path(settings.broker.path).parent
    shutil.rmtree(folder, ignore_errors=True)
    return f"the folder {folder} is left behind" if folder.exists() else ""


def _delete_from_broker(settings: Settings) -> str:
    hurried = replace(
        settings,
        connect_timeout=min(settings.connect_timeout, _ANSWER_SECONDS),
        confirm_timeout=min(settings.confirm_timeout, _ANSWER_SECONDS),
    )
    try:
        connection, broker = connect(hurried, purpose="bench")
        try:
            with broker_errors(broker, "delete the room"):
                hurried.transport.room(hurried.room).exchange(connection.channel()).delete()
        finally:
            close(connection)
    except errors.NotFound:
        pass  # nobody got as far as making it
    except errors.KchatError as error:
        return f"the room {settings.room} is left behind: {error}"
    return ""
