"""Leaving: at once when all is sent, after a question when something would be lost, and without one by a signal."""

from __future__ import annotations

import asyncio
import os
import signal
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.tui.session import Session

AGAIN = 2.0
"""Seconds within which a second Ctrl+C leaves."""

CONFIRM_WAIT = 1.5
"""Seconds to wait for confirmations before it is asked."""

CLOSE_TIMEOUT = 2.0
"""Seconds that leaving may take."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Leaving:
    """When to end.

    Arguments:
        session: knows what is not sent.
        end: ends it.
        ask: asks whether to lose this number of messages; calls back with the answer.
    """

    def __init__(
        self,
        session: Session,
        end: Callable[[], object],
        ask: Callable[[int, Callable[[bool | None], None]], object],
    ) -> None:
        self._session = session
        self._end = end
        self._ask = ask
        self._interrupted_at = -AGAIN
        self._since: float | None = None
        self._asking = False

    def interrupt(self) -> bool:
        """Ctrl+C; returns whether it was the second one, which leaves."""
        now = monotonic()
        again = now - self._interrupted_at < AGAIN
        self._interrupted_at = now
        if again:
            self.leave()
        return again

    def leave(self) -> None:
        """Leave as soon as all is sent, or ask."""
        if self._since is None:
            self._since = monotonic()
        self.look()

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for confirmations; :meth:`look` has to be called from time to time."""
        return self._since is not None

    def look(self) -> None:
        """Leave now, or ask, or go on waiting."""
        if self._since is None or self._asking:
            return
        unsent = self._session.unsent
        if not unsent:
            self._end()
            return
        on_its_way = all(room.joined and not room.status and not room.outbox.failed for room, _ in unsent)
        if on_its_way and monotonic() - self._since < CONFIRM_WAIT:
            return
        self._since, self._asking = None, True
        self._ask(len(unsent), self._answer)

    def _answer(self, leave: bool | None) -> None:  # noqa: FBT001 - as Textual calls back
        self._asking = False
        if leave:
            self._end()

    def heed_signals(self) -> None:
        """Let SIGTERM, SIGINT and SIGHUP end it. In the running event loop."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                loop.add_signal_handler(number, self._end_by_signal)

    def _end_by_signal(self) -> None:
        # A closed terminal cannot be written to any more, which must not keep this process.
        watchdog = Timer(2 * CLOSE_TIMEOUT, os._exit, (0,))
        watchdog.daemon = True
        watchdog.start()
        self._end()
