"""What a subscriber's messages go to on their way into an archive: :class:`Archiver`."""

from __future__ import annotations

import time
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from kchat.archive.believed_clock import BelievedClock
from kchat.archive.doubt import Doubt
from kchat.archive.placing import Placing
from kchat.client.backoff import Backoff
from kchat.errors import ArchiveUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kchat.archive.record import Record
    from kchat.archive.store import Store
    from kchat.message import Message

_MOST_BYTES = 4 << 20
"""Bytes of bodies that are written together, however few messages they are: they are in memory until then."""

_SAY_AGAIN = 30.0
"""Seconds after which it is said again that the archive is away."""

LEAVE_AFTER = 60.0
"""Seconds after which an archive has been away for long."""

_PRUNE_EVERY = 3600.0
"""Seconds between two looks for messages that are too old."""


class _Part:
    """Messages that came by the same connection, with their rooms and times; and later, as they are written.

    What was not acknowledged comes again by the next connection. Those parts are written one after the other, as it is
    looked up what of the later one the earlier one has (:mod:`kchat.archive.placing`).
    """

    def __init__(self, connection: object) -> None:
        self.connection = connection
        self.received: list[tuple[Message, int]] = []
        self.count = 0
        self.records: list[Record] | None = None
        self.made: dict[str, list[Record]] = {}
        self.again = True


class Archiver:
    """Writes messages to an archive, in batches. It is what :func:`kchat.display.loop.listen` takes as a display.

    :meth:`flush` returns True when everything that came is committed; before that, nothing is acknowledged. So whatever
    ends it, the broker still has what the archive has not.

    While the archive is away, what came is kept and tried again, with growing pauses, and no more is taken than a batch.

    Arguments:
        store: the archive, opened to write. It stays the caller's.
        room: the room of messages that do not say it (:attr:`kchat.Message.room`).
        prefetch: maximum number of messages that the broker waits for to be acknowledged.
        readers: number of archivers that share the queue, at most. Default: 1.
        connection: asked which connection messages come by. Default: it is always the same.
        keep: seconds for which messages are kept; older ones are deleted at the start and once an hour. Default: for ever.
        rooms: those from which they are deleted. Default: ``room``.
        tell: told when the archive is away and back, with a line for people.
        waiting: asked for the number of messages that wait in the broker; ``None`` if it does not tell.
        settled: called when everything that came is committed.
        clock: returns the UNIX time now, in seconds; believed as by :class:`~kchat.archive.believed_clock.BelievedClock`.
            Default: the system's clock.
    """

    tick = 1.0

    def __init__(
        self,
        store: Store,
        room: str,
        prefetch: int,
        *,
        readers: int = 1,
        connection: Callable[[], object] = lambda: None,
        keep: float | None = None,
        rooms: Sequence[str] = (),
        tell: Callable[[str], object] = lambda _: None,
        waiting: Callable[[], int | None] = lambda: None,
        settled: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.taken = 0
        """Number of messages that were shown and are committed."""
        self.count = 0
        """Number of those that were not there before."""
        self.deleted = 0
        """Number of messages that were deleted, as they were too old."""
        self._store = store
        self._room = room
        self._keep = keep
        self._clock = BelievedClock(clock)
        self._told_doubt = False
        self._rooms = tuple(rooms) or (room,)
        self._tell = tell
        self._waiting = waiting
        self._settled = settled
        self._prefetch = prefetch
        self._readers = readers
        self._connection = connection
        self._placing: dict[str, Placing] = {}
        self._doubt = Doubt(prefetch * len(self._rooms), shared=readers > 1)
        self._parts: deque[_Part] = deque()
        self._held = 0
        self._bytes = 0
        self._due = 0.0
        self._most = store.batch
        self._hurries = False
        self._prune_due = monotonic()
        self._backoff = Backoff()
        self._away_since: float | None = None
        self._say_at = 0.0
        self._told = False

    def open(self, title: str = "") -> None:
        """Nothing: it is ready."""

    def show(self, message: Message) -> None:
        """Take a message."""
        if not self._held:
            self._due = monotonic() + self._store.delay
        connection = self._connection()
        if not self._parts or self._parts[-1].records is not None or self._parts[-1].connection != connection:
            self._parts.append(_Part(connection))
        self._parts[-1].received.append((message, time.time_ns() // 1_000_000))
        self._parts[-1].count += 1
        self._held += 1
        self._bytes += len(message.body)

    @property
    def is_away(self) -> bool:
        """Whether the archive could not be reached or written when it was last tried."""
        return self._away_since is not None

    @property
    def is_away_for_long(self) -> bool:
        """Whether it has been away for a minute, and messages wait here: better in their queue."""
        return (
            bool(self._held)
            and self._away_since is not None
            and monotonic() - self._away_since >= LEAVE_AFTER
        )

    def is_back(self) -> bool:
        """Whether the archive is there again; it is tried when that is due.

        What was shown and is not committed is given up: it comes again from the broker.
        """
        self._hurries = False
        self._try(self._probe)
        return not self.is_away

    @property
    def is_full(self) -> bool:
        """Whether it takes no more until what it holds is written."""
        return self._held >= self._most or self._bytes >= _MOST_BYTES

    @property
    def gives_up(self) -> bool:
        """Whether what it holds is not waited for at the end: it stays with the broker."""
        return self._hurries and self.is_away

    def hurry(self) -> None:
        """Nothing more comes: what is held is written at once, if the archive is there."""
        self._hurries = True

    def flush(self) -> bool:
        """Write what came, where that is due; returns whether everything is committed.

        Raises:
            kchat.errors.ArchiveError: the archive refuses. What came and is not committed stays with the broker.
        """
        now = monotonic()
        if self._held and (self._hurries or now >= self._due or self.is_full):
            self._try(self._write)
        if self._keep is not None and now >= self._prune_due and not self._hurries:
            self._try(self._prune)
        if self._held:
            return False
        self._store.rest()
        self._settled()
        return True

    def _try(self, work: Callable[[], object]) -> None:
        if self.is_away and (self.gives_up or self._backoff.remaining() > 0):
            return
        try:
            work()
        except ArchiveUnavailable as error:
            self._fail(error)
        else:
            self._succeed()

    def _write(self) -> None:
        while self._parts:
            part = self._parts[0]
            records = self._records(part)
            again, part.again = part.again, True  # what failed may be there all the same
            self.count += self._store.write(records, again=again)
            self.taken += part.count
            self._held -= part.count
            self._parts.popleft()
        self._bytes = 0

    def _records(self, part: _Part) -> list[Record]:
        """What is to be written of a part: the same whenever it is tried again."""
        if part.records is None:
            by_room: dict[str, list[tuple[Message, int]]] = {}
            for each in part.received:
                by_room.setdefault(each[0].room or self._room, []).append(each)
            for room, received in by_room.items():
                if room in part.made:  # the store failed before the next room's were made
                    continue
                if room not in self._placing:
                    self._placing[room] = Placing(self._store, room, self._prefetch, self._readers)
                part.made[room] = self._placing[room].records(received, part.connection)
            part.records = [record for made in part.made.values() for record in made]
            part.again = self._doubt.looks_again(part.received, part.records, part.connection)
            part.received, part.made = [], {}  # not twice in memory while it is written
        return part.records

    def _probe(self) -> None:
        """Write one message; when it comes again, it is there."""
        if self._parts:
            self.count += self._store.write(self._records(self._parts[0])[:1])
        self._forget()

    def _forget(self) -> None:
        self._parts.clear()
        self._held = self._bytes = 0

    def _prune(self) -> None:
        assert self._keep is not None
        now, ahead = self._clock.now(), self._clock.doubted
        if ahead and not self._told_doubt:
            self._tell(
                f"the clock was set forward by {ahead / 3600:,.1f} hours: if it stays so for a day, it deletes messages"
            )
        self._told_doubt = bool(ahead)
        self.deleted += self._store.prune(int((now - self._keep) * 1000), self._rooms)
        self._prune_due = monotonic() + _PRUNE_EVERY

    # ---- while the archive is away

    def _fail(self, error: ArchiveUnavailable) -> None:
        now = monotonic()
        self._backoff.fail()
        if self._away_since is None:
            self._away_since = now
        if self._hurries:  # it is at its end
            return
        if not self._told:
            self._told = True
            self._say(f"the archive is away: {error}", now)
        elif now >= self._say_at:
            self._say(f"the archive has been away for {now - self._away_since:.0f} s: {error}", now)

    def _say(self, text: str, now: float) -> None:
        self._say_at = now + _SAY_AGAIN
        waiting = self._waiting()
        if waiting is None:
            self._tell(f"{text}; messages wait in the broker")
        else:
            self._tell(f"{text}; {_messages(waiting)} in the broker")

    def _succeed(self) -> None:
        if self._away_since is not None:
            seconds = monotonic() - self._away_since
            self._away_since = None
            if self._told:
                self._tell(f"the archive is back after {seconds:.1f} s")
            self._told = False
        self._backoff.reset()

    def status(self, text: str) -> None:
        """Nothing: what happens to the connection is no message."""

    def close(self) -> None:
        """Forget what is not committed: the broker has it."""
        self._forget()


def _messages(count: int) -> str:
    return "1 message waits" if count == 1 else f"{count:,} messages wait"
