"""What a running server has: its rooms, the streams of open pages, the lanes of guests, and what is done every second."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING

from kchat.chance import between
from kchat.config.validation import check_name, login_name
from kchat.errors import KchatError, SettingsError
from kchat.message.lookalikes import looks_like, spelled
from kchat.web.announcing import AT_ONCE
from kchat.web.frames import HEARTBEAT, frame
from kchat.web.guests import Guest, Served
from kchat.web.lanes import Lanes
from kchat.web.live_room import LiveRoom
from kchat.web.people import RoomPeople
from kchat.web.place import place_of
from kchat.web.positions import Positions
from kchat.web.store import GuestStore
from kchat.web.store_access import StoreAccess
from kchat.web.store_file import StoreLocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.config.settings import Settings
    from kchat.web.access import Caller
    from kchat.web.guests import Valid
    from kchat.web.lanes import Lane
    from kchat.web.options import ServeOptions
    from kchat.web.stream import Stream

_log = logging.getLogger(__name__)

HOST_LINK_SECONDS = 86400.0
"""For which the link can be opened that the server prints."""

HEARTBEAT_SECONDS = 20.0
"""Between two comments on a stream: proxies end what is silent for a minute."""

_COME_BACK = 1.0, 5.0
"""Seconds within which pages come back that were told that the server ends."""

_LOOK = 0.25
"""Seconds between two looks at what another process has changed in the guests' file."""


class Hub:
    """For the thread of the event loop.

    Arguments:
        options: what to serve.
        clock: returns the UNIX time now, in seconds. It may be set meanwhile. Default: the system's clock.

    Attributes:
        clock: see above: what the guests' file, links and cookies go by.
    """

    def __init__(self, options: ServeOptions, clock: Callable[[], float] = time) -> None:
        self.options = options
        self.username = options.username or options.settings[0].username or login_name()
        check_name(self.username)
        for each in options.settings:
            # However they are encoded: https://url.spec.whatwg.org/#double-dot-path-segment
            if each.room in (".", ".."):
                raise SettingsError(
                    f"no address of a page leads to the room {each.room!r}", hint="choose another name"
                )
        self.place = place_of(options.settings[0])
        self.base = ""
        """What links begin with, from :meth:`announce` on."""
        with GuestStore(options.store, clock=clock) as guests:  # waits for a lock: nobody is served yet
            self._check_host(guests)
        self.store = StoreAccess(options.store, clock=clock)
        self._sending: dict[int, str | None] = {}
        self.clock = clock
        self._looked_at = self._next_end = 0.0
        self._is_outdated = False
        self._locked_since: float | None = None
        self._told = ""
        self.lanes = Lanes()
        self.closing = False
        self.positions = Positions()
        self.rooms = {
            each.room: LiveRoom(each, self.username, self.positions, options.limits, wait=options.wait)
            for each in options.settings
        }
        gate = asyncio.Semaphore(AT_ONCE)
        self.people = {
            name: RoomPeople(room.settings, self.username, partial(room.tell, "people"), gate)
            for name, room in self.rooms.items()
        }
        self._open_in: dict[Stream, tuple[str, ...]] = {}
        self._streams: set[Stream] = set()
        self._by_guest: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()
        self._looking: asyncio.Task[None] | None = None

    def _check_host(self, guests: GuestStore) -> None:
        """The host is not taken for a guest, nor a guest for the host."""
        for guest in guests.guests(self.place):
            if guest.ended or guest.is_host:
                continue
            if guest.username == self.username or looks_like(guest.username, self.username):
                raise SettingsError(
                    f"your name {spelled(self.username)} is, or looks like, that of the guest {spelled(guest.username)}",
                    hint="choose another one with {username}",
                )

    async def open(self) -> None:
        """Join the rooms.

        Raises:
            kchat.errors.BrokerError: one of them cannot be reached.
        """
        for room in self.rooms.values():
            await room.open()
        for people in self.people.values():
            people.open()
        self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Leave the rooms."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        await asyncio.gather(*(people.leave() for people in self.people.values()))
        await asyncio.gather(
            self.lanes.close(),
            *(room.close() for room in self.rooms.values()),
            *(people.close() for people in self.people.values()),
        )
        self.store.close()

    async def announce(self, base: str) -> str:
        """Note where this server is, for ``kchat invite --web``, and replace the link that it gave the host before.

        Other servers may use the guests' file at the same time, for the same broker: what they gave stays.

        Arguments:
            base: what links begin with.

        Raises:
            kchat.web.store_file.StoreUnavailable: the guests' file cannot be written.
        """
        self.base = base.rstrip("/")
        return f"{self.base}/#{await self.store.write(self._host_link)}"

    def _host_link(self, guests: GuestStore) -> str:
        rooms = tuple(self.rooms)
        guests.note_served(Served(self.base, self.place, rooms, self.username, self.clock()))
        host = guests.add(Guest(0, self.username, None, None, rooms, broker=self.place, is_host=True))
        return guests.new_link(host, self.clock() + HOST_LINK_SECONDS, self.base)

    def settings_of(self, guest: Guest, room: str) -> Settings:
        """A room as a guest reaches it: by the guest's own account, where there is one."""
        settings = self.rooms[room].settings
        if guest.account is None:
            return settings
        brokers = [
            replace(each, account=guest.account, password=guest.password, secret=None)
            for each in settings.brokers
        ]
        return replace(settings, brokers=tuple(brokers))

    def lane(self, guest: Guest, room: str) -> Lane:
        """By which a guest sends."""
        self._sending[guest.id] = guest.account
        return self.lanes.of(guest.account, guest.password, self.settings_of(guest, room))

    def is_ended(self, guest: int) -> bool:
        """Whether a guest that sends (:attr:`Guest.id`) was seen to be revoked or to have expired meanwhile. Any thread."""
        return guest not in self._sending

    def end_account(self, caller: Caller) -> None:
        """The broker does not let a guest's account in any more: end the guest's streams, and close its connection.

        The guest stays in the file: the broker may have been wrong, or the host may mend it.
        """
        if caller.guest.account is not None:
            self.lanes.close_account(caller.guest.account)
            for stream in tuple(self._streams):
                if stream.caller.key == caller.key:
                    stream.end(frame("revoked", {"text": "your invitation has ended"}))

    # ---- streams

    def refusal(self, stream: Stream) -> str:
        """Why one more stream is too many; empty if it is not."""
        limits = self.options.limits
        if len(self._streams) >= limits.streams:
            return "too many pages are open here"
        # Those who read without a link are told apart by nothing but their network.
        if stream.caller.session and self._by_guest[stream.caller.key] >= limits.streams_per_guest:
            return "you have too many pages open"
        if self._by_address[stream.address] >= limits.streams_per_address:
            return "too many pages are open from your network"
        return ""

    def add(self, stream: Stream) -> None:
        """Count a stream."""
        self._streams.add(stream)
        self._by_guest[stream.caller.key] += 1
        self._by_address[stream.address] += 1

    def attach(self, stream: Stream, rooms: tuple[str, ...]) -> None:
        """Send a stream what arrives in these rooms."""
        guest = stream.caller.guest
        for room in rooms:
            self.rooms[room].attach(stream, rooms)
            if guest.username:  # not one of those who read without a link
                settings = self.settings_of(guest, room)
                self.people[room].enter(stream.caller.key, guest, settings, partial(self.lane, guest, room))
        if guest.username:
            self._open_in[stream] = rooms

    def remove(self, stream: Stream) -> None:
        """It has ended."""
        if stream in self._streams:
            self._streams.remove(stream)
            self._by_guest -= Counter([stream.caller.key])
            self._by_address -= Counter([stream.address])
            for room in self.rooms.values():
                room.detach(stream)
            for name in self._open_in.pop(stream, ()):
                self.people[name].exit(stream.caller.key)

    def say_goodbye(self) -> None:
        """The server ends: pages come back to the next one."""
        self.closing = True
        for stream in tuple(self._streams):
            retry = int(between(*_COME_BACK) * 1000)  # not all in one instant
            stream.end(frame("closing", {"text": "the server is being restarted"}, retry=retry))

    def end_revoked(self) -> None:
        """End the streams and connections of those who are not in any more: revoked, expired, or gone by themselves.

        Where another process keeps the guests' file, as soon as it does not.
        """
        self._is_outdated = True
        self._look_at_guests()

    def _look_at_guests(self) -> None:
        guests = self.store.now
        try:
            now, before = self.clock(), self._looked_at
            self._looked_at = now
            # Where the clock was set back, what had ended before goes on, and may be the next to end.
            if guests.changed() or not before <= now < self._next_end:
                self._is_outdated = True
            if self._is_outdated:
                self._end_all_but(guests.valid())
                self._next_end = guests.next_end()
                self._is_outdated = False
        except StoreLocked as error:
            if self._locked_since is None:
                self._locked_since = monotonic()
            if monotonic() - self._locked_since >= self.store.patience:
                self._say_once(str(error))
        except KchatError as error:
            self._say_once(str(error))
        else:
            self._told, self._locked_since = "", None

    def _say_once(self, text: str) -> None:
        if text != self._told:
            self._told = text
            _log.error("%s", text)

    def _end_all_but(self, valid: Valid) -> None:
        for stream in tuple(self._streams):
            caller = stream.caller
            if caller.session and caller.session not in valid.sessions:
                left = caller.guest.id in valid.guests
                text = "this browser is signed out" if left else "your invitation has ended"
                stream.end(frame("revoked", {"text": text}))
        for guest, account in tuple(self._sending.items()):
            if guest not in valid.guests:
                del self._sending[guest]
                if account is not None:
                    self.lanes.close_account(account)

    async def _look(self) -> None:
        beat = monotonic()
        while True:
            await asyncio.sleep(_LOOK)
            self._look_at_guests()
            if monotonic() - beat >= HEARTBEAT_SECONDS:
                beat = monotonic()
                for stream in tuple(self._streams):
                    stream.push(HEARTBEAT)
                self.lanes.close_idle()
