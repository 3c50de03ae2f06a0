"""A connection that listens: SUBSCRIBE, confirmed; messages as they come; PING when it is quiet.

https://redis.io/docs/latest/develop/pubsub/
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .errors import still_answers

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_EARLIER = 10_000
_MOST_EARLIER_BYTES = 16 * 1024 * 1024
"""Messages of earlier subscriptions, and their bytes, that may come before a new one is confirmed."""

_LOOKS = 100
"""Maximum number of replies other than messages before the caller looks at the clock again."""


class Topic(NamedTuple):
    """What can be subscribed to: a channel by its name, or all that a pattern matches."""

    name: bytes
    pattern: bool = False


class Subscription:
    """One connection in RESP2's subscriber mode. It never connects again by itself: once lost, it raises.

    Arguments:
        connection: of redis-py, with ``protocol=2``, not connected yet.
        silence: seconds of silence after which the server is sent a PING; after as many again the
            connection is lost. 0 for never.

    Raises:
        redis.exceptions.RedisError: it cannot connect. So do all methods when the connection is lost.
    """

    def __init__(self, connection: Any, silence: float) -> None:
        self._connection = connection
        self._silence = silence
        connection.connect()
        self._heard = monotonic()
        self._asked: float | None = None
        self._pings: deque[Callable[[], None] | None] = deque()
        """What to call when they are answered, in their order."""

    def fileno(self) -> int:
        """What to wait on for something to read; see also :meth:`seconds_to_check`."""
        return int(self._socket().fileno())

    def _socket(self) -> Any:
        # redis-py would connect again, to a server that knows of no subscriptions, and say nothing.
        sock = self._connection._sock  # noqa: SLF001 - redis-py has no public way to it, nor to learn whether it exists
        if sock is None:
            raise RedisConnectionError("the subscription is lost")
        return sock

    def add(self, topic: Topic) -> list[tuple[Topic, bytes]]:
        """Subscribe; when it returns, the server has confirmed, and nothing that is published from now on is missed.

        Returns the messages of earlier subscriptions that came before.
        """
        self._send("PSUBSCRIBE" if topic.pattern else "SUBSCRIBE", topic.name)
        confirmation = [b"psubscribe" if topic.pattern else b"subscribe", topic.name]
        earlier: list[tuple[Topic, bytes]] = []
        size = 0
        timeout = self._connection.socket_timeout
        ends = None if timeout is None else monotonic() + timeout
        while not isinstance(reply := self._receive(), list) or reply[:2] != confirmation:
            if (message := _message(reply)) is not None:
                earlier.append(message)
                size += len(message[1])
            if len(earlier) > _MOST_EARLIER or size > _MOST_EARLIER_BYTES:
                raise InvalidResponse("more and more messages, and no confirmation of SUBSCRIBE")
            if ends is not None and monotonic() > ends:
                raise RedisTimeoutError("no confirmation of SUBSCRIBE in time")
        return earlier

    def remove(self, topic: Topic) -> None:
        """Unsubscribe."""
        self._send("PUNSUBSCRIBE" if topic.pattern else "UNSUBSCRIBE", topic.name)

    def read(self) -> tuple[Topic, bytes] | None:
        """The next message that is there, or ``None``; does not wait."""
        for _ in range(_LOOKS):
            if not self.readable():
                break
            if (message := _message(self._receive())) is not None:
                return message
        return None

    def readable(self) -> bool:
        """Whether there is something to read. It may be in redis-py's buffer, where waiting does not find it."""
        self._socket()
        return bool(self._connection.can_read(timeout=0))

    def check(self) -> None:
        """Ask a server that has been silent for long; raise when it was asked and does not answer."""
        if self.seconds_to_check() > 0:
            return
        if self._asked is not None:
            self.close()
            raise RedisConnectionError(f"no answer for {self._silence:g} s")
        self._ping(None)
        self._asked = monotonic()

    def ask(self, callback: Callable[[], None]) -> None:
        """Call back, within a :meth:`read`, when all has come that was published before this.

        Redis answers PING in its turn with messages (https://redis.io/docs/latest/commands/ping/).
        """
        self._ping(callback)

    def _ping(self, callback: Callable[[], None] | None) -> None:
        self._send("PING")
        self._pings.append(callback)

    def seconds_to_check(self) -> float:
        """Until :meth:`check` has something to do."""
        if not self._silence:
            return float("inf")
        since = self._heard if self._asked is None else self._asked
        return since + self._silence - monotonic()

    def close(self) -> None:
        """Close the connection without telling the server."""
        self._connection.disconnect()

    def _send(self, *words: str | bytes) -> None:
        self._socket()
        self._connection.send_command(*words, check_health=False)

    def _receive(self) -> Any:
        answered = False
        try:
            reply = self._connection.read_response()
        except ResponseError as error:
            if not self._pings or not still_answers(error):
                raise
            reply, answered = None, True  # to PING: a server in trouble, but there
        self._heard = monotonic()
        self._asked = None
        if (answered or (isinstance(reply, list) and reply[:1] == [b"pong"])) and self._pings:
            callback = self._pings.popleft()
            if callback is not None:
                callback()
        return reply


def _message(reply: Any) -> tuple[Topic, bytes] | None:
    """The message that a reply is; ``None`` for another one, such as the answer to PING."""
    if not isinstance(reply, list) or not reply or reply[0] not in (b"message", b"pmessage"):
        return None
    pattern = reply[0] == b"pmessage"
    if len(reply) != 3 + pattern or not all(isinstance(part, bytes) for part in reply):
        raise InvalidResponse("not a Pub/Sub message")
    return Topic(reply[1], pattern=pattern), reply[-1]
