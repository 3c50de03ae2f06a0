"""The columns of the table ``hour``: an :class:`~kchat.archive.facts.Hour` as a row, and how many rows add up.

Counts of steps are a blob. It begins with two numbers of two bytes: the lowest step, and how many numbers follow. Then come
all counts from that step on, four bytes each (dense); or, where that is far shorter, steps of two bytes and then their
counts of four (sparse: the highest bit of the first number is set). All of it is little-endian. Dense counts add up as long
integers, without a look at each, which takes a fifth of the time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from kchat.archive.facts import Hour, Name
from kchat.archive.spread import Spread

_HEAD = struct.Struct("<HH")
_MINUTES = struct.Struct("<60I")
_SPARSE = 0x8000
_FAR = 6  # steps of which one is there, from which on sparse is far shorter
_FIELD = 32  # bits of a count
_MOST = 1 << _FIELD

COLUMNS = (
    "messages, first_at, first_person, last_at, last_person, last_key, minutes,"
    " gaps, gaps_total, gaps_longest, gaps_longest_at, gaps_steps,"
    " replies, replies_total, replies_longest, replies_longest_at, replies_steps"
)
"""Of the table ``hour``, in the order that :func:`pack` and :func:`unpack` have."""

unpack_minutes: Callable[[bytes], tuple[int, ...]] = _MINUTES.unpack


def pack(hour: Hour, person: Callable[[Name], int]) -> tuple[Any, ...]:
    """The :data:`COLUMNS` of an hour, which has a message.

    Arguments:
        hour: to store.
        person: the id of a username.
    """
    assert hour.first is not None
    assert hour.last is not None
    return (
        sum(hour.minutes),
        hour.first[0],
        person(hour.first[1]),
        hour.last[0],
        person(hour.last[1]),
        hour.last_key,
        _MINUTES.pack(*hour.minutes),
        *_pack_spread(hour.gaps),
        *_pack_spread(hour.replies),
    )


def unpack(start: int, row: Sequence[Any], name: Callable[[int], Name]) -> Hour:
    """An hour from its :data:`COLUMNS`, without people and mentions, which are stored elsewhere.

    Arguments:
        start: of the hour, in milliseconds since 1970.
        row: the columns.
        name: the username with an id.
    """
    return Hour(
        start,
        (row[1], name(row[2])),
        (row[3], name(row[4])),
        row[5],
        list(unpack_minutes(row[6])),
        _unpack_spread(row[7:12]),
        _unpack_spread(row[12:17]),
    )


def _pack_spread(spread: Spread) -> tuple[Any, ...]:
    return spread.count, spread.total, spread.longest, spread.longest_at, _pack_steps(spread.steps)


def _pack_steps(steps: dict[int, int]) -> bytes:
    if not steps:
        return b""
    lowest, highest = min(steps), max(steps)
    width = highest - lowest + 1
    if len(steps) * _FAR < width:
        return struct.pack(
            f"<HH{len(steps)}H{len(steps)}I", _SPARSE, len(steps), *steps.keys(), *steps.values()
        )
    get = steps.get
    return struct.pack(
        f"<HH{width}I", lowest, width, *(get(number, 0) for number in range(lowest, highest + 1))
    )


def _unpack_spread(row: Sequence[Any]) -> Spread:
    count, total, longest, longest_at, steps = row
    return Spread(count, total, longest, longest_at, _unpack_steps(steps))


def _unpack_steps(blob: bytes) -> dict[int, int]:
    if not blob:
        return {}
    lowest, many = _HEAD.unpack_from(blob)
    if lowest & _SPARSE:
        numbers = struct.unpack_from(f"<{many}H{many}I", blob, 4)
        return dict(zip(numbers[:many], numbers[many:], strict=True))
    return {
        number: count
        for number, count in enumerate(struct.unpack_from(f"<{many}I", blob, 4), lowest)
        if count
    }


class SpreadSum:
    """Adds up spreads as the table has them.

    Attributes:
        spread: what they are together, after :meth:`finish`; times may be added to it at any moment.
    """

    __slots__ = ("_dense", "_pending", "spread")

    def __init__(self) -> None:
        self.spread = Spread()
        self._dense: dict[int, int] = {}  # by their lowest step
        self._pending = 0

    def include(self, count: int, total: int, longest: int, longest_at: int, blob: bytes) -> None:
        """Count all times of a row."""
        if not count:
            return
        spread = self.spread
        if (
            not spread.count
            or longest > spread.longest
            or (longest == spread.longest and longest_at < spread.longest_at)
        ):
            spread.longest, spread.longest_at = longest, longest_at
        spread.count += count
        spread.total += total
        lowest, many = _HEAD.unpack_from(blob)
        if lowest & _SPARSE:
            steps = spread.steps
            numbers = struct.unpack_from(f"<{many}H{many}I", blob, 4)
            for number, each in zip(numbers[:many], numbers[many:], strict=True):
                steps[number] = steps.get(number, 0) + each
            return
        if self._pending + count >= _MOST:
            self.finish()
        self._pending += count
        self._dense[lowest] = self._dense.get(lowest, 0) + int.from_bytes(blob[4:], "little")

    def finish(self) -> Spread:
        """The sum."""
        steps = self.spread.steps
        dense = sum(counts << _FIELD * lowest for lowest, counts in self._dense.items())
        packed = dense.to_bytes(-(-dense.bit_length() // _FIELD) * 4, "little")
        for number, (count,) in enumerate(struct.iter_unpack("<I", packed)):
            if count:
                steps[number] = steps.get(number, 0) + count
        self._dense.clear()
        self._pending = 0
        return self.spread
