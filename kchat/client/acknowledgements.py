"""When a subscriber acknowledges what was handed over: the one schedule."""

from __future__ import annotations

from time import monotonic
from typing import Any, NamedTuple

BATCH = 250
"""Maximum number of messages that are handed over at once, to be acknowledged together."""

BATCH_SECONDS = 0.05
"""How long to gather a burst, in seconds."""


class Position(NamedTuple):
    """A place in what a subscriber has handed over, by one connection."""

    connected_at: float
    tag: Any


class Acknowledgements:
    """Of one connection: at once after a pause; in a burst after 50 ms or half a batch, as each is a packet for the broker.

    Arguments:
        prefetch: maximum number of unacknowledged messages.
    """

    def __init__(self, prefetch: int) -> None:
        self.prefetch = prefetch
        self.handed_over: Any = None
        """Up to this delivery tag, messages are somebody's who has not finished with them."""
        self.finished: Any = None
        """Up to this one, they are finished with, and that is not acknowledged yet."""
        self.busy = False
        """Whether somebody works on what was handed over, be it by a connection that is lost by now: what comes again of
        that is nobody's, and not finished with."""
        self.pending = 0
        """Messages since the last acknowledgement."""
        self.due = 0.0
        """When the next one is due, by the monotonic clock."""
        self.half_batch = max(1, min(BATCH, prefetch) // 2)
        """That many are acknowledged in any case: the broker sends the next ones while the other half is shown."""

    @property
    def is_due(self) -> bool:
        """Whether what is finished with is acknowledged now."""
        return self.finished is not None and (self.pending >= self.half_batch or monotonic() >= self.due)

    def finish(self, tag: Any = None) -> None:
        """Messages are finished with up to a delivery tag. Default: all that were handed over."""
        if tag is None or tag == self.handed_over:
            tag, self.handed_over = self.handed_over, None
        if tag is not None:
            self.finished = tag

    def take(self) -> Any:
        """The delivery tag to acknowledge now, once; ``None`` where there is nothing to."""
        tag, self.finished = self.finished, None
        if tag is not None:
            self.pending, self.due = 0, monotonic() + BATCH_SECONDS
        return tag

    def forget(self) -> None:
        """The connection is gone, and its delivery tags with it."""
        self.handed_over = self.finished = None
        self.pending = 0
