"""Records of messages, those included that nothing tells apart: :class:`Placing`.

A message with an id, or with the broker's position, is kept once however often it comes. A durable queue on AMQP gives no
positions, and a plain client writes no ids: such a message gets a place of its own with each delivery. So when the broker
delivers one again (``redelivered``), the question is whether it was written before, and only its acknowledgement was lost.

One reader gets a queue's messages in their order, writes them in that order, and acknowledges in that order. So of what is
delivered again the first ones are those that were written last, if any were. At most *prefetch* deliveries can be
unacknowledged (AMQP 0-9-1, ``basic.qos``), so no others than that many of the last ones written are in doubt: the longest
end of these that is the beginning of what is delivered again was written before. Of readers that share a queue each
gets some of those messages: there, as many of each body count as written as are among the last ones.

Where bodies are all alike, this can be wrong. A message that was delivered and not written when the archiver died, and that
is the same as the last ones written, is taken for one of them, and is missing. With an id in it nothing of this is needed.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import cache
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING

from kchat.archive.record import Record, body_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kchat.archive.store import Store
    from kchat.message import Message

_EVIDENCE = 50
"""Messages delivered again, all of which were written in this order, from which on more of them are expected to follow."""


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
        self._places = count()
        self._connection: object = None
        self._again: list[str] = []  # of this connection, digests of what was written before, in order
        self._settled = False  # nothing that comes by this connection is in doubt any more
        # Of a shared queue: those of this archiver, be they found or written, which are among the last ones in any case.
        self._own: deque[str] = deque(maxlen=self._most)

    def records(self, received: Iterable[tuple[Message, int]], connection: object) -> list[Record]:
        """What is to be written of messages that came; those that were written before are left out.

        It has to be called with all that came since the last time, and once what it returned has been written: what
        is delivered again comes at once, and is compared with what was written last.

        Arguments:
            received: messages with the time when each came, in milliseconds since 1970, in their order.
            connection: which one they came by, such as :attr:`kchat.client.subscriber.Subscriber.position` has it.

        Raises:
            kchat.errors.ArchiveError: the store cannot tell. Nothing has changed then.
        """
        received = list(received)
        known = self._written_before([message for message, _ in received], connection)
        return [
            self._record(message, at)
            for number, (message, at) in enumerate(received)
            if not known or number not in known
        ]

    def _record(self, message: Message, received_at: int) -> Record:
        place = "0"
        if message.id is None and message.position is None:
            place = f"{received_at}-{self._session}-{next(self._places)}"
        return Record.of(
            message, self._room, received_at, position=message.position, place=place, secret=self._secret
        )

    def _written_before(self, messages: Sequence[Message], connection: object) -> set[int]:
        """The numbers of those messages."""
        if connection != self._connection:
            self._connection, self._settled = connection, False
            self._again.clear()
            self._own.clear()
        bare = [
            (number, message)
            for number, message in enumerate(messages)
            if message.id is None and message.position is None
        ]
        if not bare:
            return set()
        return self._of_shared_queue(bare) if self._shared else self._of_own_queue(bare)

    def _of_own_queue(self, bare: Sequence[tuple[int, Message]]) -> set[int]:
        if self._settled:
            return set()
        doubtful = [(number, body_digest(each.body)) for number, each in bare if each.redelivered]
        again = [*self._again, *(digest for _, digest in doubtful)]
        many = max(0, self._overlap(again) - len(self._again)) if doubtful else 0
        self._settled = many < len(bare)
        self._again += (digest for _, digest in doubtful[:many])
        return {number for number, _ in doubtful[:many]}

    def _overlap(self, again: Sequence[str]) -> int:
        """How many of the first of these are the last ones that were written."""
        digests = set(again)

        @cache
        def last(most: int) -> Counter[str]:
            return self._store.without_id(self._room, digests, most) if most > 0 else Counter()

        there, possible = last(self._most).copy(), 0
        for digest in again:
            if not there[digest]:
                break
            there[digest] -= 1
            possible += 1
        for many in range(possible, 0, -1):
            if last(many) == Counter(again[:many]):
                return many
        if possible == len(again) >= _EVIDENCE:
            expected = Counter(again)
            for end in range(1, self._most - possible + 1):
                if last(end + possible) - last(end) == expected:
                    return possible
        return 0

    def _of_shared_queue(self, bare: Sequence[tuple[int, Message]]) -> set[int]:
        digests = [body_digest(each.body) for _, each in bare]
        again = {digest for digest, (_, each) in zip(digests, bare, strict=True) if each.redelivered}
        left: Counter[str] = Counter()
        if again:
            left = self._store.without_id(self._room, again, self._most) - Counter(self._own)
        found = set()
        for digest, (number, each) in zip(digests, bare, strict=True):
            if each.redelivered and left[digest] > 0:
                left[digest] -= 1
                found.add(number)
        self._own.extend(digests)
        return found
