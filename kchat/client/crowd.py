"""Who hears everybody in a crowd: :class:`Crowd`. It opens nothing, and knows no clock of its own.

Up to 50 people all hear each other. In a larger room that would be the square of their number of deliveries, where no more
than a count and some names is wanted. There about 20 of them, drawn by chance, go on hearing everybody, and add a list to
whatever they say: how many are here, and 20 names. The others hear these lists alone. They notice by them when too few
are left who give lists, or too many; each decides for itself, so that on average the right number changes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kchat.chance import part
from kchat.message.announcement import LONGEST, Announcement

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.client.announcer import Announcer
    from kchat.client.roster import Roster

SMALL, CROWD = 30, 50
"""People who all hear each other: in a room that becomes smaller, and in one that grows."""

KEEPERS = 20
"""People of a crowd who hear everybody."""

FEW, MANY = 10, 30
"""Of them: with fewer others join them, with more some stop."""

LOOK, LATER = 10.0, 10.0
"""Seconds between two looks at how many they are, and how much longer it may be."""

_MOST_KEEPERS = 100
"""Sessions that are remembered to have given a list."""


class Crowd:
    """Whether this subscriber hears everybody.

    Arguments:
        roster: who is here, as far as it has heard.
        announcer: what it announces.
        keeps: whether others may rely on it: it announces itself regularly.
        stays: hear everybody in a crowd, too. Default: not for ever.
        chance: draws a number from 0 to 1. Default: Python's.
    """

    def __init__(
        self,
        roster: Roster,
        announcer: Announcer,
        *,
        keeps: bool,
        stays: bool = False,
        chance: Callable[[], float] = part,
    ) -> None:
        self.due = math.inf
        """When :meth:`consider` has to be called, by the monotonic clock; besides when the number of people has changed."""
        self._roster = roster
        self._announcer = announcer
        self._keeps = keeps
        self._stays = stays
        self._chance = chance
        self._lists: dict[str, float] = {}  # when each keeper has given one
        self._large_at = -math.inf  # when the room was last seen to be large
        self._since = 0.0  # when it began to count them

    @property
    def hears(self) -> bool:
        """Whether it hears everybody. Who does not hears lists."""
        return self._announcer.hears

    def hear(self, said: Announcement, now: float) -> None:
        """Note an announcement."""
        if said.count >= 0 and said.username:
            self._lists.pop(said.session, None)
            self._lists[said.session] = now
            if len(self._lists) > _MOST_KEEPERS:
                del self._lists[next(iter(self._lists))]

    def consider(self, now: float, count: int) -> bool:
        """Decide; returns whether :attr:`hears` has changed.

        Arguments:
            now: by the monotonic clock.
            count: how many are here, as far as is known.
        """
        before = self.hears
        if self._stays:
            return False
        if not before:
            if count <= SMALL or (now >= self.due and self._are_few(now, count)):
                self._hear_everybody(now, count)
        elif count <= SMALL:
            if now - self._large_at >= LONGEST:  # by then the others have heard that it is small
                self._announcer.tells, self.due = False, math.inf
        else:
            self._large_at = now
        if before and count > CROWD:
            first = self.due == math.inf
            if first:
                self._since = now
            if (first and self._chance() * count >= KEEPERS) or not self._keeps or self._are_many(now):
                self._hear_lists(now)
            self._announcer.tells = self.hears
        if now >= self.due or (self.due == math.inf and count > CROWD):
            self.due = now + LOOK + LATER * self._chance()
        return self.hears != before

    def _keepers(self, now: float) -> float:
        """About how many give lists, itself not counted: each does at least once while an announcement holds."""
        counted = min(now - self._since, LONGEST)
        heard = sum(at >= now - counted for at in self._lists.values())
        return heard * LONGEST / max(counted, LOOK)

    def _are_few(self, now: float, count: int) -> bool:
        keepers = self._keepers(now)
        if not keepers and now - self._since >= LONGEST:
            return True
        return self._keeps and keepers < FEW and self._chance() * count < KEEPERS - keepers

    def _are_many(self, now: float) -> bool:
        keepers = self._keepers(now) + 1
        return now >= self.due and keepers > MANY and self._chance() * keepers >= KEEPERS

    def _hear_everybody(self, now: float, count: int) -> None:
        self._announcer.hear_everybody(now, tells=count > SMALL)
        self._roster.hear_everybody(now)
        self._since = now

    def _hear_lists(self, now: float) -> None:
        self._announcer.hear_lists()
        self._roster.hear_lists()
        self._since = now
