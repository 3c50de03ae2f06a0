"""A room's history on Redis: how its host switches it on, and how it is read. Where it is: :mod:`.kept`.

What comes by the channel and what is in the stream are in one order, and the server answers a subscription's PING in its
turn with messages: so when one is answered that was sent after a look at the stream's end, all has come that stood there.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import amqp.exceptions
from redis.exceptions import InvalidResponse, NoPermissionError, ResponseError

from kchat.errors import Refused
from kchat.transports import history
from kchat.transports.history import KEEP, MAX_SIZE, Begin, HistoryStatus, Kept

from . import envelope
from .kept import FIELD, Keys, Limits, Position, keys_of, limits_in, look, position_in

if TYPE_CHECKING:
    from kchat.transports import protocols
    from kchat.transports.protocols import Connection, Delivery

    from .channel import Channel
    from .kept import Command
    from .transport import Transport

_FIRST_PAGE, _LARGEST_PAGE = 32, 250
"""Entries that are asked for in one go, at first and at the most: in between, as many as make :data:`_LARGE`."""

_LARGE = 1 << 20
"""Bytes of a page; one with a larger message has more."""

_TOO_LARGE = 16 << 20
"""Bytes of a page from which on the rest of it is asked for again: what a reply may hold is bounded (:mod:`.replies`)."""

_AT_HAND = 4 << 20
"""Bytes of the newest messages that are not asked for a second time, having been counted."""

_MAX_ID = (1 << 64) - 1


class HistoryPolicy(history.HistoryPolicy):
    """See :class:`kchat.transports.history.HistoryPolicy`."""

    by_host = True
    beside = True
    counts_missing = True

    def _keys(self, channel: Channel) -> Keys:
        topic = channel._get_publish_topic(self._room.name, "")  # noqa: SLF001 - Kombu's, of kchat's own transport
        return keys_of(topic, channel.global_keyprefix)

    # ---- the host's side

    def switch_on(self, channel: protocols.Channel, *, keep: float = KEEP, max_size: int = MAX_SIZE) -> None:
        """Write the limits, and make the stream. Senders that are connected notice it within a minute.

        Raises:
            kchat.errors.Refused: there is something else in Redis by the name of one of its keys.
            redis.exceptions.RedisError: it is not allowed, or something else is wrong.
        """
        ours: Channel = channel  # type: ignore[assignment]  # it is by kchat's own transport
        keys = self._keys(ours)
        for key, kind in zip(keys, (b"hash", b"stream", b"zset"), strict=True):
            (found,) = _checked(ours.ask(("TYPE", key)))
            if found not in (kind, b"none", kind.decode(), "none"):
                raise Refused(
                    f"the key {key.decode()} in Redis holds something else",
                    hint=f"look at it, and delete it with: redis-cli DEL {key.decode()}",
                )
        # A group is how a stream is made without a message; it is gone again in the same transaction.
        _done(
            ours,
            ("HSET", keys.limits, "keep", repr(float(keep)), "max_size", max_size),
            ("XGROUP", "CREATE", keys.stream, "kchat", "$", "MKSTREAM"),
            ("XGROUP", "DESTROY", keys.stream, "kchat"),
        )

    def switch_off(self, channel: protocols.Channel) -> None:
        """Delete the keys."""
        ours: Channel = channel  # type: ignore[assignment]  # as above
        _done(ours, ("DEL", *self._keys(ours)))

    def clear(self, channel: protocols.Channel) -> None:
        """Empty the stream; its ids go on."""
        ours: Channel = channel  # type: ignore[assignment]  # as above
        keys = self._keys(ours)
        _done(ours, ("XTRIM", keys.stream, "MAXLEN", 0), ("DEL", keys.sizes))

    def status(self, connection: Connection) -> HistoryStatus | None:
        """What the stream holds, and the memory that it takes."""
        channel = _channel(connection)
        keys = self._keys(channel)
        with _Refusals():
            newest = look(channel, keys)
            if newest is None:
                return None
            oldest = self._oldest(channel, keys, newest.position)
            first, memory = channel.ask(
                ("XRANGE", keys.stream, str(oldest), "+", "COUNT", 1),
                ("MEMORY", "USAGE", keys.stream, "SAMPLES", 0),
            )
            entries = _entries(*_checked([first]))
            too_old = newest.length
            if entries:
                too_old = _count(channel, keys.stream, f"({entries[0][0].id}")
        return HistoryStatus(
            max(0, newest.length - too_old),
            since=entries[0][0].ms / 1000 if entries else None,
            size=memory if isinstance(memory, int) else None,
            keep=newest.limits.keep,
            max_size=newest.limits.max_size,
        )

    # ---- everybody's side

    def keeps_unrouted(self, connection: Connection, channel: protocols.Channel) -> bool:  # noqa: ARG002 - who published knows
        """What the channel knows, which has kept it."""
        ours: Channel = channel  # type: ignore[assignment]  # as above
        return ours.has_kept_unrouted(self._room.name)

    def newest(self, connection: Connection, *, known: bool = False) -> Position | None:  # noqa: ARG002 - it is there at once
        """The id of the newest message, and its number."""
        channel = _channel(connection)
        with _Refusals():
            newest = look(channel, self._keys(channel))
        return None if newest is None else newest.position

    def reader(self, connection: Connection, begin: Begin, end: Position) -> StreamReader:
        """Read by a connection's first channel."""
        channel = _channel(connection)
        keys = self._keys(channel)
        with _Refusals():
            oldest = self._oldest(channel, keys, end)
            if begin.after is not None:
                after = f"({begin.after.id}" if begin.after.ms >= oldest else str(oldest)
                return StreamReader(channel, keys.stream, after, end, after=begin.after)
            if begin.last is not None:
                return _last(channel, keys.stream, begin.last, oldest, end)
            since = begin.since or 0.0
            first = min(max(int(since * 1000), oldest, 0), _MAX_ID) if isfinite(since) else oldest
            return StreamReader(channel, keys.stream, str(first), end)

    def position_at(self, connection: Connection, until: float, end: Position) -> Position:
        """Ids are the server's clock in milliseconds."""
        channel = _channel(connection)
        before = min(max(math.ceil(until * 1000), 0), _MAX_ID) if isfinite(until) else _MAX_ID
        with _Refusals():
            entries = _entries(
                channel.ask(("XREVRANGE", self._keys(channel).stream, f"({before}", "-", "COUNT", 1))[0]
            )
        return min(entries[0][0], end) if entries else Position(0, 0)

    def position_of(self, kept: Kept) -> str:
        """The entry's id: a stream that was made anew goes on by the server's clock."""
        position: Position = kept.position
        return position.id

    @staticmethod
    def _oldest(channel: Channel, keys: Keys, end: Position) -> int:
        """The id of what is just not too old now: in a room where nobody sends, nobody has taken away what is."""
        told, now = channel.ask(("HMGET", keys.limits, *Limits._fields), ("TIME",))
        limits = limits_in(told) or Limits()
        try:
            seconds = int(now[0])
        except (
            TypeError,
            ValueError,
            LookupError,
        ):  # this account may not ask; no clock but the server's counts
            seconds = end.ms // 1000
        return max(0, int((seconds - limits.keep) * 1000))

    def ask_waiting(self, channel: protocols.Channel, queue: str, answer: Callable[[int], None]) -> None:
        """The answer comes with the messages."""
        ours: Channel = channel  # type: ignore[assignment]  # as above
        ours.fanout.ask(queue, answer)


class StreamReader:
    """See :class:`kchat.transports.history.HistoryReader`.

    Arguments:
        channel: to ask by, and that deliveries are of.
        stream: the key.
        first: the id to begin at; with ``(`` in front of it, behind it.
        end: the last one to hand over.
        after: behind what nothing should be missing. Default: anything may.
        at_hand: the messages up to the end, where they are known already.
    """

    is_other = False
    """Ids go by the server's clock, so those of another stream stand behind those of one that was cleared."""

    def __init__(
        self,
        channel: Channel,
        stream: bytes,
        first: str,
        end: Position,
        *,
        after: Position | None = None,
        at_hand: Sequence[Kept] | None = None,
    ) -> None:
        self._channel = channel
        self._stream = stream
        self._first = first
        self._end = end
        self._after = after
        self._came = deque(at_hand or ())
        self._over = at_hand is not None
        self._entries = 0
        self._page = _Page()

    @property
    def done(self) -> bool:
        """Whether all of it was handed over."""
        return self._over and not self._came

    @property
    def missing(self) -> int:
        """What was added behind the position to begin after, and was not there any more.

        -1 where less was added than there should be: the stream is not what it was then. Redis began with what it had saved
        a while ago, say, or the host has switched the history off and on.
        """
        if self._after is None or not self._over:
            return 0
        if self._end[:2] < self._after[:2]:
            return -1
        if min(self._after.added, self._end.added) < 0:
            return 0
        return max(-1, self._end.added - self._after.added - self._entries)

    @property
    def certain(self) -> int:
        """All of it: entries are counted."""
        return max(0, self.missing)

    @property
    def held(self) -> int:
        """The number of messages that it has come to by now."""
        return self._entries

    def read(self, drain: Callable[[float | None], bool], timeout: float, limit: int) -> Sequence[Kept]:  # noqa: ARG002 - it waits for an answer only
        """The next messages."""
        while not self._came and not self._over:
            self._read_page()
        return [self._came.popleft() for _ in range(min(limit, len(self._came)))]

    def _read_page(self) -> None:
        command = "XRANGE", self._stream, self._first, self._end.id, "COUNT", self._page.size
        entries, cut = self._page.take(*_checked(self._channel.ask(command)))
        self._over = not entries and not cut
        for position, data in entries:
            self._first = f"({position.id}"
            self._entries += 1
            if self._after is not None and self._after.added >= 0:
                # As if nothing were missing: where it is read on from there, what is counts as missing then.
                position = position._replace(added=self._after.added + self._entries)  # noqa: PLW2901 - the same
            if data is not None:
                self._came.append(Kept(_delivery(self._channel, data), position))
        if entries and entries[-1][0][:2] >= self._end[:2]:
            self._over = True

    def close(self) -> None:
        """Leave off."""
        self._over = True
        self._came.clear()


Entry = tuple[Position, bytes | None]
"""A place in a stream, and what was published; ``None`` for an entry of somebody else's."""


class _Page:
    """How much to ask for in one go.

    Arguments:
        backwards: from the end on. Default: from the beginning.
    """

    def __init__(self, *, backwards: bool = False) -> None:
        self._backwards = backwards
        self._before: Position | None = None
        self.size = _FIRST_PAGE

    def take(self, reply: Any) -> tuple[list[Entry], bool]:
        """The entries of a reply that are of use, and whether there were others, to be asked for again.

        Raises:
            redis.exceptions.InvalidResponse: they are not, or not in order: so there is an end to them.
        """
        entries = _entries(reply)
        before = self._before
        for position, _ in entries:
            if before is not None and (position >= before if self._backwards else position <= before):
                raise InvalidResponse("the entries in its answer are not in order")
            before = position
        asked, taken, size = self.size, 0, 0
        while taken < len(entries) and size < _TOO_LARGE:
            size += len(entries[taken][1] or b"")
            taken += 1
        if taken:
            self._before = entries[taken - 1][0]
            fitting = max(1, _LARGE * taken // max(1, size))
            self.size = max(1, min(fitting, 4 * asked, _LARGEST_PAGE))
        return entries[:taken], taken < len(entries)


def _last(channel: Channel, stream: bytes, count: int, oldest: int, end: Position) -> StreamReader:
    """A reader of the newest messages: they are counted from the end, and read again where they are many."""
    newest: deque[Kept] | None = deque()
    size, left, first, bound = 0, count, end, end.id
    page = _Page(backwards=True)
    over = count <= 0
    while not over:
        command = "XREVRANGE", stream, bound, str(oldest), "COUNT", min(page.size, left)
        entries, cut = page.take(*_checked(channel.ask(command)))
        for position, data in entries:
            first, bound = position, f"({position.id}"
            if data is None:
                continue
            left -= 1
            size += len(data)
            if newest is not None and size <= _AT_HAND:
                newest.appendleft(Kept(_delivery(channel, data), position))
            else:
                newest = None
        over = left <= 0 or (not entries and not cut)
    if newest is not None:
        return StreamReader(channel, stream, end.id, end, at_hand=newest)
    return StreamReader(channel, stream, first.id, end)


def _count(channel: Channel, stream: bytes, bound: str) -> int:
    """The number of entries before a bound, which is of the kind that XREVRANGE takes.

    Redis counts no part of a stream, so they are read. There are many only where nobody has sent for long, since a sender
    deletes what is too old: 200,000 take two seconds.
    """
    count, page = 0, _Page(backwards=True)
    while True:
        entries, cut = page.take(
            *_checked(channel.ask(("XREVRANGE", stream, bound, "-", "COUNT", page.size)))
        )
        if not (entries or cut):
            return count
        count += len(entries)
        bound = f"({entries[-1][0].id}"


def _entries(reply: Any) -> list[Entry]:
    """The entries in an answer to XRANGE."""
    if not isinstance(reply, list):
        raise InvalidResponse("its answer to XRANGE is not a list")
    entries: list[Entry] = []
    for entry in reply:
        if not isinstance(entry, list) or len(entry) != 2 or (position := position_in(entry[0])) is None:
            raise InvalidResponse("its answer to XRANGE is not of entries")
        # An entry that was deleted meanwhile has no fields.
        fields = entry[1] if isinstance(entry[1], list) else []
        data = fields[1] if len(fields) == 2 and fields[0] == FIELD and isinstance(fields[1], bytes) else None
        entries.append((position, data))
    return entries


def _delivery(channel: Channel, data: bytes) -> Delivery:
    delivery: Delivery = channel.fanout_message(envelope.unwrap(data), None)
    return delivery


def _channel(connection: Connection) -> Channel:
    transport: Transport = connection.connection
    channel: Channel = transport.any_channel()
    return channel


def _checked(replies: list[Any]) -> list[Any]:
    """Replies without an error among them; else it is raised."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _done(channel: Channel, *commands: Command) -> None:
    """Have commands done in one transaction, or raise the error of one."""
    *queued, ended = channel.ask(("MULTI",), *commands, ("EXEC",))
    _checked(queued)
    _checked([ended])
    if not isinstance(ended, list):
        raise InvalidResponse("its answer to EXEC is not a list")
    _checked(ended)


class _Refusals:
    """A context that makes AMQP's error of Redis' for a lack of rights, which is how the port has it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, NoPermissionError):
            raise amqp.exceptions.AccessRefused(str(error)) from error
        if isinstance(error, ResponseError) and "WRONGTYPE" in str(error):
            raise Refused("the key of the room's history holds something else than a stream") from error
