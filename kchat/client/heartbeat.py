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

    from kchat.transports.protocols import Beats

logger = logging.getLogger(__name__)

_PATIENCE = 1.0
"""Seconds that its end may take; it has nothing to do but to notice."""


class Heartbeat:
    """A thread that sends a connection's heartbeats while nobody else uses it.

    Arguments:
        connection: of py-amqp, with :meth:`~kchat.transports.amqp.connection.AliveConnection.beat`.
        in_use: held by the thread that uses the connection, and sends its heartbeats meanwhile.
        pause: seconds between looks whether one is due.
    """

    def __init__(self, connection: Beats, in_use: RLock, pause: float) -> None:
        self._connection = connection
        self._in_use = in_use
        self._pause = pause
        self._stop = Event()
        self._thread = Thread(target=self._run, name="kchat heartbeats", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, and wait for that. Call it while holding ``in_use``: then the thread does not use the connection."""
        self._stop.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            if self._in_use.acquire(blocking=False):
                try:
                    if not self._stop.is_set():
                        self._connection.beat()
                except OSError as error:
                    # The next user of the connection meets it too, and can do something about it.
                    logger.debug("no heartbeat sent: %s", error)
                    return
                finally:
                    self._in_use.release()
