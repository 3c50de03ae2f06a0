"""Publishing: one message at a time, or a stream of them with confirms."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError, RecoverableConnectionError
from google.pubsub_v1 import types

from . import errors
from .messages import MAX_REQUEST, check_size

if TYPE_CHECKING:
    from .channel import Channel
    from .clients import Clients

MAX_BATCH = 1000
"""Messages that Pub/Sub takes in one request (https://cloud.google.com/pubsub/quotas#resource_limits)."""

MAX_WAITING_BYTES = 2 * MAX_REQUEST
"""Bytes that may wait for their turn before the next to publish has to wait itself."""

_Request = types.PublishRequest.pb()


@dataclass(eq=False)
class Stream:
    """The messages that a channel publishes in confirm mode, numbered from 1, until one of them is refused.

    Attributes:
        channel: whose they are.
        published: their number.
        ended: whether what still waits of it is dropped.
    """

    channel: Channel
    published: int = 0
    ended: bool = False

    def settle(self, tag: int, error: AMQPError | None) -> None:
        """The service has all messages up to this one; or it refused one, and gets none of those after it."""
        self.ended = self.ended or error is not None
        self.channel.connection.report(lambda: self.channel.on_settled(self, tag, error))


class Publisher:
    """Sends what it is given, in the order given.

    There is one request under way at a time, and it takes along what has gathered meanwhile, up to a thousand messages.
    So order holds whatever the ordering keys are, and the first failure is known before anything after it is sent.

    Arguments:
        clients: of the connection.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Stream, int, str, Any, int]] = deque()
        self._bytes = 0
        self._sending = False
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def publish(self, topic: str, message: Any, timeout: float | None = None) -> None:
        """Publish one message and return when the service has it; see :meth:`.channel.Channel.basic_publish`."""
        check_size(message.ByteSize(), len(topic))
        self._send(topic, [message], timeout)

    def submit(self, stream: Stream, tag: int, topic: str, message: Any) -> None:
        """Hand over one message of a stream, which gets the outcome; see :meth:`.channel.Channel.basic_publish`."""
        size = message.ByteSize()
        check_size(size, len(topic))
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pubsub-publisher", daemon=True)
                self._thread.start()
            while self._bytes > MAX_WAITING_BYTES and not self._stop.is_set():
                self._changed.wait()
            if self._stop.is_set():
                raise RecoverableConnectionError("the connection is closed")
            self._waiting.append((stream, tag, topic, message, size))
            self._bytes += size
            if not self._sending:
                self._changed.notify_all()

    def stop(self, timeout: float) -> None:
        """Take nothing more; what was taken and is not sent within so many seconds is given up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._sending, timeout)
            self._stop.set()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._sending = False
                self._changed.notify_all()
                while not self._waiting and not self._stop.is_set():
                    self._changed.wait()
                if self._stop.is_set():
                    return
                stream, tag, topic, messages = self._take()
                self._sending = True
                self._changed.notify_all()
            if stream.ended:
                continue
            try:
                self._send(topic, messages, None)
                stream.settle(tag, None)
            except AMQPError as error:
                stream.settle(tag, error)

    def _take(self) -> tuple[Stream, int, str, list[Any]]:
        """The next messages that fit into one request: of one topic, of one channel."""
        waiting = self._waiting
        stream, tag, topic, message, size = waiting.popleft()
        messages = [message]
        total = size
        while waiting and len(messages) < MAX_BATCH:
            other, number, where, message, size = waiting[0]
            # Eight bytes frame a message of that size in the request.
            fits = total + size + 8 * (len(messages) + 1) + len(topic) + 8 <= MAX_REQUEST
            if other is not stream or where != topic or not fits:
                break
            waiting.popleft()
            messages.append(message)
            total += size
            tag = number
        self._bytes -= total
        return stream, tag, topic, messages

    def _send(self, topic: str, messages: list[Any], timeout: float | None) -> None:
        limit = self._clients.options.confirm_timeout if timeout is None else timeout
        # Of raw protobuf: wrapping each message in the client's own class takes longer than sending it.
        request = types.PublishRequest.wrap(_Request(topic=topic, messages=messages))
        where = topic.rpartition("/")[2]
        try:
            self._clients.call(
                self._clients.publisher.publish, request, f"publish to {where}", limit, give_up=self._stop
            )
        except RecoverableConnectionError as exc:
            if errors.timed_out(exc.__cause__):
                raise errors.PublishTimedOut(f"publish to {where}: no answer within {limit:g} s") from exc
            raise
