"""A presence beside a subscriber that does not want to know who is here: nothing of it is loaded before it begins."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.presence import Presence
    from kchat.client.subscriber import Subscriber

_CLOSE_TIMEOUT = 0.5
"""Seconds for its goodbye."""


def presence_beside(subscriber: Subscriber, *, after: float) -> Callable[[], None]:
    """Let a subscriber that is open count as here, where that takes announcements.

    Arguments:
        subscriber: it, made with ``present``.
        after: seconds until it does. What ends before has cost nothing.

    Returns:
        Ends it; returns at once where it has not begun.
    """
    settings = subscriber.unlocked_settings
    if not settings.transport.presence(settings.room).announces:
        return lambda: None
    stopping = Event()
    begun: list[Presence] = []

    def run() -> None:
        if stopping.wait(after):
            return
        from kchat.client.presence import Presence

        begun.append(Presence(settings, subscriber.username, asks=False))
        if not stopping.is_set():
            begun[0].run()

    def end() -> None:
        stopping.set()
        for presence in begun:
            presence.stop()
        thread.join(_CLOSE_TIMEOUT)

    thread = Thread(target=run, name="kchat presence", daemon=True)
    thread.start()
    return end
