"""Who is in a room, as the window is told by what its caller provides, and who came and left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kchat.events import People, Person

if TYPE_CHECKING:
    from kchat.config.settings import Settings
    from kchat.errors import KchatError

CROWD = 20
"""With more people than that, a count stands for their names, and it is not said who comes and goes."""

JOINING = 1.0
"""Seconds after joining, within which those are heard of who were here before."""

REJOINING = 20.0
"""Seconds after a lost connection is back, within which the others are back, too."""

_PAUSE = 1.0
"""Seconds that a change has to last for it to be said."""

_MINUTE, _MOST_IN_A_MINUTE = 60.0, 10
"""Seconds, and the number of times in them that something is said: somebody who comes and goes all the time is ignored."""


class Presence(Protocol):
    """Knows who is in one room, and tells the room that this user is; a :class:`kchat.client.presence.Presence` is one."""

    @property
    def problem(self) -> KchatError | None:
        """Why presence is not available."""

    @property
    def known(self) -> bool:
        """Whether all who are here are known, and not only those who have said something since this user is there."""

    def stop(self) -> None:
        """Leave: this user is not there any more. Returns at once."""

    def close(self, timeout: float) -> None:
        """The same, and wait for it, no longer than these seconds."""


OnPeople = Callable[[People], object]

PresenceOf = Callable[["Settings", str, OnPeople], "Presence | None"]
"""Makes the presence of a username in a room, when the room is joined; ``None`` where that is not known. It calls back, from
any thread, with who is there, whenever that has changed. It does not block."""


def be_here(settings: Settings, username: str, on_people: OnPeople) -> Presence | None:
    """Count as here, and be told who else is; ``None`` where the transport does not know."""
    return _presence(settings, username, on_people, hidden=False)


def be_hidden(settings: Settings, username: str, on_people: OnPeople) -> Presence | None:
    """Be told who is here without counting; ``None`` where the transport does not know."""
    return _presence(settings, username, on_people, hidden=True)


def _presence(settings: Settings, username: str, on_people: OnPeople, *, hidden: bool) -> Presence | None:
    if not settings.transport.capabilities.presence:
        return None
    from kchat.client import presence

    made = presence.Presence(settings, username, hidden=hidden, on_people=on_people)
    made.open()
    return made


def nobody_knows(_settings: Settings, _username: str, _on_people: OnPeople) -> Presence | None:
    """It is not known who is here."""
    return None


class Presences:
    """The presences of this user in rooms, by the rooms' names. For the thread of the window.

    Arguments:
        presence_of: makes one.
        tell: called, from any thread, with a room's name and who is there.
    """

    def __init__(self, presence_of: PresenceOf, tell: Callable[[str, People], object]) -> None:
        self._presence_of = presence_of
        self._tell = tell
        self._open: dict[str, Presence] = {}
        self._latest: dict[str, object] = {}  # which one is the latest: others may still tell something

    def start(self, settings: Settings, username: str) -> None:
        """Let others know that this user is here, and be told who else is."""
        name = settings.room
        latest = self._latest[name] = object()

        def changed(people: People) -> None:
            if self._latest.get(name) is latest:
                self._tell(name, people)

        presence = self._presence_of(settings, username, changed)
        if presence is not None:
            self._open[name] = presence

    def stop(self, name: str) -> Presence | None:
        """Let others know that this user is not there any more; returns at once, with what is closing."""
        self._latest.pop(name, None)
        presence = self._open.pop(name, None)
        if presence is not None:
            presence.stop()
        return presence

    def rename(self, settings: Settings, username: str) -> None:
        """Be here under another name, where this user is here."""
        if self.stop(settings.room) is not None:
            self.start(settings, username)

    def known(self, name: str) -> bool:
        """Whether all who are there are known."""
        presence = self._open.get(name)
        return presence is None or presence.known

    def problem(self, name: str) -> KchatError | None:
        """Why it is not known who is there."""
        presence = self._open.get(name)
        return None if presence is None else presence.problem


class Comings(NamedTuple):
    """Those who left, and those who came."""

    left: tuple[Person, ...]
    came: tuple[Person, ...]


class Door:
    """Tells who came and who left. What changes back within a second is not told, nor what a crowd does.

    Arguments:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        # By name, with the account. Who was here when it was last told:
        self._known: dict[str, str | None] = {}
        # Who is here; None for a crowd, or where that is not known:
        self._now: dict[str, str | None] | None = None
        self._quiet_until = 0.0
        self._due: float | None = None
        self._told: deque[float] = deque()

    def expect(self, seconds: float) -> None:
        """For this time, others are heard of who were here before: nobody has come, and nobody has left."""
        self._quiet_until = max(self._quiet_until, self._clock() + seconds)
        self._due = self._quiet_until

    def see(self, people: People) -> None:
        """These are here now."""
        now = self._clock()
        names: dict[str, str | None] = {}
        for name, account in people.here:
            names[name] = names.get(name) or account
        if people.count > CROWD:
            self._now = None
            self._known = names
            return
        if self._now is None:
            self._known = names
        elif now < self._quiet_until:
            self._known |= names
        self._now = names
        if names.keys() != self._known.keys() and self._due is None:
            self._due = now + _PAUSE

    @property
    def waits(self) -> bool:
        """Whether :meth:`tell` may have something to tell later."""
        return self._due is not None

    def tell(self) -> Comings | None:
        """Who came and who left since the last time; ``None`` for nobody, or where it is too early to say."""
        now = self._clock()
        if self._due is None or now < self._due:
            return None
        while self._told and now - self._told[0] >= _MINUTE:
            self._told.popleft()
        if len(self._told) >= _MOST_IN_A_MINUTE:
            self._due = self._told[0] + _MINUTE
            return None
        self._due = None
        if self._now is None:
            return None
        left = tuple(Person(*each) for each in self._known.items() if each[0] not in self._now)
        came = tuple(Person(*each) for each in self._now.items() if each[0] not in self._known)
        self._known = dict(self._now)
        if not left and not came:
            return None
        self._told.append(now)
        return Comings(left, came)
