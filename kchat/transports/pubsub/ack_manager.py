"""What happens to messages between their arrival and their end: kept ours, acknowledged, or given back."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError, ChannelError, RecoverableConnectionError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .clients import Clients

MOST_HANDLES = 1000
"""Handles in one request: Pub/Sub takes 512 KiB of them."""


def key_of(received: Any) -> str:
    """What a message that arrived is known by here: the service's id of it, which stays when it is sent again."""
    return str(received.message.message_id or received.ack_id)


@dataclass(slots=True)
class _Held:
    handles: list[str]
    """Its handles (``ack_id``): several when it was sent again because a deadline was missed."""
    since: float
    """When its deadline was last set."""


class AckManager:
    """Holds the messages of one subscription that were delivered to one channel and are not settled, by :func:`key_of`.

    Acknowledgements go out from a thread of its own, all that have gathered in one request; so do messages that are
    given back, and extensions of the others' deadlines. It also sends a heartbeat when all is quiet: a link that
    drops packets ends no stream (the stream's own pings are left to gRPC's defaults, which servers limit).

    Arguments:
        clients: of the connection.
        subscription: its full name; stays readable.
        failed: told once, in this object's thread, when the service refuses or cannot be reached.
    """

    def __init__(self, clients: Clients, subscription: str, failed: Callable[[AMQPError], None]) -> None:
        self._clients = clients
        self._options = clients.options
        self.subscription = subscription
        self._failed = failed
        self._changed = threading.Condition()
        self._held: dict[str, _Held] = {}
        self._acked: list[str] = []
        self._requeued: list[str] = []
        self._stopping = False
        self._dropped = threading.Event()
        self._answered_at = monotonic()
        self._thread = threading.Thread(target=self._run, name="pubsub-acks", daemon=True)
        self._thread.start()

    def hold(self, received: Iterable[Any]) -> list[Any]:
        """Hold messages that have arrived; returns those that were not held already."""
        now = monotonic()
        new = []
        with self._changed:
            self._answered_at = now
            for each in received:
                held = self._held.get(key := key_of(each))
                if held is None:
                    self._held[key] = _Held([each.ack_id], now)
                    new.append(each)
                else:
                    held.handles.append(each.ack_id)
        return new

    def acknowledge(self, keys: list[str]) -> None:
        """Acknowledge these."""
        self._settle(keys, self._acked)

    def requeue(self, keys: list[str]) -> None:
        """Return these to the queue, for any consumer."""
        self._settle(keys, self._requeued)

    def _settle(self, keys: list[str], into: list[str]) -> None:
        with self._changed:
            for key in keys:
                if (held := self._held.pop(key, None)) is not None:
                    into.extend(held.handles)
            self._changed.notify_all()

    def finish(self) -> None:
        """Take nothing more: settle what was settled, give back all else."""
        with self._changed:
            self._stopping = True
            self.requeue(list(self._held))

    def wait(self, timeout: float) -> bool:
        """After :meth:`finish`: whether the service has confirmed everything within ``timeout`` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def drop(self) -> None:
        """End without telling the service."""
        with self._changed:
            self._held.clear()
            self._acked.clear()
            self._requeued.clear()
            self._stopping = True
            self._dropped.set()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._acked or self._requeued or self._stopping, self._seconds_to_wait()
                )
                acked, self._acked[:] = list(self._acked), []
                returned, self._requeued[:] = list(self._requeued), []
                if self._stopping and not acked and not returned:
                    return
                extended = self._due()
            try:
                self._send(acked, returned, extended)
            except AMQPError as error:
                if not self._stopping:
                    self._failed(error)
                return

    def _seconds_to_wait(self) -> float:
        seconds = self._options.ack_deadline / 3
        heartbeat = self._options.heartbeat
        return max(0.0, min(seconds, self._answered_at + heartbeat - monotonic())) if heartbeat else seconds

    def _due(self) -> list[str]:
        """The handles whose deadlines are to be extended, noted as if they had been."""
        now = monotonic()
        due = [held for held in self._held.values() if held.since <= now - self._options.ack_deadline / 3]
        for held in due:
            held.since = now
        return [handle for held in due for handle in held.handles]

    def _send(self, acked: list[str], returned: list[str], extended: list[str]) -> None:
        subscriber, heartbeat = self._clients.subscriber, self._options.heartbeat
        for handles in _chunks(acked):
            self._call(subscriber.acknowledge, ack_ids=handles)
        for seconds, affected in ((0, returned), (self._options.ack_deadline, extended)):
            for handles in _chunks(affected):
                self._call(subscriber.modify_ack_deadline, ack_ids=handles, ack_deadline_seconds=seconds)
        if heartbeat and monotonic() - self._answered_at >= heartbeat and not self._stopping:
            self._send_heartbeat(heartbeat)

    def _call(self, method: Callable[..., object], *, timeout: float | None = None, **request: Any) -> None:
        self._clients.call(
            method,
            {"subscription": self.subscription, **request},
            f"acknowledge in {self.subscription.rpartition('/')[2]}",
            timeout or self._options.confirm_timeout,
            give_up=self._dropped,
        )
        self._answered_at = monotonic()

    def _send_heartbeat(self, timeout: float) -> None:
        """An empty request needs only the right to consume, and is answered by a refusal."""
        try:
            self._call(self._clients.subscriber.acknowledge, ack_ids=[], timeout=timeout)
        except (ChannelError, ResourceError):
            self._answered_at = monotonic()  # any answer proves that it is alive; the stream tells the rest
        except RecoverableConnectionError as exc:
            raise RecoverableConnectionError(
                f"no answer to a heartbeat from {self._clients.endpoint} within {timeout:g} s"
            ) from exc


def _chunks(handles: list[str]) -> Iterator[list[str]]:
    return (handles[start : start + MOST_HANDLES] for start in range(0, len(handles), MOST_HANDLES))
