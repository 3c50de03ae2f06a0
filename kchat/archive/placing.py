"""Records of messages, those included that nothing tells apart: :class:`Placing`.

A message with an id, or with the broker's position, is kept once however often it comes. A durable queue on AMQP gives no
positions, and a plain client writes no ids: such a message gets a place of its own with each delivery. So when the broker
delivers one again (``redelivered``), the question is whether it was written before, and only its acknowledgement was lost.

One reader gets a queue's messages in their order, also those that come again, and writes them in that order. So if some of
what comes again was written, its beginning is the end of what was written. At most *prefetch* deliveries of a reader can
be unacknowledged (AMQP 0-9-1, ``basic.qos``), so no more than that many of the last ones written are in doubt. What is
written together is acknowledged together (``basic.ack`` with ``multiple``): so that end begins with a write, unless
messages came again before, of which only a part was acknowledged then. Of several ends that fit, the one is taken that is
the least likely to fit by chance, where some texts are frequent. Of readers that share a queue, each gets some of what
another one had: there, a message that comes again counts as written where its body is in another reader's last write.

This can be wrong where bodies are alike. If what was not written begins with the same bodies as all of the last write, and
these are rare, it passes for that and is missing: the same text twice in a row, where it is the only one in its write, and
was not written in a while. If they are frequent, it is the other way round: what was written and not acknowledged is there
twice. With ids, nothing of this is needed.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from secrets import token_hex
from time import time_ns
from typing import TYPE_CHECKING, NamedTuple

from kchat.archive.record import Record, body_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kchat.archive.store import Store
    from kchat.message import Message

_KEY = re.compile(r"b:([0-9a-f]{32}):([0-9]{13}-([0-9a-f]{8})-[0-9]{6})-[0-9]{6}").fullmatch
"""Of a record that was made here: a digest, and a place that sorts by time: the write, its session in it, and a number."""

_BITS_OF_WHOLE, _BITS = 7.0, 40.0
"""How improbable it has to be, in bits, that what comes again only looks like what was written: like all of one or several
writes, or like another part of it, as it is where messages came again before and were left out and acknowledged."""

_UNKNOWN = 256.0
"""A text counts as one in this many at the least: of what nobody has written before it is not known how rare it is."""


class _Written(NamedTuple):
    """A message that was written."""

    digest: str
    write: str
    session: str


class Placing:
    """Makes the records of one room's messages. For one thread.

    Arguments:
        store: that they are written to.
        room: its name.
        prefetch: maximum number of unacknowledged messages of one reader.
        readers: number of readers that share the queue; of 1, order counts. Default: 1.
    """

    def __init__(self, store: Store, room: str, prefetch: int, readers: int = 1) -> None:
        self._store = store
        self._room = room
        self._secret = store.secret
        self._most = prefetch * readers
        self._shared = readers > 1
        self._session = token_hex(4)
        self._writes = 0
        self._latest = 0  # the time in the last write's name
        self._knows_last = False
        self._connection: object = None
        self._again: list[str] = []  # of this connection, digests of what was written before, in order
        self._settled = False  # nothing that comes by this connection is in doubt any more
        self._found: Counter[str] = Counter()  # of a shared queue, the same by bodies, in any order

    def records(self, received: Iterable[tuple[Message, int]], connection: object) -> list[Record]:
        """What is to be written of messages that came; those that were written before are left out.

        It has to be called with all that came since the last time, and once what it returned then has been written: what
        comes again is compared with what was written last. What it returns is to be written at once.

        Arguments:
            received: messages with the time when each came, in milliseconds since 1970, in their order.
            connection: which one they came by: anything that differs from one to the next.

        Raises:
            kchat.errors.ArchiveError: the store cannot tell. Then it can be called again with the same.
        """
        received = list(received)
        known = self._written_before([message for message, _ in received], connection)
        self._writes += 1
        # Places sort by time: where the clock was set back, they go on from the last one.
        self._latest = max(time_ns() // 1_000_000, self._latest + 1)
        write = f"{self._latest:013d}-{self._session}-{self._writes % 1_000_000:06d}"
        return [
            Record.of(
                message,
                self._room,
                at,
                position=message.position,
                place=f"{write}-{number:06d}",
                secret=self._secret,
            )
            for number, (message, at) in enumerate(received)
            if not known or number not in known
        ]

    def _written_before(self, messages: Sequence[Message], connection: object) -> set[int]:
        """The numbers of those messages."""
        if connection != self._connection:
            self._connection, self._settled = connection, False
            self._again.clear()
            self._found.clear()
        bare = [
            (number, message)
            for number, message in enumerate(messages)
            if message.id is None and message.position is None
        ]
        if not bare:
            return set()
        self._go_on()
        return self._of_shared_queue(bare) if self._shared else self._of_own_queue(bare)

    def _go_on(self) -> None:
        """Look up once when others wrote last, by their clocks."""
        if not self._knows_last:
            for last in map(_KEY, self._store.without_id(self._room, 1)):
                if last is not None:
                    self._latest = max(self._latest, int(last[2][:13]))
            self._knows_last = True

    def _last_written(self) -> list[_Written]:
        keys = map(_KEY, self._store.without_id(self._room, self._most))
        return [_Written(*found.groups()) for found in keys if found is not None]

    # ---- a queue with one reader

    def _of_own_queue(self, bare: Sequence[tuple[int, Message]]) -> set[int]:
        if self._settled:
            return set()
        doubtful = [
            (number, body_digest(each.body, self._secret)) for number, each in bare if each.redelivered
        ]
        again = [*self._again, *(digest for _, digest in doubtful)]
        many = max(0, _overlap(self._last_written(), again) - len(self._again)) if doubtful else 0
        self._settled = many < len(bare)
        self._again += (digest for _, digest in doubtful[:many])
        return {number for number, _ in doubtful[:many]}

    # ---- a queue with several readers

    def _of_shared_queue(self, bare: Sequence[tuple[int, Message]]) -> set[int]:
        doubtful = [
            (number, body_digest(each.body, self._secret)) for number, each in bare if each.redelivered
        ]
        if not doubtful:
            return set()
        left = _last_of_others(self._last_written(), self._session) - self._found
        known = set()
        for number, digest in doubtful:
            if left[digest] > 0:
                left[digest] -= 1
                self._found[digest] += 1
                known.add(number)
        return known


def _overlap(written: Sequence[_Written], again: Sequence[str]) -> int:
    """How many of those that came again are the last ones that were written: what is the most improbable to be chance."""
    digests = [each.digest for each in written]
    usual = Counter(digests)
    best, many = 0.0, 0
    for start, first in enumerate(written):
        length = min(len(digests) - start, len(again))
        if first.digest != again[0] or digests[start : start + length] != again[:length]:
            continue
        begins = start == 0 or written[start - 1].write != first.write
        if begins and first.write == written[-1].write:  # what is usual, was written in front of it
            bits = _improbable(again[:length], Counter(digests[:start]), 0)
        else:
            bits = _improbable(again[:length], usual, 1)
        whole = begins and start + length == len(digests)
        if bits >= (_BITS_OF_WHOLE if whole else _BITS) and bits > best:
            best, many = bits, length
    return many


def _improbable(digests: Sequence[str], usual: Counter[str], own: int) -> float:
    """How improbable it is, in bits, that these texts were written again in this order.

    Arguments:
        digests: of the texts.
        usual: how often each was written.
        own: how many of each are these themselves.
    """
    total = usual.total() - own
    found = 0.0
    for each in digests:
        others = usual[each] - own
        found += math.log2(min(_UNKNOWN, total / others) if others > 0 else _UNKNOWN)
    return found


def _last_of_others(written: Sequence[_Written], session: str) -> Counter[str]:
    """The bodies of the last write of each other reader."""
    last = {each.session: each.write for each in written if each.session != session}
    return Counter(each.digest for each in written if last.get(each.session) == each.write)
