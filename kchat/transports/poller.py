"""``select.poll``, also where a library has taken it away.

eventlet's and gevent's patches remove it, since it would stop all of their green threads, and leave a ``select.select`` that
does not. That one sees no hang-up of what is written to, and no descriptor from 1,024 on.
"""

from __future__ import annotations

import select
from typing import Any


class _BySelect:
    """What kchat uses of a polling object, made of ``select.select``."""

    def __init__(self) -> None:
        self._wanted: dict[int, tuple[Any, int]] = {}

    def register(self, what: Any, events: int) -> None:
        descriptor = what if isinstance(what, int) else what.fileno()
        self._wanted[descriptor] = what, events

    def poll(self, milliseconds: float | None = None) -> list[tuple[int, int]]:
        reads = [each for each, (_, events) in self._wanted.items() if events & select.POLLIN]
        writes = [each for each, (_, events) in self._wanted.items() if events & select.POLLOUT]
        seconds = None if milliseconds is None or milliseconds < 0 else milliseconds / 1000
        if not reads and not writes and not seconds:
            return []
        readable, writable, _ = select.select(reads, writes, [], seconds)
        ready = [(each, select.POLLIN) for each in readable]
        return ready + [(each, select.POLLOUT) for each in writable]


def new_poller() -> Any:
    """A polling object: ``register(what, events)`` and ``poll(milliseconds)``, as of :func:`select.poll`."""
    make = getattr(select, "poll", None)
    return _BySelect() if make is None else make()
