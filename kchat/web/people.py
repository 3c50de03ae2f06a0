"""Who is in a room, for those who have its page open: those whom the broker tells of, and those who have the page open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from kchat import events
from kchat.client.background import call_in
from kchat.client.presence import Presence
from kchat.display.escaping import display_name
from kchat.display.names import unverified_suffix
from kchat.message.announcement import MOST_PEOPLE
from kchat.web.announcing import RELOAD, Here

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.web.lanes import Lane
    from kchat.web.store import Guest

NAMED = 100
"""Maximum number of people that an event names; the endpoint names all that are known."""

ANSWERS = 30
"""Questions of terminals that are answered in a minute: guests answer none themselves."""

_PAUSES = ((50, 1.0), (200, 3.0), (MOST_PEOPLE, 10.0))
"""Seconds between two events, up to which number of people: each event goes to each of them."""

_SOON = 0.1
"""Seconds for which others who come or go at the same moment are waited for."""


class Own(NamedTuple):
    """A guest whose page is open here.

    Attributes:
        username: the name.
        account: by which the guest sends; None where that is not known.
    """

    username: str
    account: str | None


def merge(heard: events.People | None, own: Iterable[Own], *, verifies: bool) -> events.People:
    """Who is here.

    Arguments:
        heard: what the broker tells; None for nothing.
        own: the guests of this server.
        verifies: whether the broker checks accounts.
    """
    mine = {events.Person(each.username, each.account if verifies else None) for each in own}
    names = {each.username for each in mine}
    others = [] if heard is None else heard.here
    here = mine | {each for each in others if each.account is not None or each.username not in names}
    unnamed = 0 if heard is None else heard.count - len(heard.here)
    count = len(here) + max(0, unnamed)
    more = count > MOST_PEOPLE or (heard is not None and heard.more)
    ordered = sorted(here, key=lambda each: (each.username.casefold(), each.username, each.account or ""))
    return events.People(tuple(ordered[:MOST_PEOPLE]), min(count, MOST_PEOPLE), more)


def as_object(
    room: str, people: events.People, *, verifies: bool, named: int = MOST_PEOPLE
) -> dict[str, Any]:
    """Who is here, as pages and programs get it; all texts are safe to show as text."""
    return {
        "room": room,
        "count": people.count,
        "more": people.more,
        "people": [
            {
                "name": display_name(each.username),
                "mark": unverified_suffix(each.username, each.account, mark_unverified=verifies),
                "account": each.account,
            }
            for each in people.here[:named]
        ],
    }


class RoomPeople:
    """Who is in one room. For the thread of the event loop.

    Arguments:
        settings: the room, by the host's account.
        username: the host's.
        tell: called with the event, when something has changed.
        gate: as of :class:`~kchat.web.announcing.Here`.
    """

    def __init__(
        self,
        settings: Settings,
        username: str,
        tell: Callable[[dict[str, Any]], None],
        gate: asyncio.Semaphore,
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._gate = gate
        self._verifies = settings.transport.verifies_accounts
        self._guests: dict[str, tuple[Own, Here | None]] = {}
        self._pages: dict[str, int] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: events.People | None = None
        self._due: asyncio.TimerHandle | None = None
        self._heard: events.People | None = None
        self._presence: Presence | None = None
        if settings.transport.capabilities.presence:
            self._presence = Presence(settings, username, hidden=True, on_people=self._hear, answers=ANSWERS)

    def open(self) -> None:
        """Begin to hear who is here."""
        self._loop = asyncio.get_running_loop()
        if self._presence is not None:
            self._presence.open()

    async def leave(self) -> None:
        """Say goodbye for all guests; the lanes are still open."""
        for timer in (*self._leaving.values(), self._due):
            if timer is not None:
                timer.cancel()
        guests, self._guests = list(self._guests.values()), {}
        await asyncio.gather(*(here.end() for _, here in guests if here is not None), *self._ending)

    async def close(self) -> None:
        """Hear nobody any more."""
        if self._presence is not None:
            await asyncio.to_thread(self._presence.close)

    @property
    def known(self) -> bool:
        """Whether it has heard who is here, and can answer others who ask; at once where nobody is heard."""
        return self._presence is None or self._presence.known

    # ---- guests

    def enter(self, key: str, guest: Guest, settings: Settings, lane: Callable[[], Lane]) -> None:
        """A guest has opened a page.

        Arguments:
            key: of the guest.
            guest: the guest.
            settings: the room, by the guest's account.
            lane: gives the lane of that account.
        """
        self._pages[key] = self._pages.get(key, 0) + 1
        if (timer := self._leaving.pop(key, None)) is not None:
            timer.cancel()
        if key not in self._guests:
            here = None
            if self._presence is not None:
                here = Here(settings, guest.username, lane, self._gate)
                here.begin()
            self._guests[key] = Own(guest.username, guest.account or settings.broker.account), here
            self._changed()

    def exit(self, key: str) -> None:
        """A guest has closed a page."""
        self._pages[key] -= 1
        if not self._pages[key]:
            del self._pages[key]
            loop = asyncio.get_running_loop()
            self._leaving[key] = loop.call_later(RELOAD, self._left, key)

    def _left(self, key: str) -> None:
        del self._leaving[key]
        _, here = self._guests.pop(key)
        if here is not None:
            ending = asyncio.get_running_loop().create_task(here.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        self._changed()

    # ---- what is told

    def now(self) -> events.People:
        """Who is here."""
        return merge(self._heard, (own for own, _ in self._guests.values()), verifies=self._verifies)

    def as_object(self, named: int = MOST_PEOPLE) -> dict[str, Any]:
        """Who is here, as the endpoint has it."""
        return as_object(self._settings.room, self.now(), verifies=self._verifies, named=named)

    def _hear(self, people: events.People) -> None:
        if self._loop is not None:
            call_in(self._loop, self._note, people)

    def _note(self, people: events.People) -> None:
        self._heard = people
        self._changed()

    def _changed(self) -> None:
        """Tell soon, and not too often."""
        if self._due is None and self._loop is not None:
            self._due = self._loop.call_later(_SOON, self._tell_change)

    def _tell_change(self) -> None:
        self._due = None
        people = self.now()
        if people == self._told:
            return
        self._told = people
        self._tell(as_object(self._settings.room, people, verifies=self._verifies, named=NAMED))
        pause = next((seconds for most, seconds in _PAUSES if people.count <= most), _PAUSES[-1][1])
        assert self._loop is not None
        self._due = self._loop.call_later(pause, self._tell_change)
