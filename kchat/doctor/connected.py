"""What all walks share that connect: the connection, made once, and what went wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kchat import errors
from kchat.client.connection import close, connect

if TYPE_CHECKING:
    import kombu

    from kchat.config.settings import Settings
    from kchat.doctor import Options


class ConnectedWalk:
    """A walk whose steps use one connection, made when the first of them asks.

    Arguments:
        settings: the room and one broker.
        options: what to look at.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        self.settings = settings
        self.options = options
        self.broker = settings.broker
        self.connection: kombu.Connection | None = None
        self._failure: errors.KchatError | None = None

    def close(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            close(self.connection)

    def failure(self) -> errors.KchatError | None:
        """What went wrong when connecting."""
        if self.connection is None and self._failure is None:
            try:
                self.connection, _ = connect(self.settings, purpose="doctor")
            except errors.KchatError as error:
                self._failure = error
        return self._failure
