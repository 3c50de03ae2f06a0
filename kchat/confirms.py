"""What was published and is not confirmed yet: the window of a pipelined sender, and the receipts that come out of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from time import monotonic
from typing import TYPE_CHECKING, Any

from kchat import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kchat.message import Message


@dataclass(frozen=True)
class Receipt:
    """What became of one message.

    Attributes:
        message: the message.
        heard: whether anybody was listening; ``None`` where the broker does not say.
        error: why it was not sent; ``None`` when the broker has confirmed it.
    """

    message: Message
    heard: bool | None = None
    error: errors.SendError | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the broker has the message."""
        return self.error is None


class InFlight:
    """Messages by delivery tag, from when they are published until the broker settles them.

    Its three handlers are what py-amqp's ``channel.events`` take
    (https://www.rabbitmq.com/docs/confirms#publisher-confirms).

    Arguments:
        where: the room and broker, for errors.
        tells_unheard: whether the broker returns what nobody was listening to; it does so before it confirms.
        mandatory: whether an unheard message is an error.
    """

    def __init__(self, where: str, *, tells_unheard: bool, mandatory: bool) -> None:
        self.settled: deque[Receipt] = deque()
        self.bytes = 0
        self.last_settled = 0.0
        self._where = where
        self._tells_unheard = tells_unheard
        self._mandatory = mandatory
        self._tag = 0
        # In order of their tags: (message, when it was published).
        self._messages: dict[int, tuple[Message, float]] = {}
        self._unheard: set[str | None] = set()

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message) -> int:
        """Note a message that is about to be published; returns its delivery tag."""
        self._tag += 1
        self._messages[self._tag] = message, monotonic()
        self.bytes += len(message.body)
        return self._tag

    def again(self) -> Iterator[tuple[int, Message]]:
        """All messages, numbered afresh for a new channel, to be published once more in their order."""
        messages = [message for message, _ in self._messages.values()]
        self._messages.clear()
        self._tag = self.bytes = 0
        # All of them first: publishing may bring confirmations of the ones before.
        return iter([(self.add(message), message) for message in messages])

    def clear(self) -> None:
        """Forget everything, settled or not."""
        self._messages.clear()
        self._unheard.clear()
        self.settled.clear()
        self._tag = self.bytes = 0

    def waiting_for(self) -> float:
        """For how many seconds the oldest message has been waiting."""
        oldest = next(iter(self._messages.values()), None)
        return 0.0 if oldest is None else monotonic() - oldest[1]

    def restart_clock(self) -> None:
        """Count the waiting from now, after a time in which no confirmation could come."""
        now = monotonic()
        for tag, (message, _) in self._messages.items():
            self._messages[tag] = message, now

    def refuse(self, message: Message, error: errors.SendError) -> None:
        """Settle a message that is not published at all."""
        self.settled.append(Receipt(message, error=error))

    def on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        """The broker has these messages."""
        for message in self._take(tag, multiple):
            if not self._tells_unheard:
                self.settled.append(Receipt(message))
            elif message.id not in self._unheard:
                self.settled.append(Receipt(message, heard=True))
            else:
                self._unheard.discard(message.id)
                error = errors.Returned(f"nobody is listening on {self._where}") if self._mandatory else None
                self.settled.append(Receipt(message, heard=False, error=error))
        self.last_settled = monotonic()

    def on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - py-amqp's signature
        """The broker could not take these messages."""
        for message in self._take(tag, multiple):
            self.refuse(
                message, errors.Rejected(f"{self._where}: the broker gave the message back (basic.nack)")
            )

    def on_return(self, _error: Exception, _exchange: str, _routing_key: str, message: Any) -> None:
        """Nobody was listening to this one. Its confirmation comes next."""
        properties = message.properties if hasattr(message, "properties") else message["properties"]
        self._unheard.add(properties.get("message_id"))

    def _take(self, tag: int, multiple: bool) -> list[Message]:  # noqa: FBT001 - as above
        tags = list(takewhile(tag.__ge__, self._messages)) if multiple else self._messages.keys() & {tag}
        messages = [self._messages.pop(known)[0] for known in tags]
        self.bytes -= sum(len(message.body) for message in messages)
        return messages
