"""A presence beside a subscriber that does not want to know who is here: nothing of it is loaded before it begins."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kchat.client.presence import Presence
    from kchat.client.subscriber import Subscriber

_CLOSE_TIMEOUT = 1.0
"""Seconds for its goodbye."""


class PresenceBeside:
    """Lets a subscriber that is open count as here, where that takes announcements.

    Arguments:
        subscriber: it, made with ``present``.
        after: seconds until it does. What ends before has cost nothing.
    """

    def __init__(self, subscriber: Subscriber, *, after: float) -> None:
        self._settings = subscriber.unlocked_settings
        self._username = subscriber.username
        self._after = after
        self._stop = Event()
        self._presence: Presence | None = None
        self._thread = Thread(target=self._run, name="kchat presence", daemon=True)
        if self._settings.transport.presence(self._settings.room).announces:
            self._thread.start()

    def _run(self) -> None:
        if self._stop.wait(self._after):
            return
        from kchat.client.presence import Presence

        self._presence = Presence(self._settings, self._username, asks=False)
        if not self._stop.is_set():
            self._presence.run()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stop.set()
        if self._presence is not None:
            self._presence.stop()

    def close(self) -> None:
        """End it; waits up to a second for its goodbye."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_TIMEOUT)
