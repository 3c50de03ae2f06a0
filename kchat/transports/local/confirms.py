"""Publishing with confirmations that come later: messages in quick succession share a commit.

A commit takes three quarters of the time of publishing one message. So of a dense stream some hundred messages are
committed together, and confirmed after that, as a broker would. A message that comes after a pause is committed at
once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from amqp.exceptions import ChannelError

if TYPE_CHECKING:
    from .messages import Outgoing
    from .publishing import Prepared, Publisher

#: AMQP's reply code for a message that no queue gets.
_NO_ROUTE = 312

#: Messages, and bytes of bodies, that share a commit at most.
_MESSAGES = 128
_BYTES = 256 * 1024

#: Seconds since the last message, or since the first one that waits, after which a message waits for no others.
_PAUSE = 0.001

Events = dict[str, set[Callable[..., object]]]


class Confirms:
    """The publishing side of a channel after ``confirm_select``. Publishes are numbered 1, 2, 3, ...

    Arguments:
        publisher: stores the messages.
        events: the channel's callbacks.
    """

    def __init__(self, publisher: Publisher, events: Events) -> None:
        self._publisher = publisher
        self._events = events
        self._waiting: list[tuple[Prepared, Outgoing | None]] = []
        self._bytes = 0
        self._since = self._last = 0.0
        self._returned: list[tuple[str, str, Outgoing]] = []
        self._taken = 0
        self._stored = 0
        self._confirmed = 0

    def publish(self, message: Outgoing, exchange: str, routing_key: str, *, mandatory: bool) -> None:
        """Take a message, and store it now or with those that follow. Raises as :meth:`.Publisher.publish`."""
        with self._publisher.lock:
            self._publish(message, exchange, routing_key, mandatory=mandatory)

    def _publish(self, message: Outgoing, exchange: str, routing_key: str, *, mandatory: bool) -> None:
        prepared = self._publisher.prepare(message, exchange, routing_key)
        now = time.monotonic()
        if not self._waiting:
            self._since = now
        self._waiting.append((prepared, message if mandatory else None))
        self._taken += 1
        self._bytes += len(message.body)
        pause, self._last = now - self._last, now
        if (
            pause > _PAUSE
            or now - self._since > _PAUSE
            or len(self._waiting) >= _MESSAGES
            or self._bytes >= _BYTES
        ):
            self.store()

    def store(self) -> None:
        """Commit what waits. Raises AMQPError: nothing of it was stored, or will be confirmed."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        routed = self._publisher.publish_all([prepared for prepared, _ in waiting])
        for (prepared, message), is_routed in zip(waiting, routed, strict=True):
            if message is not None and not is_routed:
                self._returned.append((*prepared[1][2:4], message))
        self._stored = self._taken

    def confirm(self) -> bool:
        """Commit what waits, and call the callbacks for all that was; returns whether any was due."""
        with self._publisher.lock:
            self.store()
            if self._stored == self._confirmed:
                return False
            returned, self._returned = self._returned, []
            confirmed = self._confirmed = self._stored
        for each in returned:
            call_basic_return(self._events, *each)
        for callback in list(self._events["basic_ack"]):
            callback(confirmed, True)
        return True


def call_basic_return(events: dict[str, Any], exchange: str, routing_key: str, message: Outgoing) -> None:
    """Call the ``basic_return`` callbacks."""
    error = ChannelError("no queue is bound that gets it", reply_code=_NO_ROUTE)
    for callback in list(events["basic_return"]):
        callback(error, exchange, routing_key, message)
