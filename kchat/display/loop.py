"""The loop between a subscriber and a display: receive, show, flush, acknowledge, until it is enough."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import TYPE_CHECKING

from kchat.client.subscriber import BATCH

if TYPE_CHECKING:
    from kchat.client.subscriber import Subscriber
    from kchat.display import Display
    from kchat.message import Message

TICK = 0.1
"""Seconds between looks at the clock, the terminal's size and the wish to stop, when nothing arrives."""

ACKNOWLEDGE = 0.05
"""Seconds from one acknowledgement to the next, unless many messages came meanwhile: each is a packet for the broker, and
costs as much as all else that a single message does."""

_PAUSE = 0.01  # seconds between looks whether a display has drawn the last messages


def listen(
    subscriber: Subscriber,
    display: Display,
    *,
    limit: int | None = None,
    idle_timeout: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Show what arrives. A message is acknowledged after the display has it: what was not shown stays with the broker.

    After a pause it is acknowledged at once, in a burst with those around it, no later than the burst's next pause.

    Arguments:
        subscriber: where messages come from.
        display: where they go; it is opened by the caller, and closed by the caller.
        limit: number of messages after which to end. Default: never.
        idle_timeout: seconds without a message after which to end. Default: never.
        stop: asked at least ten times a second; true ends it.

    Returns:
        The number of messages shown.

    Raises:
        kchat.errors.BrokerError: see :meth:`kchat.client.subscriber.Subscriber.receive`.
    """
    shown = pending = 0
    now = last_arrival = due = look_due = monotonic()
    while limit is None or shown < limit:
        # To look costs as much as to show a message: between two of them there need not be a look.
        if now >= look_due:
            if stop() or subscriber.stopped:
                break
            look_due = now + TICK / 2
        wanted = BATCH if limit is None else min(BATCH, limit - shown)
        came, out = _show(display, subscriber.receive(timeout=ACKNOWLEDGE if pending else TICK, limit=wanted))
        now = monotonic()
        if not came:
            look_due = now
        pending += came
        # Half a batch is not held back, or no more would come: of that many, a screen shows the last few alone.
        if (out and now >= due) or pending >= subscriber.half_batch:
            subscriber.acknowledge()
            pending = 0
            due = now + ACKNOWLEDGE if came else now
        if came:
            shown += came
            last_arrival = now
        elif idle_timeout is not None and now - last_arrival >= idle_timeout:
            break
    while display.flush() is False:
        sleep(_PAUSE)
    subscriber.acknowledge()
    return shown


def _show(display: Display, messages: list[Message]) -> tuple[int, bool]:
    """Let the display have messages and bring them out; returns how many, and whether all are out.

    None is held on to while the next are received.
    """
    for message in messages:
        display.show(message)
    return len(messages), display.flush() is not False
