"""A consumer: a callback at a queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .messages import EXPIRES_AT, Delivery
from .queues import BATCH_MESSAGES, SharedQueue

if TYPE_CHECKING:
    from .channel import Channel


class ChannelConsumer:
    """Delivers a queue's messages to a callback, until :attr:`active` is taken away.

    Arguments:
        channel: whose prefetch limit and delivery tags count.
        tag: its name, unique on the connection.
        queue: the queue.
        callback: called with each :class:`.Delivery`.
        no_ack: a message is done with once the callback has seen it.
        on_cancel: called with the tag when the queue is deleted.
    """

    __slots__ = (
        "active",
        "callback",
        "channel",
        "delivered",
        "delivering",
        "no_ack",
        "on_cancel",
        "queue",
        "tag",
    )

    def __init__(
        self,
        channel: Channel,
        tag: str,
        queue: SharedQueue,
        callback: Callable[[Delivery], object],
        *,
        no_ack: bool,
        on_cancel: Callable[[str], object] | None = None,
    ) -> None:
        self.channel = channel
        self.tag = tag
        self.queue = queue
        self.callback = callback
        self.no_ack = no_ack
        self.on_cancel = on_cancel
        self.active = True
        #: Whether it was given a message and has taken it without raising, and how many of its callbacks are running.
        self.delivered = False
        self.delivering = 0

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
