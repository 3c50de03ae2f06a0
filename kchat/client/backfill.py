"""Beginning with the history of rooms whose messages are then read from durable queues: :class:`Backfill`.

What is interrupted in the middle of the history begins with it again, until :meth:`Backfill.settled` has found that all of
it is done with (:mod:`kchat.client.first_carry`).
"""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING

from kchat import errors, events
from kchat.client.backoff import Backoff
from kchat.client.connection import STOP_LOOK
from kchat.client.first_carry import FirstCarry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kchat.client.several import Subscribers
    from kchat.config.settings import Settings

logger = logging.getLogger(__name__)

_MARK_AGAIN = 5.0
"""Seconds until it is tried again to note that a room's history is done with."""


class Backfill:
    """Of one or several rooms, once for each.

    Arguments:
        settings: the rooms, with the same brokers.
        durable: the name of the durable queues.
        since: begin with what the rooms hold since then, in UNIX seconds.
        on_event: told when no broker can be reached, and that is tried again.
    """

    def __init__(
        self,
        settings: Sequence[Settings],
        durable: str,
        since: float,
        *,
        on_event: events.OnEvent = events.ignore,
    ) -> None:
        self._since = since
        self._on_event = on_event
        self._firsts = {each.room: FirstCarry(each, durable) for each in settings}
        self._handed_over: set[str] = set()
        self._subscribers: Subscribers | None = None
        self._due = 0.0

    def begin(self, *, wait: bool = False) -> dict[str, float]:
        """Since when each room's history is to be read; rooms are left out where that was done before.

        To be asked before there is a durable queue: that it is there says that the history was read, unless this knows
        better. Its answer is ``since`` of :class:`~kchat.client.several.Subscribers` that begin ``anew``.

        Arguments:
            wait: keep trying for ever when no broker can be reached. Default: fail.

        Raises:
            kchat.errors.BrokerError: something between here and the rooms.
        """
        found = {}
        self._handed_over.clear()
        for room, first in self._firsts.items():
            since = self._patiently(partial(first.begin, self._since), wait=wait)
            if since is not None:
                found[room] = since
        self._firsts = {room: first for room, first in self._firsts.items() if first.marked}
        return found

    def _patiently(self, ask: Callable[[], float | None], *, wait: bool) -> float | None:
        backoff = Backoff()
        while True:
            try:
                return ask()
            except errors.Unreachable as error:
                if not wait or isinstance(error, errors.Untrusted):
                    raise
                pause = backoff.fail()
                self._on_event(events.Reconnecting(error, pause, backoff.attempt))
            while backoff.remaining() > 0:
                sleep(min(backoff.remaining(), STOP_LOOK))

    def watch(self, subscribers: Subscribers) -> None:
        """From now on, :meth:`settled` looks how far these are."""
        self._subscribers = subscribers

    def settled(self) -> None:
        """All that was processed is done with; called by whoever processes messages, in the thread that receives them.

        What was handed over before the last call is done with, and not what was handed over since.
        """
        if not self._firsts or self._subscribers is None or monotonic() < self._due:
            return
        for each in self._subscribers.each:
            room = each.settings.room
            if room not in self._firsts or each.begins_with_history:
                continue
            if room not in self._handed_over:
                self._handed_over.add(room)  # its last messages may be in somebody's hands
                continue
            try:
                self._firsts[room].end()
            except errors.BrokerError as error:
                logger.debug("%s", error)  # it is not there now
                self._due = monotonic() + _MARK_AGAIN
            else:
                del self._firsts[room]
