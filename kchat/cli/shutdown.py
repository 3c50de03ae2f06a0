"""Ending by a signal: at once when it is safe, at the next pause otherwise, by force when that takes too long."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

GRACE = 1.0
"""Seconds to come to an end in order after the first signal."""

_IMPORTING = "<frozen importlib._bootstrap>"
"""What Python calls the file of the code that imports."""


def _postpone(number: int, frame: FrameType | None) -> bool:
    """Whether a signal came in the middle of an import; it is raised again as soon as that is over.

    An import that is interrupted leaves half a package behind, over which the next one stumbles; and what is raised in
    Python's own callbacks there is lost, with a traceback. A second signal does not wait.

    Arguments:
        number: the signal's.
        frame: what it has interrupted.
    """
    importer = None
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            importer = frame.f_back  # the last one found is the outermost
        frame = frame.f_back
    if importer is None or importer.f_trace is not None:
        return False
    importer.f_trace, importer.f_trace_opcodes = partial(_raise_again, number), True
    sys.settrace(_trace_nothing)
    return True


def _raise_again(number: int, frame: FrameType, _event: str, _what: object) -> None:
    sys.settrace(None)
    frame.f_trace = None
    signal.raise_signal(number)


def _trace_nothing(_frame: FrameType, _event: str, _what: object) -> None:
    """Nothing: without a function for new frames Python does not look at those of frames that run."""


def interrupt(number: int, frame: FrameType | None) -> None:
    """The handler of SIGINT outside of :func:`stop_by_signal`.

    Raises:
        KeyboardInterrupt: at once, or when an import that is going on is over.
    """
    if not _postpone(number, frame):
        raise KeyboardInterrupt


class Stop:
    """Whether a signal has asked to stop; called, it answers.

    Arguments:
        once: only the first signal counts: what it interrupts then cleans up, and is not interrupted in that.
    """

    def __init__(self, *, once: bool = False) -> None:
        self.asked = False
        self.gentle = False
        self.wake: Callable[[], object] = lambda: None
        """Called by the first signal where it is ``gentle``: ends a wait, so that nobody has to look again and again."""
        self._once = once

    def __call__(self) -> bool:
        """Whether it has."""
        return self.asked

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler.

        Raises:
            KeyboardInterrupt: nothing is going on that has to be finished, or it has had its time.
        """
        if (self.asked and self._once) or _postpone(number, frame):
            return
        if self.asked or not self.gentle:
            self.asked = True
            raise KeyboardInterrupt
        self.asked = True
        # What is blocked by then, in a pipe that nobody reads or a connect that nobody answers, is not waited for.
        signal.setitimer(signal.ITIMER_REAL, GRACE)
        self.wake()


@contextmanager
def stop_by_signal(*, cleans_up: bool = False) -> Iterator[Stop]:
    """Let SIGINT and SIGTERM end the block. Within it, set ``gentle`` where there is something to be finished first.

    Ends without an error where the signals ask for it.

    Arguments:
        cleans_up: the block leaves something behind unless it cleans up: a terminal that is closed (SIGHUP) ends it as
            the others do, and no further signal interrupts it.
    """
    stop = Stop(once=cleans_up)
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGALRM]
    if cleans_up and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        numbers.append(signal.SIGHUP)
    before = [signal.signal(number, stop.handle) for number in numbers]
    try:
        yield stop
    except KeyboardInterrupt:
        stop.asked = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
