"""What was written in this window and is not in the room yet: on its way, confirmed, or not sent."""

from __future__ import annotations

from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kchat.message import Message
    from kchat.tui.timeline import Entry

_REMEMBERED = 1000
"""Ids of own messages that are in the room: each comes back from there, and may come twice."""


class State(Enum):
    """What is known of a message."""

    SENDING = "the broker has not confirmed it"
    CONFIRMED = "the broker has it"
    FAILED = "it was not sent, or that is not known"


class Written:
    """A message that was written here.

    Attributes:
        message: the message, whose id stays the same however often it is sent.
        entry: as it is shown.
        state: what is known of it.
        reason: why it was not sent; safe to show.
        confirmed_at: when the broker has confirmed it, by the monotonic clock.
    """

    __slots__ = ("confirmed_at", "entry", "message", "reason", "state")

    def __init__(self, message: Message, entry: Entry) -> None:
        self.message = message
        self.entry = entry
        self.state = State.SENDING
        self.reason = ""
        self.confirmed_at = 0.0


class Outbox:
    """Messages from Enter until the room has shown them, in the order in which they were written."""

    def __init__(self) -> None:
        self._waiting: dict[str, Written] = {}
        self._settled: dict[str, tuple[int, Entry]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Written]:
        return iter(self._waiting.values())

    def __getitem__(self, index: int) -> Written:
        return list(self._waiting.values())[index]

    @property
    def unsent(self) -> list[Written]:
        """What the broker has not confirmed, in order."""
        return [each for each in self if each.state is not State.CONFIRMED]

    @property
    def failed(self) -> list[Written]:
        """What was not sent, in order."""
        return [each for each in self if each.state is State.FAILED]

    def write(self, message: Message, entry: Entry) -> Written:
        """A message was written, and is handed to the sender."""
        assert message.id is not None
        written = self._waiting[message.id] = Written(message, entry)
        return written

    def confirm(self, message_id: str) -> Entry | None:
        """The broker has it, which may have come back from the room before; returns how it is shown."""
        written = self._waiting.get(message_id)
        if written is None:
            return self._settled[message_id][1] if message_id in self._settled else None
        written.state, written.reason, written.confirmed_at = State.CONFIRMED, "", monotonic()
        return written.entry

    def doubt(self) -> None:
        """The connection was lost: what was confirmed and did not come back may be in no queue any more."""
        for written in self:
            if written.state is State.CONFIRMED:
                written.state = State.SENDING

    def fail(self, message_id: str, reason: str) -> None:
        """It was not sent, or that is not known: then it may still come from the room."""
        written = self._waiting.get(message_id)
        if written is not None and written.state is State.SENDING:
            written.state, written.reason = State.FAILED, reason

    def arrive(self, message: Message) -> Entry | Literal[True] | None:
        """A message came from the room.

        Returns:
            The entry, where it was written here, and goes to the room now; True where it is there already; None where it is
            somebody else's. An id alone proves nothing: anybody can take one.
        """
        if message.id is None:
            return None
        written = self._waiting.get(message.id)
        if written is None:
            known = self._settled.get(message.id)
            return True if known is not None and known[0] == _sum(message) else None
        if _sum(written.message) != _sum(message):
            return None
        del self._waiting[message.id]
        self._remember(written)
        return written.entry

    def settle(self, seconds: float) -> list[Entry]:
        """Those that were confirmed this time ago, or longer, and did not come back: they are in the room all the same."""
        done = [
            written
            for written in self
            if written.state is State.CONFIRMED and monotonic() - written.confirmed_at >= seconds
        ]
        for written in done:
            assert written.message.id is not None
            del self._waiting[written.message.id]
            self._remember(written)
        return [written.entry for written in done]

    @property
    def is_settling(self) -> bool:
        """Whether some are confirmed and did not come back yet."""
        return any(written.state is State.CONFIRMED for written in self)

    def retry(self) -> list[Message]:
        """All that was not sent is sent again, in order, behind what is being sent; returns it."""
        again = self.failed
        for written in again:
            message_id = written.message.id
            assert message_id is not None
            del self._waiting[message_id]
            written.state, written.reason = State.SENDING, ""
            self._waiting[message_id] = written
        return [written.message for written in again]

    def discard(self) -> list[Written]:
        """All that was not sent is given up; returns it."""
        given_up = self.failed
        for written in given_up:
            assert written.message.id is not None
            del self._waiting[written.message.id]
        return given_up

    def _remember(self, written: Written) -> None:
        assert written.message.id is not None
        self._settled[written.message.id] = _sum(written.message), written.entry
        if len(self._settled) > _REMEMBERED:
            del self._settled[next(iter(self._settled))]


def _sum(message: Message) -> int:
    """The same for a message that was sent and the one that comes back."""
    return hash((message.username, message.text))
