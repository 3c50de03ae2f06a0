"""A connection in Kombu's event loop, as Celery's workers run one: the loop waits, and delivers after each write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError

from .polling import ASLEEP, LONGEST
from .watch import Watch

if TYPE_CHECKING:
    from .connection import Connection

#: Messages that are delivered at most before the loop does something else.
_MOST = 100

#: Seconds after a write at which it is looked again: what the kernel tells of is visible a moment later.
_AGAIN = (0.001, 0.01)


class Registration:
    """Has a loop deliver a connection's messages, until :meth:`end`.

    Arguments:
        connection: what to deliver from.
        loop: a :class:`kombu.asynchronous.Hub`.
    """

    def __init__(self, connection: Connection, loop: Any) -> None:
        self._connection = connection
        self._loop = loop
        self._process = os.getpid()
        self._ended = False
        self._watch_log()
        # Also where the kernel reports writes: an acknowledgement may let a consumer have more.
        self._timer = loop.call_repeatedly(ASLEEP if self._watch.fd >= 0 else LONGEST, self._look)
        loop.call_soon(self._look)

    def _watch_log(self) -> None:
        self._watched = self._connection.store.openings
        self._watch = Watch(*self._connection.store.paths)
        if self._watch.fd >= 0:
            self._loop.add_reader(self._watch.fd, self._woken)

    def _watch_other_log(self) -> None:
        """Watch the log that is in use now, unless it is the same or a callback has ended this."""
        if not self._ended and self._watched != self._connection.store.openings:
            self._end_watch()
            self._watch_log()

    def _end_watch(self) -> None:
        fd = self._watch.fd
        # A forked child shares the kernel's list of what its parent waits for.
        if fd >= 0 and self._process == os.getpid():
            self._loop.remove_reader(fd)
        self._watch.close()

    def _woken(self, *_: Any) -> None:
        self._watch.forget()
        for seconds in _AGAIN:
            self._loop.call_later(seconds, self._look)
        self._look()

    def _look(self) -> None:
        """Deliver what there is. Raises what ``drain_events`` does, which ends the registration."""
        if self._ended:
            return
        try:
            for _ in range(_MOST):
                self._connection.drain_events(timeout=0)
        except TimeoutError:
            self._watch_other_log()
            return
        except AMQPError:
            self.end()
            raise
        self._loop.call_soon(self._look)

    def end(self) -> None:
        """Deliver nothing any more; harmless to repeat."""
        self._ended = True
        self._end_watch()
        self._timer.cancel()
