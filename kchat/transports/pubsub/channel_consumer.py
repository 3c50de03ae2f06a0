"""A channel's consumer, and its unacknowledged messages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ack_manager import AckManager
    from .bindings import Queue
    from .puller import Puller


@dataclass
class Unacked:
    """A message that the application has and has not settled.

    Attributes:
        ack_id: the service's handle.
        acks: where it is held.
        consumer: that got it; ``None`` for ``basic_get``.
        message_id: the service's id of the message.
    """

    ack_id: str
    acks: AckManager
    consumer: ChannelConsumer | None
    message_id: str


class ChannelConsumer:
    """A consumer of a channel.

    Arguments:
        tag: its consumer tag.
        queue: what it consumes from.
        callback: called with each :class:`~kchat.transports.pubsub.messages.Delivery`.
        on_cancel: called with the tag when the queue is gone.
        no_ack: whether a message counts as acknowledged when it is delivered.
        prefetch: maximum number of unacknowledged messages, 0 for no limit.
        acks: of the queue, on this channel.
    """

    def __init__(
        self,
        tag: str,
        queue: Queue,
        callback: Callable[[Any], Any],
        on_cancel: Callable[[str], Any] | None,
        acks: AckManager,
        *,
        no_ack: bool,
        prefetch: int,
    ) -> None:
        self.tag = tag
        self.queue = queue
        self.callback = callback
        self.on_cancel = on_cancel
        self.acks = acks
        self.no_ack = no_ack
        self.unacked = 0
        self.active = True
        # What has arrived while the prefetch count was reached.
        self.held: deque[tuple[Any, int]] = deque()
        self.puller: Puller | None = None
        self._prefetch = prefetch

    @property
    def is_full(self) -> bool:
        """Whether it has reached its prefetch count."""
        return bool(self._prefetch) and not self.no_ack and self.unacked >= self._prefetch

    def stop(self, *, politely: bool) -> None:
        """Take no more messages, and requeue what was not delivered."""
        self.active = False
        if self.puller is not None:
            self.puller.stop(politely=politely)
        held, self.held = self.held, deque()
        self.acks.requeue([received.ack_id for received, _ in held])
