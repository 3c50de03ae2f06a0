"""Where a room's history is in Redis, and what is read of it in one go: its keys, its limits, its positions.

Three keys, in the room's database. Their names end with the room's channel, database included: rights in Redis are on keys
and know no databases, so an account of one room has nothing of a room of that name in another database.

* ``kchat-history-limits/0.chat``: a hash of what the host wants, ``keep`` in seconds and ``max_size`` in bytes. Where it is,
  there is a history.
* ``kchat-history/0.chat``: a stream (https://redis.io/docs/latest/develop/data-types/streams/). Each entry is what was
  published with it, in one transaction: so the order is the same in both.
* ``kchat-history-sizes/0.chat``: a sorted set that counts bytes, see :mod:`.keeping`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import InvalidResponse, ResponseError

from kchat.transports.history import KEEP, MAX_SIZE

from .errors import still_answers

if TYPE_CHECKING:
    from .channel import Channel

FIELD = b"message"
"""The field of an entry that holds what was published."""

_LONGEST, _LARGEST = 1e11, 1 << 53
"""Seconds and bytes of limits that make sense."""

READING = "hmget", "xinfo|stream", "xrange", "xrevrange", "memory|usage", "time"
"""The commands that an account needs for reading a history, on the three keys."""

KEEPING = (
    "multi",
    "exec",
    "discard",
    "hmget",
    "xadd",
    "xtrim",
    "zincrby",
    "zadd",
    "zrangebyscore",
    "zremrangebyscore",
    "zremrangebyrank",
)
"""... and for having what it sends kept. ``XADD`` and ``XTRIM`` trim, so who has these can empty a history, too."""

Command = tuple[str | bytes | int | float, ...]


class Keys(NamedTuple):
    """The names of a room's three keys."""

    limits: bytes
    stream: bytes
    sizes: bytes


def keys_of(topic: str, prefix: str = "") -> Keys:
    """The keys of a room.

    Arguments:
        topic: the name of its channel, ``/0.chat``.
        prefix: Kombu's ``global_keyprefix``.
    """
    room = topic if topic.startswith("/") else f"/{topic}"
    return Keys(*(f"{prefix}{name}{room}".encode() for name in _NAMES))


_NAMES = "kchat-history-limits", "kchat-history", "kchat-history-sizes"


def rights(keys: Keys, commands: Iterable[str]) -> list[str]:
    """What ``ACL SETUSER`` takes for these commands on a room's keys."""
    patterns = ("~" + re.sub(r"([*?\[\]\\])", r"\\\1", key.decode()) for key in keys)
    return [*patterns, *(f"+{command}" for command in dict.fromkeys(commands))]


class Position(NamedTuple):
    """A place in a stream.

    Attributes:
        ms, seq: the entry's id: the server's clock in milliseconds, and a number within that.
        added: how many entries were ever added up to there; -1 where that is not known.
    """

    ms: int
    seq: int
    added: int = -1

    @property
    def id(self) -> str:
        """As Redis writes it."""
        return f"{self.ms}-{self.seq}"


class Limits(NamedTuple):
    """What the host wants: see :class:`kchat.transports.history.HistoryStatus`."""

    keep: float = KEEP
    max_size: int = MAX_SIZE


class Newest(NamedTuple):
    """The end of a history that is switched on, and its number of entries."""

    position: Position
    length: int
    limits: Limits


def look(channel: Channel, keys: Keys) -> Newest | None:
    """Where a history ends; ``None`` where none is switched on, or the key holds something else than a stream.

    Raises:
        redis.exceptions.NoPermissionError: this account may not read it.
        redis.exceptions.RedisError: the server cannot answer now, or the connection is lost.
    """
    told, stream = channel.ask(("HMGET", keys.limits, *Limits._fields), ("XINFO", "STREAM", keys.stream))
    limits = limits_in(told)
    if limits is None:
        return None
    if isinstance(stream, ResponseError):
        _raise_unless_something_else(stream)
        if "no such key" in str(stream):
            return Newest(Position(0, 0, 0), 0, limits)
        return None
    if not isinstance(stream, list):
        raise InvalidResponse("its answer to XINFO is not a list")
    fields = {
        name: value for name, value in zip(stream[::2], stream[1::2], strict=False) if isinstance(name, bytes)
    }
    last, added = position_in(fields.get(b"last-generated-id")), fields.get(b"entries-added")
    length = fields.get(b"length")
    if last is None or not isinstance(length, int):
        raise InvalidResponse("its answer to XINFO is not about a stream")
    return Newest(last._replace(added=added if isinstance(added, int) else -1), length, limits)


def limits_in(told: Any) -> Limits | None:
    """The limits in the answer to HMGET; ``None`` where there are none. In place of nonsense stand the defaults.

    Raises:
        redis.exceptions.ResponseError: what was answered, if it is a lack of rights, or a state of the server.
    """
    if isinstance(told, ResponseError):
        _raise_unless_something_else(told)
        return None
    if not isinstance(told, list) or len(told) != len(Limits._fields):
        raise InvalidResponse("its answer to HMGET is not a list of two")
    if told == [None, None]:
        return None
    keep, size = (_number(each) for each in told)
    return Limits(
        keep if 0 < keep <= _LONGEST else KEEP,
        int(size) if 0 < size <= _LARGEST else MAX_SIZE,
    )


def _raise_unless_something_else(error: ResponseError) -> None:
    """Raise an error that does not say that the key, or the server, is of another kind.

    A replica without its primary counts as such: it passes messages on among its own, and has no history to offer.
    """
    if still_answers(error) and "MASTERDOWN" not in str(error) and type(error).__name__ != "MasterDownError":
        raise error


def _number(text: Any) -> float:
    try:
        return float(text)
    except (ValueError, TypeError):
        return math.nan


def position_in(text: Any) -> Position | None:
    """The position in an entry's id; ``None`` for what is none."""
    if not isinstance(text, bytes):
        return None
    ms, dash, seq = text.partition(b"-")
    if not dash or not (ms.isdigit() and seq.isdigit()) or len(text) > 2 * 20 + 1:
        return None
    return Position(int(ms), int(seq))
