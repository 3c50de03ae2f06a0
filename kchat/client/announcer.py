"""When to say that one is here: :class:`Announcer`. It opens nothing, and knows no clock of its own.

Each says so about every 45 s, and at most twice in any minute. Whoever wants to know who is here asks, and one of those who
may speak again already answers, in about a third of a second: it announces itself early, in place of the next time, and adds
a list of those whom it has heard. Who that is, is drawn: the pauses are distributed so that one answer is likely and two are
not, however many there are (the truncated exponential distribution of RFC 5401), and who hears an answer keeps silent.
Those who have joined lately and do not know everybody, and those who are hidden, wait for the others. They announce
themselves without a list then: only one who knows everybody gives one. Where nobody may speak, the first one who may again
answers.

What is said holds for 58 s at most, so that others drop one who was killed within a minute. Two announcements are at least
7 s apart: who spoke early, and must not speak again before a minute has passed since the time before, is silent for 53 s
at most. So an announcement may be 5 s longer on its way than the one before it, and nobody is taken to be gone.

Somebody who leaves says so, in addition to that.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from kchat.chance import part
from kchat.message.announcement import ASK, GONE, HERE, LIST, LONGEST, Announcement

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.roster import Roster

INTERVAL, SOONER = 48.0, 6.0
"""Seconds between two announcements of one who is not asked, and how much less it may be, so that those who came together do
not go on speaking together."""

MINUTE, MOST_IN_A_MINUTE = 60.0, 2
"""Seconds, and announcements in them."""

APART = 7.0
"""Seconds between two announcements, at least. From the one after them, 60 less 7 s may pass to the next."""

SLACK = 10.0
"""Seconds that an announcement holds longer than until the next one is due, where that is not more than it may hold."""

MOST_LATE = LONGEST - (MINUTE - APART)
"""Seconds that an announcement may be longer on its way than the one before it, and nobody is taken to be gone: 5."""

FIRST_ANSWER, LAST_ANSWER, LATE_ANSWER, HIDDEN_ANSWER = 0.1, 0.6, 0.8, 1.3
"""Seconds after which a question is answered: not so soon that the one who asks does not listen yet. Between the first two
by those who know everybody, then by those who do not, and at last by those who are hidden."""

_MOST_CURIOUS = 1_000
"""Sessions that have asked and do not count as here, which are remembered: they may answer."""

_UNLIKELY = 5
"""How unlikely two answers at the first moment are; with more, all come later, and closer to each other."""


class Announcer:
    """What this subscriber announces, and when.

    Arguments:
        roster: who is here.
        session: this subscriber's.
        username: its name; empty if it does not count as here.
        asks: whether it wants to know who is here when it joins. Default: it does.
        most: announcements in a minute, at most. Default: two. More, where one that does not count as here answers for many.
        chance: draws a number from 0 to 1. Default: Python's.
    """

    def __init__(
        self,
        roster: Roster,
        session: str,
        username: str,
        *,
        asks: bool = True,
        most: int = MOST_IN_A_MINUTE,
        chance: Callable[[], float] = part,
    ) -> None:
        self.due = math.inf
        """When :meth:`announcement` has to be sent, by the monotonic clock."""
        self._knows_at = math.inf  # when it has heard everybody who is here
        self._roster = roster
        self._session = session
        self._username = username
        self._asks = asks
        self._chance = chance
        self._sent: deque[float] = deque(maxlen=most)
        self._apart = min(APART, MINUTE / most)
        self._regular = math.inf
        self._list_wanted = False
        self._curious: set[str] = set()
        self._joining = False  # it has not asked yet
        self.hears = True
        """Whether it hears everybody. Who does not, gives no answers and asks no questions: :mod:`kchat.client.crowd`."""
        self.tells = False
        """Whether it adds the list to whatever it says, though nobody has asked."""

    def hello(self, now: float) -> Announcement | None:
        """What to say when joining, for the first time or again.

        ``None`` where it has spoken a moment ago, or twice in the last minute: others know then. What it says next asks.
        """
        self._knows_at = min(self._knows_at, now + LONGEST)
        if not self._username:
            return Announcement(ASK, self._session, asks=True)
        self._joining = self._asks and self.hears
        free = self._may_speak_at()
        if now >= free:
            return self._here(now)
        self.due = self._regular = free
        return None

    def unheard(self) -> None:
        """The broker has returned what it said last: nobody was there, and it cost nobody anything."""
        self._sent.pop()

    def told(self) -> None:
        """It has been told who is here."""
        self._knows_at = -math.inf

    def hear_everybody(self, now: float, *, tells: bool) -> None:
        """It hears everybody from now on, and says so as soon as it may."""
        self.hears, self.tells = True, tells
        self.due = min(self.due, max(now, self._may_speak_at()))

    def hear_lists(self) -> None:
        """It hears lists alone from now on."""
        self.hears = self.tells = self._list_wanted = False
        self.due = self._regular

    def goodbye(self) -> Announcement | None:
        """What to say when leaving; ``None`` for nothing."""
        return Announcement(GONE, self._session) if self._username and self._sent else None

    def pause(self) -> None:
        """It is not connected: nothing is due."""
        self.due = self._regular = math.inf

    def hear(self, said: Announcement, now: float) -> None:
        """Note what somebody else announced."""
        if said.session == self._session:
            return
        if said.presence == ASK and len(self._curious) < _MOST_CURIOUS:
            self._curious.add(said.session)
        if said.count >= 0:
            self._list_wanted = False
            self.due = self._regular
        if said.asks and self.hears and (self._username or now >= self._knows_at):
            self._list_wanted = True
            self.due = min(self.due, max(now, self._may_speak_at()) + self._pause_before_answer(now))

    def _may_speak_at(self) -> float:
        if not self._sent:
            return -math.inf
        again = self._sent[0] + MINUTE if len(self._sent) == self._sent.maxlen else -math.inf
        return max(again, self._sent[-1] + self._apart)

    def _pause_before_answer(self, now: float) -> float:
        answering = self._roster.people(now).count
        if not self._username:
            first, last, answering = LATE_ANSWER, HIDDEN_ANSWER, answering + len(self._curious)
        elif now >= self._knows_at:
            first, last = FIRST_ANSWER, LAST_ANSWER
        else:
            first, last = LAST_ANSWER, LATE_ANSWER
        # The number of those who would have answered grows exponentially, from a fifth to all of them.
        chance = math.log(1.0 - self._chance()) / math.log(_UNLIKELY * max(1, answering))
        return first + (last - first) * max(0.0, 1.0 + chance)

    def announcement(self, now: float) -> Announcement:
        """What is due, to be sent now."""
        if self._username:
            said = self._here(now)
        else:
            self._sent.append(now)
            self.due, said = math.inf, Announcement(LIST, self._session)
        if (self._list_wanted or self.tells) and now >= self._knows_at:
            said = said._replace(count=self._roster.people(now).count, others=self._roster.others(now))
        self._list_wanted = False
        return said

    def _here(self, now: float) -> Announcement:
        asks, self._joining = self._joining, False
        self._sent.append(now)
        due = now + INTERVAL - SOONER * self._chance()
        if len(self._sent) == self._sent.maxlen:
            due = max(due, self._sent[0] + MINUTE)
        self.due = self._regular = due
        return Announcement(HERE, self._session, self._username, min(due - now + SLACK, LONGEST), asks)
