"""Where a subscriber ends that does not go on for ever: with what was held when it came, or at a moment."""

from __future__ import annotations

import math
import time
from time import monotonic
from typing import TYPE_CHECKING

from kchat.errors import SettingsError

if TYPE_CHECKING:
    from kchat.message import Message
    from kchat.transports.protocols import Delivery

_QUIET = 2.0
"""Seconds without a message after which no more is held where the broker does not tell the number, or else they are counted
again."""


class Ending:
    """Knows when all was handed over. One thread uses it.

    A queue's messages are counted, those that wait at the broker included, when the subscriber stops to follow: at once, or
    when its time is over. What comes behind them is left. After a lost connection, they are counted again.

    Arguments:
        until: the moment, in UNIX seconds. Default: none.
        follow: whether to go on until then with what comes.
    """

    def __init__(self, until: float | None = None, *, follow: bool = True) -> None:
        self._until = until
        self.was_over = until is not None and until <= time.time()
        """Whether the moment had passed from the beginning: then it ends within what is held."""
        self._follows = follow and not self.was_over
        self._counted_at = -1.0  # when the connection was made for which they were counted
        self._left: int | None = 0
        self._came_at = 0.0

    def check(self, *, last: int | None, since: float | None, durable: object) -> float | None:
        """Whether it can be, with the other arguments of a subscriber; returns since when to begin.

        Raises:
            kchat.errors.SettingsError: it cannot.
        """
        if last is not None and last < 0:
            raise SettingsError(f"{last} is not a number of messages", hint="give {last} as 0 or more")
        for each, name in ((since, "{since}"), (self._until, "{until}")):
            if each is not None and math.isnan(each):
                raise SettingsError(f"{each} is not a time", hint=f"give {name} in UNIX seconds")
        if self._until is not None and since is not None and since >= self._until:
            raise SettingsError("it ends before it begins", hint="{since} has to be before {until}")
        if self.was_over:
            if durable is not None:
                raise SettingsError(
                    "a durable queue forgets what is left out, so it cannot end in the past",
                    hint="read the room's history instead, without {durable}",
                )
            return 0.0 if last is None and since is None else since
        if not self._follows and last is None and since is None and durable is None:
            raise SettingsError(
                "there is nothing to show: without following, nothing is waited for",
                hint="begin with {last} or {since}, or read a queue by {durable}",
            )
        return since

    @property
    def until(self) -> float | None:
        """The moment, where that was over from the beginning."""
        return self._until if self.was_over else None

    # ---- while it follows

    @property
    def seconds(self) -> float | None:
        """Seconds until it may be at its end, or is to count; ``None`` where nothing but a message changes that."""
        if self._follows:
            return None if self._until is None else max(0.0, self._until - time.time())
        return None if self._left == 0 else max(0.0, self._came_at + _QUIET - monotonic())

    def deadline(self, deadline: float | None) -> float | None:
        """The sooner of a deadline by the monotonic clock and the moment."""
        if not self._follows or (left := self.seconds) is None:
            return deadline
        return min(monotonic() + left, monotonic() + left if deadline is None else deadline)

    @property
    def is_late(self) -> bool:
        """Whether the moment is over that was still to come when this was made."""
        return self._until is not None and not self.was_over and time.time() >= self._until

    # ---- when it does not

    def is_to_count(self, connected_at: float) -> bool:
        """Whether the messages that wait are to be counted now, on the connection that was made then."""
        if self._follows and not self.is_late:
            return False
        if self._counted_at != connected_at:
            return True
        return bool(self._left) and self.seconds == 0  # some were removed, be it that they expired

    def count(self, connected_at: float, waiting: int | None) -> None:
        """This number of messages wait, at the broker and here; ``None`` where the broker does not tell."""
        again = not self._follows and self._counted_at == connected_at
        self._left = min(self._left, waiting) if again and self._left and waiting is not None else waiting
        self._follows = False
        self._counted_at, self._came_at = connected_at, monotonic()

    @property
    def takes_more(self) -> bool:
        """Whether the next message of the queue is one to hand over."""
        return self._follows or self._left is None or self._left > 0

    def take(self) -> None:
        """The next message of the queue was taken."""
        if not self._follows:
            self._came_at = monotonic()
            if self._left is not None:
                self._left -= 1

    def is_reached(self, connected_at: float) -> bool:
        """Whether all was taken that the connection's queue held."""
        if self._follows or self._counted_at != connected_at:
            return False
        return self._left <= 0 if self._left is not None else self.seconds == 0

    def is_before(self, delivery: Delivery, message: Message) -> bool:
        """Whether a message of a queue came before the moment, where that was over from the beginning.

        The delivery says when, or else the message. One that says nothing did.
        """
        if not self.was_over or self._until is None:
            return True
        came_at: float | None = getattr(delivery, "came_at", None)
        if came_at is None and message.sent_at is not None:
            came_at = message.sent_at.timestamp()
        return came_at is None or came_at < self._until
