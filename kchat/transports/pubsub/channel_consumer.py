"""A channel's consumer, and its unacknowledged messages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .ack_manager import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ack_manager import AckManager
    from .bindings import Queue
    from .puller import Puller


class Unacked(NamedTuple):
    """A message that the application has and has not settled.

    Attributes:
        key: see :func:`kchat.transports.pubsub.ack_manager.key_of`.
        acks: where it is held.
        consumer: that got it; ``None`` for ``basic_get``.
    """

    key: str
    acks: AckManager
    consumer: ChannelConsumer | None


@dataclass(eq=False)
class ChannelConsumer:
    """A consumer of a channel.

    Attributes:
        tag: its consumer tag.
        queue: what it consumes from.
        callback: called with each :class:`~kchat.transports.pubsub.messages.Delivery`.
        on_cancel: called with the tag when the queue is gone.
        acks: of the queue, on this channel.
        no_ack: whether a message counts as acknowledged when it is delivered.
        prefetch: maximum number of unacknowledged messages, 0 for no limit, as without acknowledgements.
        unacked: their number now.
        held: what has arrived while the prefetch count was reached.
        puller: brings its messages; set before the first one arrives.
    """

    tag: str
    queue: Queue
    callback: Callable[[Any], Any]
    on_cancel: Callable[[str], Any] | None
    acks: AckManager
    no_ack: bool
    prefetch: int
    unacked: int = 0
    active: bool = True
    held: deque[tuple[Any, int]] = field(default_factory=deque)
    puller: Puller = field(init=False)

    @property
    def is_full(self) -> bool:
        """Whether it has reached its prefetch count."""
        return bool(self.prefetch) and self.unacked >= self.prefetch

    def stop(self, *, politely: bool) -> None:
        """Take no more messages, and requeue what was not delivered."""
        self.active = False
        self.puller.stop(politely=politely)
        held, self.held = self.held, deque()
        self.acks.requeue([key_of(received) for received, _ in held])
