"""The room that is measured: one of its own, which goes afterwards."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kchat import errors
from kchat.client.connection import broker_errors, connect

if TYPE_CHECKING:
    from kchat.config.settings import Settings

_ANSWER_SECONDS = 3.0
"""How long to wait for a broker when the room is deleted, in seconds: somebody who pressed Ctrl+C waits for the end."""


def own_room(settings: Settings) -> Settings:
    """A room with a name that nobody else uses; an embedded one is in a folder of its own, beside the file that is named."""
    settings = replace(settings, room=f"kchat-bench-{secrets.token_hex(4)}")
    if not settings.transport.embedded:
        return settings
    named = Path(settings.broker.path)
    beside = named.parent
    with suppress(OSError):
        beside = next(folder for folder in named.parents if folder.is_dir())
    broker = replace(settings.broker, path=str(beside / f".{settings.room}" / "room.db"))
    return replace(settings, brokers=(broker,))


def make_room(settings: Settings) -> Settings:
    """Make the folder of an embedded room of :func:`own_room`; elsewhere, its subscribers and senders make the room.

    Raises:
        kchat.errors.Refused: it cannot be made.
    """
    if settings.transport.embedded:
        folder = Path(settings.broker.path).parent
        try:
            folder.mkdir(0o700)
        except OSError as error:
            raise errors.Refused(
                f"cannot make a room in {folder.parent}: {error.strerror or error}"
            ) from None
    return settings


def delete_room(settings: Settings) -> str:
    """Delete a room of :func:`own_room`; returns what is left behind and why, or nothing."""
    if settings.transport.embedded:
        folder = Path(settings.broker.path).parent
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # where nothing can be looked at, nothing was made
            return f"the folder {folder} is left behind" if folder.exists() else ""
        return ""
    impatient = replace(
        settings,
        connect_timeout=min(settings.connect_timeout, _ANSWER_SECONDS),
        confirm_timeout=min(settings.confirm_timeout, _ANSWER_SECONDS),
    )
    try:
        connection, broker = connect(impatient, purpose="bench")
        try:
            with broker_errors(broker, "delete the room"):
                settings.transport.room(settings.room).exchange(connection.channel()).delete()
        finally:
            broker.transport.close(connection)
    except (errors.NotFound, KeyError):
        return ""  # nobody got as far as making it; a Kombu virtual transport knows of none that another process made
    except Exception as error:  # noqa: BLE001 - the driver of a plug-in may raise anything
        return f"the room {settings.room} is left behind: {error}"
    return ""
