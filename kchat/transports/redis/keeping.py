"""Publishing in a room, and keeping it where the room's host wants that: ``XADD`` beside ``PUBLISH``, in one transaction.

Limits. Of age: by ``MINID``, counted from the time that the server gave to the message before; no clock of a sender's
counts. Of size: ``MAXLEN`` counts entries, of which one may be a million times another, and ``MEMORY USAGE`` says how large
a stream is, but not what to take away from it. So bytes are counted: in the same transaction ``ZINCRBY`` adds the message to
the bytes that were ever kept. The sender that crosses a 32nd of the limit by that notes the place, and trims the stream up
to the first place behind which there is no more than the limit. That is as exact as the distance of two places, for messages
of any size and any number of senders, and costs four more commands with every 32nd of the limit.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from redis.exceptions import InvalidResponse, NoPermissionError, RedisError, ResponseError

from kchat import events

from .kept import FIELD, Keys, Limits, keys_of, limits_in, position_in

if TYPE_CHECKING:
    from .channel import Channel
    from .kept import Command, Position

LOOK = 60.0
"""Seconds after which it is looked again whether the host wants history."""

STEPS = 32
"""Places within the limit of size, for trimming."""

OVERHEAD = 64
ROUNDING = 4
"""An entry takes these bytes besides what was published, and a fourth more: Redis' allocator rounds up. Measured with
messages of 400 B to 1.4 MB: so the memory of a stream stays below its limit."""

_WRITTEN = b"written"
"""In the sorted set, what was ever kept, in bytes. Its other members are places, by what was kept up to there."""

_MOST = 1 << 53
"""Of what a sorted set can count."""


@dataclass
class _Room:
    keys: Keys
    look_at: float = 0.0
    limits: Limits | None = None
    newest: int | None = None
    """When the last message was kept, by the server's clock in milliseconds."""
    told: bool = False
    """Whether it was said that it is not kept."""
    again: str | None = None
    """The id of the last message, if it was kept and nobody got it: then it may be published again, for those who come."""


class Keeper:
    """Publishes by a channel.

    Arguments:
        channel: a channel of :mod:`.channel`; it tells, once for a room, that this account's messages are not kept.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._rooms: dict[str, _Room] = {}

    def publish(self, topic: str, data: bytes, message_id: str | None, *, kept: bool) -> int:
        """Publish, and keep it if the host wants that; returns the number of receivers.

        Arguments:
            topic: the room's channel.
            data: what to publish.
            message_id: its own.
            kept: whether it is kept if the host wants that.

        Raises:
            redis.exceptions.RedisError: it was not published, or that is not known.
        """
        prefix = self._channel.global_keyprefix
        plain: Command = "PUBLISH", f"{prefix}{topic}", data
        if not kept:
            return self._published(*self._channel.ask(plain))
        room = self._rooms.get(topic)
        if room is None:
            room = self._rooms[topic] = _Room(keys_of(topic, prefix))
        now = monotonic()
        if now >= room.look_at:
            room.limits = self._look(room.keys)
            room.look_at = now + LOOK
        if room.limits is None:
            room.again = None
            return self._published(*self._channel.ask(plain))
        if room.again is not None and room.again == message_id:
            return self._published(*self._channel.ask(plain))
        return self._keep(room, room.limits, plain, data, message_id)

    def has_kept_unrouted(self, topic: str) -> bool:
        """Whether the message that was published last there is kept, and had no receivers."""
        room = self._rooms.get(topic)
        return room is not None and room.again is not None

    def _look(self, keys: Keys) -> Limits | None:
        """What the host wants. An account that may not know it keeps nothing."""
        (told,) = self._channel.ask(("HMGET", keys.limits, *Limits._fields))
        try:
            return limits_in(told)
        except NoPermissionError:
            return None

    @staticmethod
    def _published(reply: Any) -> int:
        if isinstance(reply, Exception):
            raise reply
        if not isinstance(reply, int):
            raise InvalidResponse("its answer to PUBLISH is not a number")
        return reply

    def _keep(self, room: _Room, limits: Limits, plain: Command, data: bytes, message_id: str | None) -> int:
        keys, size = room.keys, len(data) + len(data) // ROUNDING + OVERHEAD
        oldest = () if room.newest is None else ("MINID", "~", _oldest(room.newest, limits))
        # NOMKSTREAM: a history that was switched off since the last look stays so.
        add: Command = "XADD", keys.stream, "NOMKSTREAM", *oldest, "*", FIELD, data
        count: Command = "ZINCRBY", keys.sizes, size, _WRITTEN
        begun, *queued, ended = self._channel.ask(("MULTI",), add, count, plain, ("EXEC",))
        if isinstance(begun, ResponseError):  # without it they were done one by one
            ended = queued
        elif isinstance(ended, ResponseError):  # nothing was done
            if isinstance(queued[2], ResponseError):
                raise queued[2]
            refused = next((each for each in queued if isinstance(each, ResponseError)), ended)
            if not _no_permission(refused):
                raise refused
            self._give_up(room, refused)
            return self._published(*self._channel.ask(plain))
        if not isinstance(ended, list) or len(ended) != 3:
            raise InvalidResponse("its answer to EXEC is not a list of three")
        added, written, published = ended
        receivers = self._published(published)
        # It is published: nothing that fails from here on is a reason to publish it again.
        with suppress(RedisError):
            self._added(room, limits, added, written, size)
        room.again = message_id if not receivers and room.limits is not None else None
        return receivers

    def _added(self, room: _Room, limits: Limits, added: Any, written: Any, size: int) -> None:
        for reply in (added, written):
            if isinstance(reply, ResponseError):
                self._give_up(room, reply)
                return
        if added is None:
            room.limits, room.look_at = None, 0.0
            self._channel.ask(("ZREMRANGEBYRANK", room.keys.sizes, 0, -1))
            return
        position = position_in(added)
        if position is None:
            raise InvalidResponse("its answer to XADD is not the id of an entry")
        first, room.newest = room.newest is None, position.ms
        replies: list[Any] = []
        if first:
            oldest = _oldest(position.ms, limits)
            replies += self._channel.ask(("XTRIM", room.keys.stream, "MINID", "~", oldest))
        replies += self._bound(room.keys, position, _bytes(written), size, limits.max_size)
        refused = next((each for each in replies if isinstance(each, ResponseError)), None)
        if refused is not None:
            self._give_up(room, refused)

    def _bound(self, keys: Keys, own: Position, written: int, size: int, limit: int) -> list[Any]:
        """Trim the stream by size, if that is due. Returns the server's replies."""
        if not size <= written < _MOST:  # somebody else has written there
            return self._channel.ask(("ZREMRANGEBYRANK", keys.sizes, 0, -1))
        step = max(1, limit // STEPS)
        if written // step == (written - size) // step:
            return []
        noted, found = self._channel.ask(
            ("ZADD", keys.sizes, written, own.id),
            ("ZRANGEBYSCORE", keys.sizes, written - limit, "+inf", "WITHSCORES", "LIMIT", 0, 1),
        )
        if isinstance(found, ResponseError) or written <= limit:
            return [noted, found]
        member, score = found if isinstance(found, list) and len(found) == 2 else (None, None)
        place, before = position_in(member), _bytes(score)
        if place is None or before < 0:
            return self._channel.ask(("ZREMRANGEBYRANK", keys.sizes, 0, -1))
        # The newest one stays, however large it is: others have yet to read it.
        first = own.id if place >= own else f"{place.ms}-{place.seq + 1}"
        return self._channel.ask(
            ("XTRIM", keys.stream, "MINID", "~", first, "LIMIT", 0),
            ("ZREMRANGEBYSCORE", keys.sizes, "-inf", f"({before}"),
        )

    def _give_up(self, room: _Room, why: ResponseError) -> None:
        """Keep nothing more until the next look, and say so the first time."""
        room.limits = room.again = None
        if not room.told:
            room.told = True
            reason = "this account may not write it" if _no_permission(why) else str(why)
            self._channel.tell(
                events.Notice(f"what is sent here is not kept in the room's history: {reason}")
            )


def _no_permission(error: ResponseError) -> bool:
    """Whether this account lacks a right; where that is EXEC's, the server says EXECABORT, and why."""
    return isinstance(error, NoPermissionError) or "NOPERM" in str(error)


def _oldest(newest: int, limits: Limits) -> int:
    """The id from which on messages are kept, when one was kept at this time."""
    return max(0, newest - math.ceil(limits.keep * 1000))


def _bytes(score: Any) -> int:
    """A sorted set's score; -1 for what is no number of bytes."""
    try:
        return int(float(score))
    except (ValueError, TypeError, OverflowError):
        return -1
