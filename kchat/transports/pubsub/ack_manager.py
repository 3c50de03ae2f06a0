"""What happens to messages between their arrival and their end: kept ours, acknowledged, or given back."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from amqp.exceptions import AMQPError, ChannelError, RecoverableConnectionError, ResourceError
from google.pubsub_v1 import types

from .clients import Clients, chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class AckManager:
    """Holds the messages of one subscription that were delivered to one channel and are not settled.

    Acknowledgements go out from a thread of its own, all that have gathered in one request; so do messages that are
    given back, and extensions of the others' deadlines. It also sends a heartbeat when all is quiet: a link that
    drops packets ends no stream (the stream's own pings are left to gRPC's defaults, which servers limit).

    Arguments:
        clients: of the connection.
        subscription: its full name.
        failed: told once, in this object's thread, when the service refuses or cannot be reached.
    """

    def __init__(self, clients: Clients, subscription: str, failed: Callable[[AMQPError], None]) -> None:
        self._clients = clients
        self._subscription = subscription
        self._doing = f"acknowledge in {subscription.rpartition('/')[2]}"
        self._failed = failed
        self._changed = threading.Condition()
        self._held: dict[str, float] = {}
        self._handles: dict[str, str] = {}
        """The handle (``ack_id``) of each message that is held, by message id."""
        self._messages: dict[str, str] = {}
        """The message id of each handle."""
        self._copies: dict[str, list[str]] = {}
        """Handles of the same message, sent again while it is held, by its first one."""
        self._acked: list[str] = []
        self._requeued: list[str] = []
        self._stopping = False
        self._dropped = threading.Event()
        self._answered_at = monotonic()
        self._thread = threading.Thread(target=self._run, name="pubsub-acks", daemon=True)
        self._thread.start()

    def hold(self, received: Iterable[Any]) -> list[Any]:
        """Hold messages that have arrived.

        Returns:
            Those that were not held already: a message whose deadline was missed is sent again, under another handle. It is
            one message all the same, and settled under all its handles.
        """
        now = monotonic()
        new = []
        with self._changed:
            self._answered_at = now
            for message in received:
                ack_id, message_id = message.ack_id, message.message.message_id
                first = self._handles.setdefault(message_id, ack_id) if message_id else ack_id
                if first != ack_id:
                    self._copies.setdefault(first, []).append(ack_id)
                else:
                    self._messages[ack_id] = message_id
                    new.append(message)
                self._held[ack_id] = now
        return new

    def acknowledge(self, ack_ids: list[str]) -> None:
        """Acknowledge these."""
        self._settle(ack_ids, self._acked)

    def requeue(self, ack_ids: list[str]) -> None:
        """Return these to the queue, for any consumer."""
        self._settle(ack_ids, self._requeued)

    def _settle(self, ack_ids: list[str], into: list[str]) -> None:
        with self._changed:
            for ack_id in ack_ids:
                self._handles.pop(self._messages.pop(ack_id, ""), None)
                for each in (ack_id, *self._copies.pop(ack_id, ())):
                    self._held.pop(each, None)
                    into.append(each)
            self._changed.notify_all()

    def finish(self) -> None:
        """Take nothing more: settle what was settled, give back all else."""
        with self._changed:
            self._requeued.extend(self._held)
            self._held.clear()
            self._stopping = True
            self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """After :meth:`finish`: whether the service has confirmed everything within ``timeout`` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def drop(self) -> None:
        """End without telling the service."""
        with self._changed:
            for ids in (self._held, self._acked, self._requeued):
                ids.clear()
            self._stopping = True
            self._dropped.set()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_needed, self._pause())
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

    def _is_needed(self) -> bool:
        return bool(self._acked or self._requeued or self._stopping)

    def _pause(self) -> float:
        pause = self._clients.options.ack_deadline / 3
        heartbeat = self._clients.options.heartbeat
        return max(0.0, min(pause, self._answered_at + heartbeat - monotonic())) if heartbeat else pause

    def _due(self) -> list[str]:
        """Those whose deadline is to be extended, noted as if it had been."""
        now = monotonic()
        old = now - self._clients.options.ack_deadline / 3
        due = [ack_id for ack_id, since in self._held.items() if since <= old]
        self._held.update(dict.fromkeys(due, now))
        return due

    def _send(self, acked: list[str], returned: list[str], extended: list[str]) -> None:
        for ids in chunks(acked):
            request = types.AcknowledgeRequest(subscription=self._subscription, ack_ids=ids)
            self._call(self._clients.subscriber.acknowledge, request)
        seconds = self._clients.options.ack_deadline
        for deadline, affected in ((0, returned), (seconds, extended)):
            for ids in chunks(affected):
                change = types.ModifyAckDeadlineRequest(
                    subscription=self._subscription, ack_ids=ids, ack_deadline_seconds=deadline
                )
                self._call(self._clients.subscriber.modify_ack_deadline, change)
        heartbeat = self._clients.options.heartbeat
        if heartbeat and monotonic() - self._answered_at >= heartbeat and not self._stopping:
            self._send_heartbeat(heartbeat)

    def _call(self, method: Callable[..., object], request: Any, timeout: float | None = None) -> None:
        limit = self._clients.options.confirm_timeout if timeout is None else timeout
        self._clients.call(method, request, self._doing, limit, give_up=self._dropped)
        self._answered_at = monotonic()

    def _send_heartbeat(self, timeout: float) -> None:
        """An empty request needs only the right to consume, and is answered by a refusal."""
        request = types.AcknowledgeRequest(subscription=self._subscription, ack_ids=[])
        try:
            self._call(self._clients.subscriber.acknowledge, request, timeout)
        except (ChannelError, ResourceError):
            self._answered_at = monotonic()  # any answer proves that it is alive; the stream tells the rest
        except RecoverableConnectionError as exc:
            raise RecoverableConnectionError(
                f"no answer to a heartbeat from {self._clients.endpoint} within {timeout:g} s"
            ) from exc
