"""A subscriber's place in its room's history, where that is read beside its queue (:mod:`kchat.transports.history`).

It knows up to which *position* everything was handed over, so that after a lost connection, or where its queue dropped
something, it reads from there to the end before it goes on with what its queue brings. Positions are known where a look at
the history's end can be compared with the queue: after the look, the queue says how many messages wait in it; when those are
handed over, all is that stood in the history then.

A message that comes both ways is handed over once. One with an id is recognised by that
(:class:`~kchat.client.deduplication.Deduplicator`). Those without may be alike, so they are counted: what was handed over
one way since the position is left out as often when it comes the other way.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import amqp.exceptions

from kchat.client.deduplication import REMEMBERED
from kchat.errors import SettingsError
from kchat.transports.history import Begin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Sized

    from kchat.client.deduplication import Deduplicator
    from kchat.message import Message
    from kchat.transports import protocols
    from kchat.transports.history import HistoryPolicy, HistoryReader, Kept

_MARK_MESSAGES = 5_000
"""Messages after which the position is looked for again: with a full queue behind it, less than what is remembered."""

_MARK_SECONDS = 600.0
"""... or seconds, where there were fewer."""

_ON_THE_WAY = 0.1
"""Seconds after a queue was bound in which a message may come to the history that was routed before, and to no queue."""

_FAR_BEHIND = REMEMBERED - 2_000
"""Messages that the queue has brought since the position, with which what the history brings again is still recognised."""

_ANSWER = 5.0
"""Seconds to wait for the number of messages in the queue, before nothing is made of it."""

_MOST_ALIKE = 50_000
"""Messages without an id that are counted."""


class _Link(NamedTuple):
    """What a connection gives."""

    connection: protocols.Connection
    channel: protocols.Channel
    queue: str
    arrived: Sized


class _Mark(NamedTuple):
    """When ``after`` messages were taken, all up to ``position`` were; the first ``before`` do not stand behind it."""

    position: Any
    before: int
    after: int


class CatchUp:
    """See above. One thread uses it.

    Arguments:
        policy: what the room's history is; ``None`` where there is none beside the queue.
        begin: with what of it to begin; ``None`` for nothing.
        duplicates: knows what was handed over.
        where: the room, for errors.
        once: it only begins with it, where its queue is new: that keeps what comes while it is away.
        until: read it up to this moment, in UNIX seconds, by the broker's clock. Default: to its end.
        follow: whether what comes afterwards is wanted.
        if_kept: it is no error where the room has none.
        anew: begin with it also where its queue was there before.
    """

    def __init__(
        self,
        policy: HistoryPolicy | None,
        begin: Begin | None,
        duplicates: Deduplicator,
        where: str,
        *,
        once: bool = False,
        until: float | None = None,
        follow: bool = True,
        if_kept: bool = False,
        anew: bool = False,
    ) -> None:
        self.on = False
        """Whether the room has such a history that this account may read, as of the last connection."""
        self._count = self._missing = self._certain = 0
        self._policy = policy
        self._begin = begin
        self._duplicates = duplicates
        self._where = where
        self._once = once
        self._until = until
        self._follow = follow and until is None
        self._if_kept = if_kept
        self._anew = anew
        self._link: _Link | None = None
        self._reader: HistoryReader | None = None
        self._end: Any = None
        self._extend_at: float | None = None
        self._position: Any = None  # everything up to there was handed over, or was there first
        self._floor: Any = None  # of which this is where it was there first
        self._read: Any = None  # up to there it was handed over, while it is read
        self._before: Any = None  # up to there it is in no queue
        self._taken = 0
        self._covered: float = 0.0  # this many of those stand before the position
        self._since = 0  # the queue has brought this many since the position was known
        self._unsure = False
        self._is_other = False  # what is read now is not what the position is of
        self._mark: _Mark | None = None
        self._mark_at = 0
        self._mark_due = 0.0
        self._in_queue: int | None = None
        self._page: Sequence[Kept] = ()
        self._queue_first = 0
        self._live: deque[tuple[int, int]] = deque(maxlen=_MOST_ALIKE)  # without an id, since the position
        self._alike: Counter[int] = Counter()  # the same, counted
        self._beside: Counter[int] = Counter()  # that the history has brought, and the queue will

    @property
    def reading(self) -> bool:
        """Whether the history is being read."""
        return self._reader is not None

    @property
    def begins(self) -> bool:
        """Whether it has not come to the end of what it was to begin with."""
        return self._begin is not None

    @property
    def is_exact(self) -> bool:
        """Whether the number of messages that the history holds no more is exact."""
        return self._policy is not None and self._policy.counts_missing

    @property
    def queue_first(self) -> int:
        """The number of messages that come from the queue all the same, as the history holds them no more."""
        return self._queue_first

    @property
    def is_to_begin(self) -> bool:
        """Whether it is to begin with some of it, and has not read that to its end."""
        return self._begin is not None

    def goes_on(self) -> None:
        """Its queue was there before, and goes on where it was: begin with nothing."""
        if self._anew:
            return
        self._begin = None
        if self._once:
            self.on = False

    def has_no_more(self) -> None:
        """The queue has no more of those, fewer than were thought."""
        self._queue_first = 0

    # ---- connecting

    def look(self, connection: protocols.Connection) -> None:
        """Before the queue is bound: whether there is a history, and where it ends.

        Raises:
            kchat.errors.SettingsError: there is none, and it should begin with some.
            amqp.exceptions.AMQPError: it should, and this account may not read it; or the connection is lost.
        """
        if self._policy is None or (self._once and self._begin is None):
            return
        try:
            self._before = self._policy.newest(connection, known=self.on)
        except amqp.exceptions.AccessRefused:
            if self._begin is not None and not self._if_kept:
                raise
            self._before = None
        self.on = self._before is not None
        if not self.on:
            self._position = None
            if self._begin is not None and not self._if_kept:
                raise SettingsError(
                    f"{self._where} has no history: its host has not switched it on",
                    hint="leave {last} and {since} out, or switch it on with: kchat history on",
                )
            self._begin = None

    def join(
        self, connection: protocols.Connection, channel: protocols.Channel, queue: str, arrived: Sized
    ) -> None:
        """After the queue was bound: begin to read, where something is wanted or was missed. Raises as :meth:`look`."""
        if not self.on:
            return
        self._link = _Link(connection, channel, queue, arrived)
        self._rest()
        if self._begin is None and self._position is None:
            self._position = self._floor = self._before
            self._since = 0
            return
        self._extend_at = monotonic() + _ON_THE_WAY if self._follow else None
        self._start(self._begin or Begin(after=self._position, floor=self._floor), known=True)

    def again(self) -> None:
        """The queue dropped something: read from the position on. Raises as :meth:`look`."""
        self._before = self._position
        if self._reader is not None:
            self._reader.close()
        self._start(Begin(after=self._position, floor=self._floor), known=False)
        if not self.on:
            return
        self._in_queue, taken = None, self._taken

        def answer(waiting: int) -> None:
            self._in_queue = self._ahead(waiting) - taken

        self._ask(answer)

    def _start(self, begin: Begin, *, known: bool) -> None:
        link, policy = self._joined
        end = policy.newest(link.connection, known=known)
        if end is None:
            self._switched_off()
            return
        if begin.last is not None and self._follow:
            # The last ones as of before the queue was bound, and then what came since (:meth:`_extend`): the queue would
            # bring what came since and is not among the last ones now, and behind them.
            end = self._before
        self._end = end if self._until is None else policy.position_at(link.connection, self._until, end)
        self._reader = policy.reader(link.connection, begin, self._end)
        self._is_other = self._reader.is_other
        self._read = self._mark = None
        self._page, self._queue_first, self._in_queue = (), 0, 0
        self._alike = Counter(key for _, key in self._live)

    def _switched_off(self) -> None:
        """There is none any more."""
        self.on, self._position, self._begin, self._reader = False, None, None, None

    @property
    def _joined(self) -> tuple[_Link, HistoryPolicy]:
        assert self._link is not None
        assert self._policy is not None
        return self._link, self._policy

    def interrupt(self) -> None:
        """The connection is gone."""
        if self._reader is not None and self._read is not None:
            self._position, self._covered = self._read, self._taken
            self._since = 0
            if self._begin is not None:
                self._begin = Begin(after=self._read, floor=self._read) if self._once else None
                self._floor = self._read
            self._live = deque(((0, key) for key in self._alike.elements()), maxlen=_MOST_ALIKE)
        else:
            self._live = deque(((0, key) for _, key in self._live), maxlen=_MOST_ALIKE)
        self._covered = min(0.0, self._covered - self._taken)
        self._taken = 0
        self._reader = self._link = self._mark = self._extend_at = None
        self._page, self._queue_first = (), 0
        self._beside.clear()

    # ---- reading beside the queue

    def read(self, drain: Callable[[float | None], bool], timeout: float, limit: int) -> Sequence[Kept]:
        """What comes next in the history; see :meth:`~kchat.transports.history.HistoryReader.read`.

        When it has come to its end, :attr:`reading` is false.
        """
        reader = self._reader
        assert reader is not None
        if self._page:
            kept, self._page = self._page, ()
            return kept
        if not reader.done:
            kept = reader.read(drain, timeout, limit)
            if (kept or reader.done) and reader.missing and self._read is None:
                self._queue_first = self._more_in_queue(drain, reader.held)
                if self._queue_first:
                    self._page, kept = kept, ()
            return kept
        left = 0.0 if self._extend_at is None else self._extend_at - monotonic()
        if left > 0:
            drain(min(left, timeout))
        elif self._extend_at is not None:
            self._extend(reader)
        else:
            self._finish(reader)
        return ()

    def _more_in_queue(self, drain: Callable[[float | None], bool], held: int) -> int:
        """How many older messages the queue holds than the history. A few too many are no matter: they are the same."""
        ends = monotonic() + _ANSWER
        while self._in_queue is None and monotonic() < ends:
            drain(_ANSWER / 100)
        return max(0, (self._in_queue or 0) - held)

    def _extend(self, reader: HistoryReader) -> None:
        """Read what has come to the history since, once."""
        link, policy = self._joined
        self._extend_at = None
        end = policy.newest(link.connection, known=True)
        if end is None or end <= self._end:
            return
        self._count_lost(reader)
        self._covered = math.inf
        reader.close()
        begin = Begin(after=self._end, floor=self._end)
        self._end = end
        self._reader = policy.reader(link.connection, begin, end)

    def _count_lost(self, reader: HistoryReader) -> None:
        """Count the messages that the history does not hold any more, without those that the queue had brought."""
        self._unsure = self._unsure or reader.missing < 0
        brought = int(max(0.0, self._taken - self._covered))
        self._missing += max(0, reader.missing - brought)
        self._certain += max(0, reader.certain - brought)

    def _finish(self, reader: HistoryReader) -> None:
        self._count_lost(reader)
        reader.close()
        self._position, self._reader, self._covered = self._end, None, math.inf
        self._is_other = False
        self._since = 0
        if self._begin is not None:
            self._begin, self._floor = None, self._end
            self._count = 0  # it was asked for: nothing was missed
        self._live.clear()
        self._alike.clear()
        if self._once:
            self.on = False
            return
        position = self._position
        self._ask(lambda waiting: self._set_mark(position, _Mark(position, 0, self._ahead(waiting))))
        self._rest()

    def position_of(self, kept: Kept) -> str | None:
        """The place of a message that :meth:`read` has returned, as text (:attr:`kchat.Message.position`)."""
        return None if self._policy is None else self._policy.position_of(kept)

    def is_missing(self, message: Message, position: Any) -> bool:
        """Whether a message of the history is to be handed over; from then on it was."""
        self._read = position
        if message.id is not None:
            missing = not self._duplicates.has(message)
        elif self._begin is None and not self._is_other and position <= self._position:
            missing = False
        elif self._alike[key := hash(message.body)] > 0:
            self._alike[key] -= 1
            missing = False
        else:
            missing = True
            if self._is_other or position > self._before:
                self._beside[key] += 1
        if self._begin is None:  # else it was asked for, and not missed
            self._count += missing
        return missing

    def take_counts(self) -> tuple[int, int, int]:
        """The number of messages that were handed over of the history, and of those that it did not hold any more.

        The latter is -1 where some are missing and nobody can know how many; else the third says how many of them, at least.
        """
        counts = self._count, self._missing or -self._unsure, self._certain
        self._count = self._missing = self._certain = 0
        self._unsure = False
        return counts

    # ---- what the queue brings

    def take(self, message: Message) -> bool:
        """Whether the next message of the queue is to be handed over; from then on it was."""
        self._taken += 1
        self._since += 1
        if self._queue_first:
            self._queue_first -= 1
        if self._mark is not None and self._taken > self._mark.after:
            self._settle(self._mark)
        if message.id is not None:
            return not self._duplicates.has(message)
        key = hash(message.body)
        if self._beside[key] > 0:
            self._beside[key] -= 1
            return False
        self._live.append((self._taken, key))
        return True

    def _settle(self, mark: _Mark) -> None:
        self._position, self._mark = mark.position, None
        self._covered = mark.before or mark.after
        self._since = self._taken - int(self._covered)
        while self._live and self._live[0][0] <= mark.before:
            self._live.popleft()
        self._beside.clear()

    # ---- looking for the position

    @property
    def is_to_be_marked(self) -> bool:
        """Whether it is time for :meth:`mark`."""
        if not self.on or self._reader is not None or self._mark is not None:
            return False
        return self._taken - self._mark_at >= _MARK_MESSAGES or monotonic() >= self._mark_due

    @property
    def is_far_behind(self) -> bool:
        """Whether so much waits at the broker that the history is the better place to read on from.

        The position comes behind what waits. Were the connection lost before that, more would come again than is remembered.
        """
        return self._since >= _FAR_BEHIND

    def mark(self) -> None:
        """Look where the history ends, and how much is in the queue before that is handed over. Raises as :meth:`look`."""
        link, policy = self._joined
        self._rest()
        position, before = self._position, 0

        def begin(waiting: int) -> None:
            nonlocal before
            before = self._ahead(waiting)

        self._ask(begin)
        end = policy.newest(link.connection)
        if end is None:
            self._switched_off()
        elif end >= position:  # also where what came since is not kept
            self._ask(lambda waiting: self._set_mark(position, _Mark(end, before, self._ahead(waiting))))

    def _rest(self) -> None:
        self._mark_at, self._mark_due = self._taken, monotonic() + _MARK_SECONDS

    def _ask(self, answer: Callable[[int], None]) -> None:
        link, policy = self._joined
        policy.ask_waiting(link.channel, link.queue, answer)

    def _ahead(self, waiting: int) -> int:
        """The number of messages that will have been taken when those are that are in the queue now."""
        return self._taken + (0 if self._link is None else len(self._link.arrived)) + waiting

    def _set_mark(self, since: Any, mark: _Mark) -> None:
        if (
            self._reader is None and self._position == since
        ):  # else it was asked before something else happened
            self._mark = mark
