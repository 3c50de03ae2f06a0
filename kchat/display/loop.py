"""The loop between a subscriber and a display: receive, show, flush, acknowledge, until it is enough."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import TYPE_CHECKING, Protocol, cast

from kchat.client.acknowledgements import BATCH
from kchat.errors import SettingsError
from kchat.events import ignore

if TYPE_CHECKING:
    from kchat.client.several import Subscribers
    from kchat.client.subscriber import Subscriber
    from kchat.display import Display
    from kchat.events import Event
    from kchat.message import Message

TICK = 1.0
"""Seconds between looks at the clock and the wish to stop, when nothing arrives and the display asks for no others."""

_LATE = 0.05
"""Seconds until a display that has not brought out everything yet is asked again."""

_LOOK = 0.05
"""Seconds between looks whether to stop while messages come: one costs as much as to show a message."""

_PAUSE = 0.01  # seconds between looks whether a display has drawn the last messages


class Keeper(Protocol):
    """A display that keeps messages somewhere: none is acknowledged before :meth:`Display.flush` has returned True.

    Of one that draws, half a batch of messages is acknowledged before it is drawn, or no more would come; this one has to
    be given a ``prefetch`` that is larger than what it holds.
    """

    @property
    def is_full(self) -> bool:
        """Whether it can take no more for now: nothing is received meanwhile."""

    @property
    def gives_up(self) -> bool:
        """Whether what it holds is not waited for at the end: it stays with the broker."""


def listen(
    subscriber: Subscriber | Subscribers,
    display: Display,
    *,
    limit: int | None = None,
    idle_timeout: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Show what arrives. A message is acknowledged after the display has it: what was not shown stays with the broker.

    When that is done is the subscriber's affair: :meth:`kchat.client.subscriber.Subscriber.finish`; for a display that keeps
    messages, see :class:`Keeper`.

    Arguments:
        subscriber: where messages come from. Its :meth:`~kchat.client.subscriber.Subscriber.stop` ends this at once.
        display: where they go; it is opened by the caller, and closed by the caller. Its ``tick``, if it has one, is the
            time in seconds after which it is flushed again when nothing comes.
        limit: number of messages after which to end. Default: never.
        idle_timeout: seconds without a message after which to end. Default: never.
        stop: asked at least once in each tick, and at once after :meth:`kchat.client.subscriber.Subscriber.wake`;
            true ends it.

    Returns:
        The number of messages shown.

    Raises:
        kchat.errors.BrokerError: see :meth:`kchat.client.subscriber.Subscriber.receive`.
    """
    keeper = cast("Keeper", display) if hasattr(display, "gives_up") else None
    tick: float = getattr(display, "tick", TICK)
    shown, out = 0, True
    last_arrival = look_due = monotonic()
    while limit is None or shown < limit:
        now = monotonic()
        if now >= look_due:
            if stop() or subscriber.stopped:
                break
            out = display.flush() is not False  # a key may have changed what it shows
            _finish(subscriber, keeper, out=out)
            look_due = now + _LOOK
        timeout = tick if out else _LATE
        if idle_timeout is not None:
            timeout = min(timeout, max(0.0, last_arrival + idle_timeout - now))
        if keeper is not None and not out and keeper.is_full:
            sleep(_LATE)
            look_due, last_arrival = 0.0, monotonic()
            continue
        wanted = BATCH if limit is None else min(BATCH, limit - shown)
        came, out = _show(display, subscriber.receive(timeout, wanted), keeps=keeper is not None)
        _finish(subscriber, keeper, out=out)
        if came:
            shown += came
            last_arrival = monotonic()
            continue
        look_due = 0.0
        if idle_timeout is not None and monotonic() - last_arrival >= idle_timeout:
            break
    if _bring_out(display, keeper):
        subscriber.busy = False
        subscriber.acknowledge()
    return shown


def _finish(subscriber: Subscriber | Subscribers, keeper: Keeper | None, *, out: bool) -> None:
    """Acknowledge what the display has brought out."""
    # While a keeper holds any, what comes again after a lost connection is not acknowledged either.
    subscriber.busy = keeper is not None and not out
    if not subscriber.busy:
        # Half a batch is not held back, or no more would come: of that many, a screen shows the last few alone.
        subscriber.finish(hold=not out)


def _bring_out(display: Display, keeper: Keeper | None) -> bool:
    """Let the display bring out the last messages; returns whether they are all out."""
    hurry = getattr(display, "hurry", None)
    if hurry is not None:  # nothing follows that could be drawn together with it
        hurry()
    while display.flush() is False:
        if keeper is not None and keeper.gives_up:
            return False
        sleep(_PAUSE)
    return True


def _show(display: Display, messages: list[Message], *, keeps: bool) -> tuple[int, bool]:
    """Let the display have messages and bring them out; returns how many, and whether all are out.

    None is held on to while the next are received.
    """
    if messages:
        if not keeps:
            display.flush()  # it looks how wide its terminal is, and the last time may be long ago
        for message in messages:
            display.show(message)
    return len(messages), display.flush() is not False


def event_objects(display: Display, mode: str, *, wanted: bool) -> Callable[[Event], None]:
    """What writes each event as an object among the messages, where that is wanted; else nothing.

    Arguments:
        display: has a method ``event``, if its mode can.
        mode: by name, for the error.
        wanted: whether it is.

    Raises:
        kchat.errors.SettingsError: it is wanted, and the mode has none.
    """
    if not wanted:
        return ignore
    write: Callable[[Event], None] | None = getattr(display, "event", None)
    if write is None:
        raise SettingsError(f"the mode {mode} has no events", hint="the mode json has")
    return write


def show_event(display: Display, event: Event) -> None:
    """Let a display that has the screen say what happened to the connection, at once: connecting may take a while.

    Its ``note`` takes the event itself; one that has none gets the text.
    """
    note = getattr(display, "note", None)
    if note is None:
        display.status(str(event))
    else:
        note(event)
    display.flush()
