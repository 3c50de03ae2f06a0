"""What happens to a connection, on standard error: on a terminal one line while it is away, updated in place.

Where standard error is not a terminal, there is a line for the loss and one for the return. Between them there are few,
since a broker may be away for a day: the first after a minute, the next after two more, four, up to an hour. A first
connection that is waited for tells of attempts 1, 2, 4, 8, ...
"""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import TYPE_CHECKING

from kchat import events
from kchat.cli.stderr import made_safe, write_line, write_over
from kchat.display.escaping import cautious_cells, take_columns

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST, _LONGEST = 60.0, 3600.0
"""Seconds from the loss to the next line where standard error is no terminal, and from a line to the next one at most."""


class ConnectionLine:
    """Tells what happens to one connection: an ``on_event``.

    Arguments:
        verbose: whether each event has a line of its own, in full. Default no.
        several: whether there are several brokers, so that the return says to which. Default no.
        in_place: whether a line may be written over. Default: on a terminal that can.
        clock: seconds, for tests. Default: the monotonic clock.
    """

    def __init__(
        self,
        *,
        verbose: bool = False,
        several: bool = False,
        in_place: bool | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._verbose = verbose
        self._several = several
        self._in_place = can_write_over() if in_place is None else in_place
        self._clock = clock
        self._lost_at: float | None = None
        self._due, self._pause = 0.0, _FIRST

    def tell(self, event: events.Event) -> None:
        """Write the event, or add it to the line."""
        now = self._clock()
        match event:
            case events.Disconnected():
                self._lost_at = now
                self._pause = _FIRST
                self._due = now + self._pause
                self._write(event, f"connection lost: {event.error}")
            case events.Reconnecting():
                self._retry(event, now)
            case events.Reconnected():
                self._lost_at = None
                if self._in_place and not self._verbose:
                    write_over("")
                    write_line(_again(event, event.where if self._several else event.room))
                else:
                    write_line(event)
            case _:
                write_line(event)

    def _retry(self, event: events.Reconnecting, now: float) -> None:
        when = f"trying again in {event.seconds:.1f} s (attempt {event.attempt}): {event.error}"
        if self._lost_at is None:
            is_due = event.attempt.bit_count() == 1
            when = f"no connection yet, {when}"
        else:
            is_due = now >= self._due
            when = f"connection lost {now - self._lost_at:.0f} s ago, {when}"
            if is_due:
                self._pause = min(2 * self._pause, _LONGEST)
                self._due = now + self._pause
        self._write(event, when, is_due=is_due)

    def _write(self, event: events.Event, text: str, *, is_due: bool = True) -> None:
        """One event: in place as this text, or else, where it is due, on a line of its own."""
        if self._in_place and not self._verbose:
            write_over_line(text)
        elif self._verbose or is_due:
            write_line(event)


def _again(event: events.Reconnected, where: str) -> str:
    """That it is connected again; in less than 80 columns, unless it says where."""
    then = event.missed
    if event.unconfirmed is not None:
        then = f"sending {event.unconfirmed} unconfirmed messages again"
    elif event.durable:
        then = "its queue kept the messages"
    return f"reconnected {f'to {where} ' if where else ''}after {event.seconds:.1f} s, {then}"


def write_over_line(text: str) -> None:
    """Write text over the line of the terminal on which the cursor stands, and as much of it as fits."""
    # A terminal would break a longer line, and then only its last row could be written over.
    write_over(take_columns(made_safe(text), _columns() - 1, cautious_cells))


def can_write_over() -> bool:
    """Whether standard error is a terminal on which a line can be written over."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
