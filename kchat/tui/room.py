"""A room as the window knows it."""

from __future__ import annotations

import time
from collections import deque
from itertools import takewhile
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from kchat.display.lines import local
from kchat.message import Message
from kchat.tui.names import Names
from kchat.tui.outbox import Outbox
from kchat.tui.people import JOINING, REJOINING, Door
from kchat.tui.timeline import Entry, Kind, Timeline
from kchat.tui.typed import Typed
from kchat.tui.words import Highlights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kchat.client.filters import Filter
    from kchat.config.settings import Settings
    from kchat.events import People
    from kchat.tui.timeline import Day

ACTION = "action"
"""The body's key that says that the text is what its sender does (``/me``); others show it as any text."""

CONNECTING = "connecting"
"""The status of a room that is not joined yet."""

FORGOTTEN = 10.0
"""Seconds after which a message says nothing any more, if it was not known until then who was here to read it."""

COMING = 1.5
"""Seconds after which somebody who has come is known to be here."""

_FUTURE = 300.0
"""Seconds that a sender's clock may be ahead before its time is not believed."""

_SPEAKERS = 200
"""Number of people whose names can be completed."""

_CATCHING_UP = 5.0
"""Seconds without a message of the history, after which all of it is there."""

_TEXT_KEPT = 1 << 16
"""Characters of a text that are kept: as many as are shown."""


class News(NamedTuple):
    """What has arrived: how many messages that are shown, and those that mention this user."""

    messages: int
    mentions: list[Entry]


class Room:
    """What is known of a room.

    Arguments:
        settings: the room and its brokers.
        username: the name in what is sent.
        words: words that stand out, besides the name.
        where: which messages to show, besides those that are sent from here. Default: all.
        clock: returns the UNIX time now, in seconds. It may be set while the room is open. Default: the system's clock.

    Attributes:
        timeline: what is shown, but for the outbox behind it.
        outbox: what was written here and is not in the room yet.
        typed: what was sent from here.
        draft: what is in the editor while another room is shown.
        unread, mentions: the number of messages that nobody has looked at, and of those that mention this user.
        new_from: the place of the first message after the line "new"; None for no line.
        status: what its connection does, in words; :data:`CONNECTING` at first, and empty while all is well.
        joined: whether it can be read.
        people: who is here, as far as that was told; see :attr:`here`.
        all_known: whether all who are here are known.
        door: tells who came and left.
        has_history: whether the room keeps what was said, as far as is known.
        complete: whether the room's history has nothing older.
        fetching: whether older messages are being fetched.
        fetch_failed: whether the last time they could not be.
        received: number of messages that came, for how much of the history is known.
        read: when the newest message that was read was sent, in UNIX seconds; 0 for none.
    """

    def __init__(
        self,
        settings: Settings,
        username: str,
        words: Sequence[str] = (),
        where: Filter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.username = username
        self._words = words
        self._where = where
        self._clock = clock
        transport = settings.transport
        self.names = Names(username, settings.broker.account, verifies=transport.verifies_accounts)
        self.highlights = Highlights(username, words)
        self.timeline = Timeline()
        self.outbox = Outbox()
        self.typed = Typed()
        self.draft = ""
        self.unread = self.mentions = 0
        self.new_from: int | None = None
        self.status = CONNECTING
        self.joined = False
        self.people: People | None = None
        self.all_known = True
        self.fetching = self.fetch_failed = False
        self.door = Door()
        self._perhaps_alone: deque[tuple[float, Entry]] = deque()  # when it was confirmed
        self._own_names = {username}  # in this window, so far
        self.has_history = False
        self.complete = True
        self.received = 0
        self.read = self._read_before = 0.0  # the latter in an earlier run
        self._oldest: tuple[object, ...] | None = None
        self._spoke: dict[str, str | None] = {}  # who said something, the latest last, with their accounts
        self._opened = clock()
        self._caught_up_at = monotonic()

    def left_off_at(self, read: float) -> None:
        """When the newest message was sent that was read in an earlier run; 0 for none."""
        self.read = self._read_before = read

    def begin(self, *, has_history: bool) -> None:
        """It is joined: what is kept there comes next, if anything is."""
        self.joined, self.status = True, ""
        self.has_history, self.complete = has_history, not has_history
        self.door.expect(JOINING)
        self._caught_up_at = monotonic()

    @property
    def today(self) -> Day:
        """What day it is, here."""
        return local(self._clock())[:3]

    @property
    def name(self) -> str:
        """The room's name."""
        return self.settings.room

    def begin_again(self, text: str) -> None:
        """The lost connection is back; ``text`` says so."""
        self.status = ""
        self.door.expect(REJOINING)
        self.note(text)
        self.settle()

    @property
    def here(self) -> People | None:
        """Who is here; None where that is not known: on this transport, while the connection is away, or yet.

        Those who were heard are here. That there are no others is known when all had time to answer, which takes up to a
        minute in a room where everybody has just spoken, as after a broker's restart.
        """
        if self.status or not self.joined or self.people is None:
            return None
        return self.people if self.all_known or self.people.count > 1 else None

    @property
    def is_alone(self) -> bool:
        """Whether it is known that nobody else is here."""
        here = self.here
        return (
            self.all_known
            and here is not None
            and here.count <= 1
            and all(name == self.username for name in here.names)
        )

    def has_other(self, username: str) -> bool:
        """Whether somebody else is here by a name, as far as is known. One's own names in this window are nobody else's."""
        here = self.here
        return here is not None and username in here.names and username not in self._own_names

    def rename(self, username: str) -> None:
        """Send under another name from now on."""
        self._own_names.add(username)
        self.door.expect(JOINING)
        self.username = username
        self.names.rename(username)
        self.highlights = Highlights(username, self._words)

    # ---- what arrives

    def arrive(self, messages: Iterable[Message], *, watched: bool) -> News:
        """Messages came from the room.

        Arguments:
            messages: in order.
            watched: whether somebody looks at this room now.

        Returns:
            What is new of it, without what was written here, and what is old.
        """
        shown, mentions = 0, []
        for message in messages:
            self.received += 1
            own = self.outbox.arrive(message)
            if own is True:
                continue
            if own is None and not self._is_wanted(message):
                self._oldest = self._oldest or _key(message)
                continue
            entry = self._entry(message) if own is None else own
            place = self.timeline.append(entry)
            if self._oldest is None:
                self._oldest = _key(message)
            if own is not None:
                self._note_read(entry)
                continue
            shown += 1
            self._note_speaker(entry)
            old = self._is_old(entry)
            missed = old and 0 < self._read_before < entry.seconds and not entry.mine
            if missed and self.new_from is None:
                self.new_from = place
            if watched:
                self._note_read(entry)
            elif missed or not old:
                self._count(entry, place)
            if not old and not entry.mine and self.highlights.found_in(entry.text):
                mentions.append(entry)
        return News(shown, mentions)

    def _is_wanted(self, message: Message) -> bool:
        return self._where is None or self._where(message)

    def _note_speaker(self, entry: Entry) -> None:
        if entry.username is not None:
            self._spoke.pop(entry.username, None)
            self._spoke[entry.username] = entry.account
            if len(self._spoke) > _SPEAKERS:
                del self._spoke[next(iter(self._spoke))]

    def _is_old(self, entry: Entry) -> bool:
        """Whether it was sent before one came. Later on, an early time is that of a clock that is late."""
        now = monotonic()
        if entry.seconds >= self._opened or now - self._caught_up_at > _CATCHING_UP:
            self._caught_up_at = -inf
            return False
        self._caught_up_at = now
        return True

    def is_kept(self, entry: Entry) -> bool:
        """Whether it comes from the room's history, as far as its time tells and the time at which it comes."""
        return entry.seconds < self._opened and monotonic() - self._caught_up_at <= _CATCHING_UP

    def _count(self, entry: Entry, place: int) -> None:
        if self.unread == 0:
            self.new_from = place
        self.unread += 1
        self.mentions += self.highlights.found_in(entry.text)

    def _note_read(self, entry: Entry) -> None:
        self.read = max(self.read, min(entry.seconds, self._clock()))

    def arrive_older(self, messages: Sequence[Message]) -> int:
        """Messages from the history; those that are known already are left out. Returns how many there were."""
        self.fetching = False
        older = list(takewhile(lambda message: _key(message) != self._oldest, messages))
        if older:
            self._oldest = _key(older[0])
        self.complete = not older
        self.received += len(older)
        return self.timeline.prepend(self._entry(message) for message in older if self._is_wanted(message))

    def miss_older(self) -> None:
        """The history could not be read. It is not asked again by itself: somebody has to look back once more."""
        self.fetching, self.fetch_failed = False, True

    def is_oldest(self, message: Message) -> bool:
        """Whether it is the oldest that is known."""
        return _key(message) == self._oldest

    def _entry(self, message: Message) -> Entry:
        now = self._clock()
        seconds = now if message.sent_at is None else message.sent_at.timestamp()
        if seconds > now + _FUTURE:  # or its sender would draw lines of days to come
            seconds = now
        text = message.text
        is_cut = bool(message.problem) or len(text) > _TEXT_KEPT
        return Entry(
            Kind.ACTION if message.extra.get(ACTION) is True else Kind.MESSAGE,
            self.names.intern(message.username),
            self.names.intern(message.account),
            seconds,
            text[:_TEXT_KEPT],
            mine=self.names.is_me(message.username, message.account),
            total=len(message.body) if is_cut else 0,
        )

    def note(self, text: str) -> None:
        """Have the window say something in this room. The text is safe."""
        self.timeline.append(Entry.note(text, self._clock()))

    # ---- what is written

    def write(self, text: str, *, action: bool = False) -> Message:
        """Make a message of what was written, and show it; returns it, to be sent.

        Raises:
            kchat.errors.TooLarge: it is more than a subscriber reads.
        """
        message = Message.compose(self.username, text, extra={ACTION: True} if action else None)
        kind = Kind.ACTION if action else Kind.MESSAGE
        name = self.names.intern(message.username)
        entry = Entry(kind, name, None, self._clock(), message.text, mine=True)
        entry.typed = True
        self.outbox.write(message, entry)
        self.new_from = None
        return message

    def confirm(self, message_id: str, *, routed: bool | None) -> None:
        """The broker has a message. ``routed``: whether anybody was listening; None where it does not say."""
        entry = self.outbox.confirm(message_id)
        if entry is None:
            return
        if routed is False:
            entry.alone = True
        elif self.is_alone or self.here is None:
            self._perhaps_alone.append((monotonic(), entry))

    @property
    def doubts(self) -> bool:
        """Whether it is not known yet if somebody was here to read what was sent last: :meth:`tell_alone` will know."""
        return bool(self._perhaps_alone)

    def tell_alone(self, seconds: float = COMING) -> None:
        """What was confirmed this time ago when nobody was here says so, unless somebody has turned out to be here."""
        if self.here is not None and not self.is_alone:
            self._perhaps_alone.clear()
        now = monotonic()
        while self._perhaps_alone and now - self._perhaps_alone[0][0] >= (
            seconds if self.is_alone else FORGOTTEN
        ):
            self._perhaps_alone.popleft()[1].alone = self.is_alone

    def settle(self, seconds: float = 0.0) -> None:
        """What was confirmed this time ago and did not come back is shown as if it had."""
        for entry in self.outbox.settle(seconds):
            self.timeline.append(entry)

    # ---- who looks, and who is here

    def look(self) -> None:
        """Somebody looks at it now: nothing is unread."""
        self.unread = self.mentions = 0
        if len(self.timeline):
            self._note_read(self.timeline[self.timeline.end - 1])

    def look_away(self) -> None:
        """Nobody looks any more: the line "new" comes where the next message does."""
        self.new_from = None

    def see_people(self, people: People) -> None:
        """These are here now."""
        self.people = people
        self.door.see(people)
        self.tell_alone()

    def tell_comings(self) -> None:
        """Say who came and who left, if it is time to."""
        comings = self.door.tell()
        if comings is None:
            return
        left = [each for each in comings.left if each.username not in self._own_names]
        came = [each for each in comings.came if each.username != self.username]
        for people, did in ((left, "left"), (came, "joined")):
            if people:
                self.note(f"{', '.join(self.names.listed(*each) for each in people)} {did}")

    def who(self) -> list[str]:
        """Those who are here, by name, safe to show, with the marks that their messages have; oneself first."""
        people = self.here
        own, others = [], []
        for name, account in () if people is None else people.here:
            if name == self.username and account in (None, self.settings.broker.account):
                own = [self.names.listed(name, mine=True)]
            else:
                others.append(self.names.listed(name, account))
        return own + others

    def likely_names(self) -> list[str]:
        """The names of others as they are shown, the latest first: for completion."""
        spoke = [self.names.sender(name, account).name for name, account in reversed(self._spoke.items())]
        present = [] if self.people is None else [self.names.shown(name) for name in self.people.names]
        return [name for name in dict.fromkeys([*spoke, *present]) if name != self.username]


def _key(message: Message) -> tuple[object, ...]:
    """Equal for the same message, and hardly for two."""
    return (message.id,) if message.id is not None else (message.username, message.text, message.sent_at)
