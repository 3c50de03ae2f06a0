"""The loop between a subscriber and a display: receive, show, flush, acknowledge, until it is enough."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from kchat.subscriber import BATCH

if TYPE_CHECKING:
    from kchat.display import Display
    from kchat.subscriber import Subscriber

TICK = 0.1
"""Seconds between looks at the clock, the terminal's size and the wish to stop, when nothing arrives."""


def listen(
    subscriber: Subscriber,
    display: Display,
    *,
    limit: int | None = None,
    idle_timeout: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Show what arrives. A message is acknowledged after the display has it: what was not shown stays with the broker.

    Arguments:
        subscriber: where messages come from.
        display: where they go; it is opened by the caller, and closed by the caller.
        limit: end after so many messages. Default: never.
        idle_timeout: end after so many seconds without a message. Default: never.
        stop: asked at least ten times a second; true ends it.

    Returns:
        The number of messages shown.

    Raises:
        kchat.errors.BrokerError: see :meth:`kchat.subscriber.Subscriber.receive`.
    """
    shown = 0
    last_arrival = monotonic()
    while not stop() and (limit is None or shown < limit):
        wanted = BATCH if limit is None else min(BATCH, limit - shown)
        messages = subscriber.receive(timeout=TICK, limit=wanted)
        for message in messages:
            display.show(message)
        display.flush()
        subscriber.acknowledge()
        if messages:
            shown += len(messages)
            last_arrival = monotonic()
        elif idle_timeout is not None and monotonic() - last_arrival >= idle_timeout:
            break
    return shown
