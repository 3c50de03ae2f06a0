"""What was published and is not confirmed yet: the window of a pipelined sender, and the receipts that come out of it."""

from __future__ import annotations

import os
from collections import deque
from itertools import takewhile
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from kchat import errors

if TYPE_CHECKING:
    from kchat.message import Message


_TRIES = 3
"""How often a message that the broker gives back is published again."""

_TRY_AGAIN = 0.1
"""Seconds until then."""


class Receipt(NamedTuple):
    """What became of one message.

    Attributes:
        message: the message.
        routed: whether anybody was listening, or, on AMQP, the room's history takes every message, and nobody knows;
            ``None`` where the broker does not say.
        error: why it was not sent; ``None`` when the broker has confirmed it.
    """

    message: Message
    routed: bool | None = None
    error: errors.SendError | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the broker has the message."""
        return self.error is None


_Published: TypeAlias = "tuple[Message, float, int, deque[Receipt]]"
"""A message, when it was published, its place in what the sender has sent, and who gets its receipt."""


class InFlight:
    """Messages from when they are handed in until the broker settles them, in their order.

    First come those that are published, by delivery tag, then those that have to be published again. Its three handlers
    are what py-amqp's ``channel.events`` take (https://www.rabbitmq.com/docs/confirms#publisher-confirms).

    RabbitMQ 4.3 gives a message back where one of its queues is deleted that moment, as when a subscriber leaves, although
    all others have it. So what is given back is published again before it counts as rejected; subscribers leave out what
    they have, by its id.

    Arguments:
        where: the room and broker, for errors.
        supports_mandatory: whether the broker returns what nobody was listening to; it does so before it confirms.
        mandatory: whether an unrouted message is an error.
    """

    def __init__(self, where: str, *, supports_mandatory: bool, mandatory: bool) -> None:
        self.bytes = 0
        self.last_settled = 0.0
        self._oldest_since = 0.0
        self._paused = 0.0
        self.routed: bool | None = None
        """Whether somebody was listening to the last message that the broker took; None where that is not known."""
        self.keep_unrouted = False
        """Whether a message that nobody was listening to is not settled, but has to be published again."""
        self._where = where
        self._supports_mandatory = supports_mandatory
        self._mandatory = mandatory
        self._tag = 0
        self._published: dict[int, _Published] = {}  # in order of their tags
        self._again: deque[_Published] = deque()
        self._given_back: deque[tuple[float, _Published]] = deque()  # and when it is to be published again
        self._tries: dict[int, int] = {}  # of those, by place
        self._place = 0
        self.stream = _new_stream()
        """Names what is sent from when it began, or has given a message up, on."""
        self._rooms: dict[str, tuple[str, int, bool | None]] = {}  # of those that it has switched from
        # Returns that have come, by message id: several messages may have the same, or none.
        self._unrouted: dict[str | None, int] = {}

    def __len__(self) -> int:
        return len(self._published) + len(self._again) + len(self._given_back)

    @property
    def awaited(self) -> int:
        """Number of messages that are published and not settled."""
        return len(self._published)

    def add(self, message: Message, receipts: deque[Receipt]) -> tuple[int, int]:
        """Note a message that is about to be published, and who gets its receipt; returns its delivery tag and its place."""
        self.bytes += len(message.body)
        self._place += 1
        return self._publish(message, self._place, receipts), self._place

    def switch(self, where: str) -> None:
        """Count for another room from now on.

        Each room has a stream and places of its own, by which its subscribers notice that something is missing.

        Raises:
            RuntimeError: something is in flight.
        """
        if self:
            raise RuntimeError("a sender switches rooms when nothing is in flight")
        self._rooms[self._where] = self.stream, self._place, self.routed
        self._where = where
        new: tuple[str, int, bool | None] = (_new_stream(), 0, None)
        self.stream, self._place, self.routed = self._rooms.pop(where, new)

    def restart(self) -> None:
        """There is a new channel: all messages have to be published again, under tags that begin anew."""
        self._again.extendleft(reversed(self._published.values()))
        self._again.extendleft(reversed([published for _, published in self._given_back]))
        self._given_back.clear()
        self._published.clear()
        self._paused = 0.0
        self._unrouted.clear()
        self._tag = 0

    def next_again(self) -> tuple[int, int, Message] | None:
        """The first message to be published again: its new tag, its place, and itself; ``None`` if there is none left."""
        if not self._again:
            return None
        message, _, place, receipts = self._again.popleft()
        return self._publish(message, place, receipts), place, message

    @property
    def given_back_for(self) -> float | None:
        """Seconds until a message that was given back is to be published again; ``None`` where there is none."""
        return max(0.0, self._given_back[0][0] - monotonic()) if self._given_back else None

    def next_given_back(self) -> tuple[int, int, Message] | None:
        """As :meth:`next_again`, of those whose time has come."""
        if self.given_back_for != 0:
            return None
        message, _, place, receipts = self._given_back.popleft()[1]
        return self._publish(message, place, receipts), place, message

    def _publish(self, message: Message, place: int, receipts: deque[Receipt]) -> int:
        self._tag += 1
        self._published[self._tag] = message, monotonic(), place, receipts
        return self._tag

    def clear(self) -> None:
        """Forget everything that is not settled."""
        self.restart()
        if self._again:
            # Nobody can know whether it arrives: what comes next is not counted on from it.
            self.stream, self._place = _new_stream(), 0
        self._again.clear()
        self._tries.clear()
        self.bytes = 0

    def waiting_for(self, *, pauses: bool = False) -> float:
        """For how many seconds the oldest message has been the oldest, and waiting for the broker.

        On a slow link a message waits for those before it. But whatever else is settled, it has its own time. With
        ``pauses``, the time that :meth:`pause_clock` was told of counts, too.
        """
        oldest = next(iter(self._published.values()), None)
        if oldest is None:
            return 0.0
        waited = monotonic() - max(oldest[1], self._oldest_since)
        return waited if pauses else max(0.0, waited - self._paused)

    def pause_clock(self, seconds: float) -> None:
        """Leave out this time, in which no confirmation could come."""
        self._paused += seconds

    def refuse(self, tag: int, error: errors.SendError) -> None:
        """The newest message was not published after all, and its delivery tag is the next one's."""
        self._settle(self._published.pop(tag), error=error)
        self._tag -= 1
        self._place -= 1

    def on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        """The broker has these messages. An unknown tag confirms nothing."""
        taken = self._take(tag, multiple)
        if not taken:
            return
        for published in taken:
            if not self._supports_mandatory:
                self._settle(published)
                continue
            message_id = published[0].id
            self.routed = message_id not in self._unrouted
            error = None
            if not self.routed:
                self._unrouted[message_id] -= 1
                if not self._unrouted[message_id]:
                    del self._unrouted[message_id]
                if self.keep_unrouted:
                    self._again.appendleft(published)
                    continue
                if self._mandatory:
                    error = errors.Returned(f"nobody is listening on {self._where}")
            self._settle(published, routed=self.routed, error=error)
        self.last_settled = monotonic()

    def on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        """The broker could not take these messages."""
        text = f"{self._where}: the broker gave the message back (basic.nack)"
        for published in self._take(tag, multiple):
            place = published[2]
            tries = self._tries[place] = self._tries.get(place, 0) + 1
            if tries <= _TRIES:
                self._given_back.append((monotonic() + _TRY_AGAIN, published))
            else:
                self._settle(published, error=errors.Rejected(text))
        self.last_settled = monotonic()

    def on_return(self, _error: Exception, _exchange: str, _routing_key: str, message: Any) -> None:
        """Nobody was listening to this one. Its confirmation comes next."""
        if len(self._unrouted) > len(self._published):
            return  # more than there are messages: the broker invents them
        if hasattr(message, "message_id"):
            message_id = message.message_id
        else:
            properties = message.properties if hasattr(message, "properties") else message["properties"]
            message_id = properties.get("message_id")
        self._unrouted[message_id] = self._unrouted.get(message_id, 0) + 1

    def _settle(
        self, published: _Published, *, routed: bool | None = None, error: errors.SendError | None = None
    ) -> None:
        message, _, place, receipts = published
        self._tries.pop(place, None)
        self.bytes -= len(message.body)
        receipts.append(Receipt(message, routed, error))

    def _take(self, tag: int, multiple: bool) -> list[_Published]:  # noqa: FBT001 - as above
        tags = list(takewhile(tag.__ge__, self._published)) if multiple else self._published.keys() & {tag}
        if tags and next(iter(self._published)) in tags:
            self._oldest_since, self._paused = monotonic(), 0.0
        return [self._published.pop(known) for known in tags]


def _new_stream() -> str:
    return os.urandom(6).hex()
