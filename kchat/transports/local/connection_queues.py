"""The queues that a connection uses, their consumers, and its ownership."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amqp.exceptions import ConsumerCancelled

from . import definitions, errors, history
from .history import Beginning
from .messages import EXPIRES_AT, Delivery
from .queues import BATCH_MESSAGES, ExclusiveQueue, SharedQueue, Source

if TYPE_CHECKING:
    from .channel import Channel
    from .definitions import QueueRow
    from .process_locks import RoomFile
    from .store import Store

#: Seconds between two looks whether the topology changed, while others write.
_TOPOLOGY = 0.05


@dataclass(slots=True, eq=False)
class ChannelConsumer:
    """Delivers a queue's messages to a callback, until :attr:`active` is taken away.

    Arguments:
        channel: whose prefetch limit and delivery tags count.
        tag: its name, unique on the channel.
        queue: the queue.
        callback: called with each :class:`.Delivery`.
        no_ack: a message is done with once the callback has seen it.
        on_cancel: called with the tag when the queue is deleted.
    """

    channel: Channel
    tag: str
    queue: SharedQueue
    callback: Callable[[Delivery], object]
    no_ack: bool
    on_cancel: Callable[[str], object] | None = None
    active: bool = True
    #: Whether it was given a message and has taken it without raising, and how many of its callbacks are running.
    delivered: bool = False
    delivering: int = 0

    def prefetch_left(self) -> int:
        """How many messages it can get now."""
        prefetch = self.channel.prefetch_count
        if not prefetch or self.no_ack:
            return BATCH_MESSAGES
        return max(0, prefetch - len(self.channel.unacked))

    def wants_more(self) -> bool:
        """Whether it is worth fetching for it."""
        return self.queue.more and not self.queue.ready and self.active and self.prefetch_left() > 0

    def deliver(self, most: int) -> int:
        """Give the callback up to ``most`` of the messages that are ready; returns how many it got."""
        channel, queue, ready, no_ack = self.channel, self.queue, self.queue.ready, self.no_ack
        unacked, callback = channel.unacked, self.callback
        done, store = queue.done, queue.store
        count = 0
        try:
            # Each time round, since the callback may acknowledge, cancel, change the limit, fork or close everything,
            # and so may other threads.
            while count < most:
                with store.lock:
                    if not ready or not self.active:
                        break
                    if channel.prefetch_count and not no_ack and len(unacked) >= channel.prefetch_count:
                        break
                    row = ready.popleft()
                    expires_at = row[EXPIRES_AT]
                    if expires_at is not None and expires_at <= time.time():
                        done.append(row)
                        continue
                    channel.last_tag += 1
                    delivery = Delivery(channel, channel.last_tag, self.tag, queue, row)
                    if no_ack:
                        done.append(row)
                    else:
                        unacked[channel.last_tag] = delivery
                    count += 1
                    self.delivered = False
                    self.delivering += 1
                try:
                    callback(delivery)
                    self.delivered = True
                finally:
                    self.delivering -= 1
        finally:
            if done and store.is_open:
                queue.settle_done()
        return count


class ConnectionQueues:
    """The queues and consumers of one connection."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: This connection's number; None as long as it owns nothing.
        self.owner: int | None = None
        self._file: RoomFile | None = None
        self._queues: dict[str, SharedQueue] = {}
        self._beginnings: dict[int, Beginning] = {}
        self._version = -1
        self._version_at = 0.0
        #: Somebody wrote since it was last looked whether our queues are still there.
        self.version_due = True
        #: All consumers of the connection, the next to be served first.
        self.consumers: list[ChannelConsumer] = []

    # -- ownership

    def own(self) -> int:
        """This connection's number, claimed if it has none yet. Raises AMQPError: the file system has no locks."""
        if self.owner is None:
            self._file = self._store.file
            try:
                self.owner = self._file.claim_number()
            except OSError as exc:
                raise errors.translate(exc, self._store.path) from exc
        return self.owner

    def close(self) -> None:
        """Give up everything; what cannot be, since the file is lost, is swept by others."""
        owner, self.owner = self.owner, None
        queues = list(self._queues.values())
        self._queues.clear()
        self.consumers.clear()
        try:
            if owner is not None and self._store.is_open:
                for queue in queues:
                    queue.settle_done()
                self._store.write(lambda db: definitions.release(db, owner))
        finally:
            if owner is not None and self._file is not None:
                self._file.release_number(owner)

    # -- queues

    def created(self, row: QueueRow, beginning: Beginning) -> None:
        """This connection made the queue: it begins with that much history of each exchange it is bound to."""
        if row.owner is not None and row.max_priority is None:
            self._queues[row.name] = ExclusiveQueue(self._store, row, self.own(), beginning)
        elif beginning != Beginning():
            self._beginnings[row.id] = beginning

    def opened(self, row: QueueRow) -> SharedQueue:
        """The queue as this connection reads it."""
        queue = self._queues.get(row.name)
        if queue is None or queue.id != row.id:
            queue = self._queues[row.name] = SharedQueue(self._store, row, self.own())
        return queue

    def own_queue(self, name: str) -> ExclusiveQueue | None:
        """This connection's own queue of that name, if it reads a log."""
        queue = self._queues.get(name)
        return queue if isinstance(queue, ExclusiveQueue) else None

    def counts(self, row: QueueRow) -> tuple[int, int]:
        """How many messages are ready in a queue, and how many consumers it has."""
        queue = self._queues.get(row.name)
        if isinstance(queue, ExclusiveQueue):
            return queue.size(), self._consumers_at(queue)
        ready = queue.size() if queue is not None else SharedQueue(self._store, row, 0).size()
        return ready, int(self._store.value("SELECT count(*) FROM consumer WHERE queue = ?", row.id))

    def bind(self, row: QueueRow, exchange: str, routing_key: str) -> None:
        """Bind a queue; this connection's own follows a fanout exchange's history from here on."""
        queue = self._queues.get(row.name)
        beginning = self._beginnings.get(row.id)

        def work(db: sqlite3.Connection) -> Source | None:
            number, kind = definitions.find_exchange(db, exchange)
            new = definitions.bind(db, number, row.id, routing_key)
            if kind != "fanout" or not new:
                return None
            if isinstance(queue, ExclusiveQueue):
                return queue.follow(db, number)
            if beginning is not None:
                history.copy_into(db, number, row, beginning)
            return None

        source = self._store.write(work)
        if source is not None and isinstance(queue, ExclusiveQueue):
            queue.sources.append(source)
            self._store.overtaken += source.too_old
            queue.more = True

    def unbind(self, row: QueueRow, exchange: str, routing_key: str) -> None:
        """Take a binding away; what was published before still is in the queue."""
        queue = self._queues.get(row.name)

        def work(db: sqlite3.Connection) -> tuple[int, int] | None:
            number, _ = definitions.find_exchange(db, exchange)
            if definitions.unbind(db, number, row.id, routing_key):
                return None
            return number, history.newest(db, number)

        ended = self._store.write(work)
        if ended is not None and isinstance(queue, ExclusiveQueue):
            queue.leave(*ended)

    def delete(self, row: QueueRow) -> list[ChannelConsumer]:
        """Delete a queue; returns the consumers of this connection that had it."""
        self._store.write(lambda db: definitions.delete_queue(db, row.id))
        return self._gone(row.name)

    def _gone(self, name: str) -> list[ChannelConsumer]:
        """The queue was deleted; returns the consumers that had it."""
        queue = self._queues.pop(name, None)
        if queue is None:
            return []
        self._beginnings.pop(queue.id, None)
        queue.ready.clear()
        orphans = [consumer for consumer in self.consumers if consumer.queue is queue]
        for consumer in orphans:
            consumer.active = False
            self.consumers.remove(consumer)
            consumer.channel.forget_consumer(consumer)
        return orphans

    # -- consumers

    def add_consumer(self, consumer: ChannelConsumer) -> None:
        """Deliver to it from now on."""
        queue = consumer.queue
        if not isinstance(queue, ExclusiveQueue):
            entry = (queue.id, self.own(), _entry(consumer))
            self._store.write(lambda db: db.execute("INSERT INTO consumer VALUES (?, ?, ?)", entry))
        self._beginnings.pop(queue.id, None)
        queue.more = True
        self.consumers.append(consumer)

    def remove_consumer(self, consumer: ChannelConsumer) -> None:
        """Deliver nothing more to it. What was fetched for it alone goes back; an auto-delete queue may go."""
        queue = consumer.queue
        consumer.active = False
        if consumer not in self.consumers:
            return
        self.consumers.remove(consumer)
        last = not self._consumers_at(queue)
        if last:
            queue.give_up_ready()
        if not isinstance(queue, ExclusiveQueue):
            entry = (queue.id, self.own(), _entry(consumer))

            def work(db: sqlite3.Connection) -> None:
                db.execute("DELETE FROM consumer WHERE queue = ? AND owner = ? AND tag = ?", entry)
                definitions.left_by_consumer(db, queue.id)

            self._store.write(work)
        elif last and queue.auto_delete:
            self._store.write(lambda db: definitions.delete_queue(db, queue.id))
            self._gone(queue.name)

    def _consumers_at(self, queue: SharedQueue) -> int:
        return sum(1 for consumer in self.consumers if consumer.queue is queue)

    def has_shared(self) -> bool:
        """Whether any of the queues is one that others use too."""
        return any(not isinstance(queue, ExclusiveQueue) for queue in self._queues.values())

    def notice_deleted(self, now: float) -> bool:
        """Tell consumers whose queues others deleted; whether any was. Raises ConsumerCancelled without ``on_cancel``."""
        with self._store.lock:
            orphans = self._orphans(now)
        for consumer in orphans:
            if consumer.on_cancel is None:
                raise ConsumerCancelled(
                    f"consumer {consumer.tag!r}: queue {consumer.queue.name!r} was deleted"
                )
            consumer.on_cancel(consumer.tag)
        return bool(orphans)

    def _orphans(self, now: float) -> list[ChannelConsumer]:
        """The consumers whose queues others have deleted."""
        if not self.version_due or now < self._version_at:
            return []
        self.version_due, self._version_at = False, now + _TOPOLOGY
        version = self._store.value("SELECT version FROM topology")
        if version == self._version:
            return []
        self._version = version
        orphans: list[ChannelConsumer] = []
        for name, queue in list(self._queues.items()):
            if self._store.value("SELECT 1 FROM queue WHERE id = ?", queue.id) is None:
                orphans += self._gone(name)
        return orphans


def _entry(consumer: ChannelConsumer) -> str:
    """A consumer's name in the file: tags need only be unique on a channel."""
    return f"{consumer.channel.channel_id}:{consumer.tag}"
