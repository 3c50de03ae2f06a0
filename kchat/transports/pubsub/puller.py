"""Streaming pull: the service's messages, one after the other, as fast as they are taken."""

from __future__ import annotations

import queue
import threading
import uuid
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]  # it has no types
from amqp.exceptions import AMQPError, RecoverableConnectionError
from google.api_core.exceptions import from_grpc_error
from google.api_core.gapic_v1.routing_header import to_grpc_metadata
from google.pubsub_v1 import types

from . import errors
from .ack_manager import key_of
from .clients import FIRST_PAUSE, LONGEST_PAUSE, Clients

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ack_manager import AckManager

STREAM_CLOSE_TIMEOUT = 0.2
"""Seconds that the service has to end a stream in good order, so that what is under way can be given back."""


class Puller:
    """One stream of one subscription, opened again when the service ends it, as it does every half hour.

    Arguments:
        clients: of the connection.
        prefetch: maximum number of unacknowledged messages that the service sends; 0 for the option's
            ``max_messages``. (The emulator does not count, and sends all that there is. What it has sent is read all the
            same, as far as ``max_messages`` go: the deadline of what nobody has read is not extended, and it is sent
            again, here or to another client.)
        acks: of the subscription; told of what arrives, and of what is no longer wanted.
        deliver: takes each message, in order, in this object's thread.
        failed: told once, in this object's thread, why no more messages will come.
    """

    def __init__(
        self,
        clients: Clients,
        prefetch: int,
        acks: AckManager,
        deliver: Callable[[Any, int], None],
        failed: Callable[[AMQPError], None],
    ) -> None:
        self._clients = clients
        self._subscription = acks.subscription
        self._limit = prefetch or clients.options.max_messages
        self._acks = acks
        self._deliver = deliver
        self._failed = failed
        self._changed = threading.Condition()
        self._undelivered = self._undelivered_bytes = 0
        self._stopped = threading.Event()
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._call: Any = None
        self._client_id = str(uuid.uuid4())
        self._thread = threading.Thread(target=self._run, name="pubsub-puller", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self, *, politely: bool = True) -> None:
        """Take no more messages. What was received and not delivered is given back.

        Arguments:
            politely: let the service end the stream, for :data:`STREAM_CLOSE_TIMEOUT` at most; else break it off.
        """
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        self._requests.put(None)
        if politely and self._thread.is_alive():
            self._thread.join(STREAM_CLOSE_TIMEOUT)
        if self._call is not None:
            self._call.cancel()

    def widen(self, prefetch: int) -> None:
        """Let the service send this many; a stream's limit never changes, so this opens another one.

        Never narrower, and wider by half at least, so that a limit that grows by one again and again opens few streams. The
        emulator does not count, and does not notice that a stream was ended.
        """
        wanted = prefetch or self._clients.options.max_messages
        if self._clients.emulator or wanted <= self._limit:
            return
        self._limit = max(wanted, self._limit * 3 // 2)
        with self._changed:
            self._changed.notify_all()
        self._requests.put(None)

    def release(self, size: int) -> None:
        """A message of this size is with the application now: there is room for another one."""
        with self._changed:
            self._undelivered -= 1
            self._undelivered_bytes -= size
            self._changed.notify_all()

    def _acquire(self, size: int) -> bool:
        """Wait until a message of this size fits in memory, one alone whatever its size; False once stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped.is_set() or self._fits(size))
            self._undelivered += 1
            self._undelivered_bytes += size
            return not self._stopped.is_set()

    def _fits(self, size: int) -> bool:
        options = self._clients.options
        return not self._undelivered or (
            self._undelivered < max(self._limit, options.max_messages)
            and self._undelivered_bytes + size <= options.max_bytes
        )

    def _run(self) -> None:
        failing_since: float | None = None
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            opened = monotonic()
            error = self._read_stream()
            if self._stopped.is_set():
                return
            now = monotonic()
            if error is None or now - opened > 2 * LONGEST_PAUSE:
                # It was ended in good order, or had worked for a while: the next one is opened at once.
                failing_since, pause = None, FIRST_PAUSE
            if error is None:
                continue
            failing_since = failing_since or now
            # The emulator ends no stream by itself, and does not notice that one was cut: it goes on delivering to it.
            # Only a new subscription gets anything then, and the thread that drains events is told to see to that.
            patience = 0.0 if self._clients.emulator else self._clients.options.connect_timeout
            if not errors.is_transient(error) or now - failing_since >= patience:
                self._failed(errors.translate(error, f"receive from {self._subscription.rpartition('/')[2]}"))
                return
            self._stopped.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _read_stream(self) -> Exception | None:
        """Read one stream to its end; returns what ended it, ``None`` for a good order."""
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._requests = requests
        requests.put(
            types.StreamingPullRequest(
                subscription=self._subscription,
                # One and the same for all streams of this consumer: messages of an ordering key stay with a client.
                client_id=self._client_id,
                stream_ack_deadline_seconds=self._clients.options.ack_deadline,
                max_outstanding_messages=self._limit,
                max_outstanding_bytes=self._clients.options.max_bytes,
            )
        )
        # The generated method waits for the first message before it returns, so it could not be cancelled.
        transport: Any = self._clients.subscriber.transport
        route = to_grpc_metadata((("subscription", self._subscription),))  # type: ignore[no-untyped-call]  # it has no types
        error: Exception | None = None
        try:
            self._call = transport.streaming_pull(iter(requests.get, None), metadata=(route,))
            if self._stopped.is_set():
                self._call.cancel()
            for response in self._call:
                self._take(types.StreamingPullResponse.pb(response).received_messages)
        except grpc.RpcError as exc:
            error = from_grpc_error(exc)  # type: ignore[no-untyped-call]  # it has no types
        except ValueError as exc:
            error = RecoverableConnectionError(str(exc))  # the gRPC channel was closed
        except Exception as exc:  # noqa: BLE001 - told to the application, which would otherwise wait for ever
            error = exc
        requests.put(None)
        return error

    def _take(self, received: Any) -> None:
        received = self._acks.hold(received)
        for position, message in enumerate(received):
            size = len(message.message.data)
            if not self._acquire(size):
                self._acks.requeue([key_of(unwanted) for unwanted in received[position:]])
                return
            self._deliver(message, size)
