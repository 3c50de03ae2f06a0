"""From the threads at the brokers to that of the window: reports in their order, never too many at a time."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.tui.reports import Report

CAPACITY = 4
"""Maximum number of reports that wait: a window that is stopped stops those who report, and so the broker."""


class Inbox:
    """Reports for the window. Any thread may :meth:`put`; one takes.

    Arguments:
        wake: called, from the thread that reports, when there is something to take; not again before it is taken.
    """

    def __init__(self, wake: Callable[[], object] = lambda: None) -> None:
        self.wake = wake
        self._reports: deque[Report] = deque()
        self._changed = Condition()
        self._woken = self._closed = False

    def put(self, report: Report) -> None:
        """Hand over a report; waits while there are :data:`CAPACITY`, unless the inbox is closed."""
        with self._changed:
            while len(self._reports) >= CAPACITY and not self._closed:
                self._changed.wait()
            if self._closed:
                return
            self._reports.append(report)
            if self._woken:
                return
            self._woken = True
        self.wake()

    def take(self) -> list[Report]:
        """All that has come, in order; does not wait."""
        with self._changed:
            taken = list(self._reports)
            self._reports.clear()
            self._woken = False
            self._changed.notify_all()
        return taken

    def close(self) -> None:
        """Nobody takes any more: what is put from now on is dropped."""
        with self._changed:
            self._closed = True
            self._reports.clear()
            self._changed.notify_all()
