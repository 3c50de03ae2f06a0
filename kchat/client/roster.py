"""Who is here, as far as this subscriber has heard: :class:`Roster`. It opens nothing and knows no clock of its own.

Each session counts until what it announced has run out, by the monotonic clock of the one who heard it. In the first minute
after joining, others' word is taken for those whom one has not heard oneself: after that everybody has been heard. So nobody
is kept alive by hearsay alone. Who has vanished or left does not come back by the word of others either, to whom the news
may come later: only by a later announcement of its own. A name that is only hearsay has no account, unless it is that of the
one who said so.

In a crowd (:mod:`kchat.client.crowd`) one may hear nothing but lists: then others' word is all that there is, and how many
are here is what the middle one of the last three has said.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from kchat.events import People, Person
from kchat.message.announcement import GONE, HERE, LONGEST, MOST_OTHERS, MOST_PEOPLE, Announcement, Other

_LATE = 5.0
"""Seconds by which one may have heard an announcement later than another one: :data:`kchat.client.announcer.MOST_LATE`."""

_COUNTS = 3
"""Sessions whose count is remembered, where it is all that is known. One of them may lie."""


class _Session(NamedTuple):
    person: Person
    ends: float


class _Gone(NamedTuple):
    """One who has vanished or left: until when its last word held, and whether that was heard from itself."""

    ends: float
    heard: bool


class Roster:
    """Who is here. Bounded: beyond 1,000 sessions, nobody new is kept, and the count says that there are more.

    Arguments:
        own: this subscriber; ``None`` if it does not count as here.
        session: this subscriber's, whose announcements come back to it.
    """

    def __init__(self, own: Person | None, session: str) -> None:
        self.own = own
        self.version = 0
        """Another one where :meth:`people` may have changed."""
        self._session = session
        self._heard: dict[tuple[str | None, str], _Session] = {}
        self._hearsay: dict[str, _Session] = {}
        self._gone: dict[str, _Gone] = {}
        self._hears_since = math.inf  # that everybody is heard
        self._learning_ends = 0.0
        self._claimed = -1
        self._relies = False  # it hears lists alone
        self._lists_until = -math.inf  # when what it knows by lists alone has run out
        self._counts: deque[tuple[str, int]] = deque(maxlen=_COUNTS)
        self._more_ends = self._looked = -math.inf

    def learn(self, now: float) -> None:
        """It has just joined, for the first time or again: for a minute, what others have heard counts too."""
        self._learning_ends = now + LONGEST
        self._hears_since = math.inf if self._relies else now
        self._claimed = -1
        self.version += 1

    def hear_lists(self) -> None:
        """From now on it hears lists alone."""
        self._relies = True
        self._lists_until = self._hears_since = math.inf
        self._counts.clear()
        self._hearsay |= {session: known for (_, session), known in self._heard.items()}
        self._heard.clear()

    def hear_everybody(self, now: float) -> None:
        """From now on it hears everybody again."""
        self._relies = False
        self._lists_until = now + LONGEST
        claimed = self._claimed
        self.learn(now)
        self._claimed = claimed

    def hear(self, said: Announcement, account: str | None, now: float) -> None:
        """Note an announcement.

        Arguments:
            said: it.
            account: whose it is, where the broker has checked that.
            now: by the monotonic clock.
        """
        if said.session == self._session:
            return
        key = (account, said.session)
        if said.presence == GONE:
            if (known := self._heard.get(key) or self._hearsay.get(said.session)) is not None:
                if key in self._heard or account is None:  # else somebody else may say so
                    self._remember(said.session, known.ends, heard=key in self._heard)
                count = len(self._persons())
                self._heard.pop(key, None)
                self._hearsay.pop(said.session, None)
                self._gone_are(count - len(self._persons()))
        elif said.presence == HERE:
            hearsay = self._hearsay.pop(said.session, None)
            if said.asks and key not in self._heard and hearsay is None and self._claimed >= 0:
                self._claimed += 1  # it has just joined
            if key in self._heard or self._has_room(now):
                before, person = self._heard.get(key), Person(said.username, account)
                self.version += before is None or before.person != person
                self._heard[key] = _Session(person, now + said.lasts)
        if said.count >= 0 and (self._relies or now < self._learning_ends):
            self._learn_of(said, account, now)

    def _learn_of(self, said: Announcement, account: str | None, now: float) -> None:
        self.version += 1
        known = {session for _, session in self._heard}
        others = [each for each in said.others if each.session != self._session and each.session not in known]
        news = [each for each in others if not self._is_old(each.session, now + each.lasts)]
        if self._relies:
            self._note_count(said)
        else:
            # Of several who tell, the one who says least: nobody makes a crowd alone where anybody else tells too.
            count = max(0, said.count - (len(others) - len(news)))
            self._claimed = count if self._claimed < 0 else min(self._claimed, count)
        for each in news:
            if self._has_room(now):
                person = Person(each.username, account if each.same_account else None)
                before = self._hearsay.get(each.session)
                if before is not None and before.person.username == each.username:
                    person = before.person  # once heard by itself, maybe
                self._hearsay[each.session] = _Session(person, now + each.lasts)

    def _note_count(self, said: Announcement) -> None:
        others = [each for each in self._counts if each[0] != said.session]
        self._counts.clear()
        self._counts.extend([*others, (said.session, said.count)])
        counts = sorted(count for _, count in self._counts)
        self._claimed = counts[len(counts) // 2]

    def _has_room(self, now: float) -> bool:
        if len(self._heard) + len(self._hearsay) < MOST_PEOPLE:
            return True
        self.expire(now)
        if len(self._heard) + len(self._hearsay) < MOST_PEOPLE:
            return True
        self.version += self._more_ends <= now
        self._more_ends = now + LONGEST
        return False

    def expire(self, now: float) -> float:
        """Drop those who have vanished.

        Returns:
            When the next one will have, by the monotonic clock, unless they say that they are here.
        """
        ends = [self._more_ends, self._learning_ends]
        first = min((each for each in ends if each > now), default=math.inf)
        if any(each.ends <= now for sessions in (self._heard, self._hearsay) for each in sessions.values()):
            self._drop_ended(now)
        self._gone = {session: each for session, each in self._gone.items() if each.ends + LONGEST > now}
        self.version += any(self._looked < each <= now for each in ends)
        self._looked = now
        left = (each.ends for sessions in (self._heard, self._hearsay) for each in sessions.values())
        return min(first, min(left, default=math.inf))

    def _drop_ended(self, now: float) -> None:
        before = len(self._persons())
        for session, (_, ends) in self._hearsay.items():
            if ends <= now:
                self._remember(session, ends, heard=False)
        for (_, session), (_, ends) in self._heard.items():
            if ends <= now:
                self._remember(session, ends, heard=True)
        self._heard = {key: each for key, each in self._heard.items() if each.ends > now}
        self._hearsay = {key: each for key, each in self._hearsay.items() if each.ends > now}
        # A list names those who hold on longest: the others have not vanished.
        self._gone_are(0 if now < self._lists_until else before - len(self._persons()))

    def _remember(self, session: str, ends: float, *, heard: bool) -> None:
        if len(self._gone) < MOST_PEOPLE:
            self._gone[session] = _Gone(ends, heard)

    def _is_old(self, session: str, ends: float) -> bool:
        """Whether what others say of a session, which holds until then, is of before it vanished or left."""
        gone = self._gone.get(session)
        if gone is None:
            return False
        if gone.heard and gone.ends >= self._hears_since:  # a later word would have been heard
            return True
        return ends <= gone.ends + _LATE

    def _gone_are(self, number: int) -> None:
        """These many of those whom it knew: whoever told how many are here had counted them."""
        self.version += 1
        if self._claimed > 0:
            self._claimed = max(0, self._claimed - number)

    def _persons(self) -> set[Person]:
        found = {session.person for session in self._heard.values()}
        if self.own is not None:
            found.add(self.own)
        names = {person.username for person in found}
        return found | {each.person for each in self._hearsay.values() if each.person.username not in names}

    def people(self, now: float) -> People:
        """Who is here now, those who have vanished since the last :meth:`expire` included."""
        here = sorted(
            self._persons(), key=lambda each: (each.username.casefold(), each.username, each.account or "")
        )
        count = len(here)
        if self._relies and self._claimed >= 0:
            count = self._claimed
        elif now < self._learning_ends:
            count = max(count, self._claimed)
        more = now < self._more_ends or count > MOST_PEOPLE
        return People(tuple(here), min(count, MOST_PEOPLE), more)

    def others(self, now: float) -> tuple[Other, ...]:
        """Up to 20 of those whom it knows, for its own announcement: those who hold on longest.

        What is hearsay holds no longer for those who hear of it than it does here.
        """
        own = None if self.own is None else self.own.account

        def known() -> Iterator[Other]:
            heard = ((key[1], session) for key, session in self._heard.items())
            for number, (person, ends) in (*heard, *self._hearsay.items()):
                if ends > now:
                    yield Other(
                        person.username, number, ends - now, own is not None and person.account == own
                    )

        return tuple(sorted(known(), key=lambda each: -each.lasts)[:MOST_OTHERS])
