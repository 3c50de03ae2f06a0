"""What commands do that listen to a room and show nothing of it on the screen: join, be here, say so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kchat.archive.archiving import Archiving
    from kchat.cli.shutdown import Shutdown
    from kchat.client.subscriber import Subscriber


@contextmanager
def listening(
    subscriber: Subscriber | Archiving,
    stop: Shutdown,
    report: Callable[[object], None],
    *,
    present: bool,
    verbose: bool,
    notes: list[str],
) -> Iterator[None]:
    """Open a subscriber and say that it listens; from then on, a signal stops it.

    Arguments:
        subscriber: it; closed at the end.
        stop: what signals do, within :func:`kchat.cli.shutdown.shutdown_by_signal`.
        report: writes a line to standard error.
        present: whether it counts as here.
        verbose: whether the queue is named.
        notes: what else to say.
    """
    from kchat.cli.announcement import listening as lines
    from kchat.client.beside import PresenceBeside

    with ExitStack() as last, closing(subscriber), ExitStack() as first:
        subscriber.open()
        for each in subscriber.each if present else ():
            beside = PresenceBeside(each, after=0.2)
            first.callback(beside.stop)
            last.callback(beside.close)
        for line in lines(subscriber.where, notes, cut=sys.stderr is not None and sys.stderr.isatty()):
            report(line)
        if verbose:
            report(f"queue {subscriber.queue_name}")
        stop.wake = subscriber.stop
        stop.graceful = True
        yield
