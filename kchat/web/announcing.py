"""That guests with an open page are here, said to the others in the room by each guest's own sending connection.

The guests of a server hear nobody themselves: the server does that once for each room (:mod:`kchat.web.people`), and answers
those who ask. So a guest costs an announcement about every 45 s, and no queue.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from kchat import errors
from kchat.client.announcer import Announcer
from kchat.client.roster import Roster

if TYPE_CHECKING:
    from kchat.client.guest_sender import GuestSender
    from kchat.config.settings import Settings
    from kchat.web.lanes import Lane

logger = logging.getLogger(__name__)

RELOAD = 5.0
"""Seconds after which a guest whose last page was closed has left: a page that is loaded again is back before."""

AT_ONCE = 8
"""Announcements that are on their way at the same time: after a restart all guests come, and their messages wait for few."""

_AGAIN = 15.0
"""Seconds after which an announcement that has failed is tried again, where the broker knows by itself who is there, is the
time between two looks whether it still does."""


class Here:
    """One guest in one room, from the first open page to the last. For the thread of the event loop.

    Arguments:
        room: the room, by the guest's account.
        username: the guest's.
        lane: gives the lane of the guest's account.
        gate: lets few announce at the same time.

    Attributes:
        pages: number of open pages.
    """

    def __init__(
        self, room: Settings, username: str, lane: Callable[[], Lane], gate: asyncio.Semaphore
    ) -> None:
        self.pages = 0
        self._room = room
        self._username = username
        self._lane_of = lane
        self._gate = gate
        self._session = os.urandom(6).hex()
        self._announcer = Announcer(Roster(None, self._session), self._session, username, asks=False)
        self._announcer.hears = False
        self._announces = room.transport.presence(room.room).announces
        self._reload: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._held: Lane | None = None
        self._said = False  # something that has to be taken back

    @property
    def is_here(self) -> bool:
        """Whether the guest counts."""
        return self._task is not None

    def begin(self) -> None:
        """Announce the guest, if that is not done."""
        if self._task is None:
            self._task = asyncio.create_task(self._go_on())

    async def end(self) -> None:
        """Say goodbye, and announce no more."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        lane, said = self._held, self._said
        self._said = False
        self._hold(None)
        if lane is not None and said:
            with suppress(errors.KchatError):
                await lane.submit(self._leave)

    def _hold(self, lane: Lane | None) -> None:
        """Keep the connection of this lane."""
        if self._held is not lane:
            if self._held is not None:
                self._held.held -= 1
            if lane is not None:
                lane.held += 1
            self._held = lane

    async def _go_on(self) -> None:
        while True:
            async with self._gate:
                pause = await self._say()
            await asyncio.sleep(pause)

    async def _say(self) -> float:
        """Announce, and return the seconds until the next time."""
        lane = self._lane_of()
        self._hold(lane)
        try:
            self._said = True
            if not self._announces:
                await lane.submit(lambda sender: sender.register(self._room, self._username))
                return _AGAIN
            now = monotonic()
            said = self._announcer.hello(now) if self._announcer.due == math.inf else None
            if said is None and now >= self._announcer.due:
                said = self._announcer.announcement(now)
            if said is not None:
                announced = said
                await lane.submit(lambda sender: sender.announce(self._room, announced))
            return max(0.0, self._announcer.due - monotonic())
        except errors.KchatError as error:
            logger.debug("not announced: %s", error)
            self._announcer.pause()
            return _AGAIN

    def _leave(self, sender: GuestSender) -> None:
        if not sender.connected:
            return
        if not self._announces:
            sender.unregister(self._room, self._username)
        elif (goodbye := self._announcer.goodbye()) is not None:
            sender.announce(self._room, goodbye)
