"""Heartbeats while the program is busy with something else than its connection.

A broker drops a client that sends nothing for two heartbeats (https://www.rabbitmq.com/docs/heartbeats). A client
whose terminal is stopped, or that works on a message for a minute, is not dead.
"""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import RLock

    from kchat.transports.protocols import Beats, Connection

logger = logging.getLogger(__name__)

TICKS = 5
"""Looks at the clock within one of them."""

_PATIENCE = 1.0
"""Seconds that its end may take; it has nothing to do but to notice."""


class Heartbeat:
    """A connection's heartbeats. While nobody holds ``in_use``, a thread sends them, where the driver ``beat``s.

    Arguments:
        connection: the connected one.
        in_use: held by the thread that uses the connection, and calls :meth:`check` meanwhile.
        seconds: between two of them.
    """

    def __init__(self, connection: Connection, in_use: RLock, seconds: float) -> None:
        self._connection = connection
        self._in_use = in_use
        self._pause = seconds / TICKS
        self._stop = Event()
        self._thread = Thread(target=self._run, name="kchat heartbeats", daemon=True)
        if hasattr(connection.connection, "beat"):
            self._thread.start()

    @property
    def heard_at(self) -> float:
        """When the broker was last heard, by the monotonic clock; where the driver has beats."""
        beats: Beats = self._connection.connection
        return beats.heard_at

    def check(self) -> None:
        """Send one if it is due, and raise ``ConnectionForced`` where the broker's are missing: Kombu does neither.

        Call it after reading: a caller that was busy for long finds the broker's heartbeats there.
        """
        self._connection.heartbeat_check()

    def stop(self) -> None:
        """End it, and wait for that. Call it while holding ``in_use``: then the thread does not use the connection."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            if self._in_use.acquire(blocking=False):
                try:
                    if not self._stop.is_set():
                        self._connection.connection.beat()
                except OSError as error:
                    # The next user of the connection meets it too, and can do something about it.
                    logger.debug("no heartbeat sent: %s", error)
                    return
                finally:
                    self._in_use.release()
