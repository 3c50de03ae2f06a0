"""Ending by a signal: at once when safe, else at the next pause, and by force when that takes too long."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

GRACE = 1.0
"""Seconds for an orderly end after the first signal."""

_IMPORTING = "<frozen importlib._bootstrap>"
"""The file name of Python's import code."""


def _postpone(number: int, frame: FrameType | None) -> bool:
    """Whether a signal interrupted an import; if so, it is raised again when that is done. A second one does not wait.

    An interrupted import leaves half a package behind, which breaks the next one; and an exception raised in Python's own
    callbacks there is lost, with a traceback.
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


class _Interrupts:
    """Whether one of the handlers here has raised KeyboardInterrupt in this process."""

    raised = False


def _raise() -> NoReturn:
    _Interrupts.raised = True
    raise KeyboardInterrupt


def note_unraisable(lost: UnraisableHookArgs) -> None:
    """The hook for what Python cannot raise, such as an error in ``__del__`` or in a callback (:func:`sys.unraisablehook`).

    A KeyboardInterrupt that was lost there is raised in the code that was interrupted. After one, whatever it left half made
    may have objections when it is freed; nobody wants to read them.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        frame = sys._getframe().f_back  # noqa: SLF001 - the inspect module takes long to load
        if frame is not None:
            frame.f_trace, frame.f_trace_opcodes = _raise_here, True
            sys.settrace(_trace_nothing)
    elif not _Interrupts.raised:
        sys.__unraisablehook__(lost)


def _raise_here(frame: FrameType, _event: str, _what: object) -> NoReturn:
    sys.settrace(None)
    frame.f_trace = None
    _raise()


def _trace_nothing(_frame: FrameType, _event: str, _what: object) -> None:
    """Nothing: Python only calls the trace functions of running frames if there is one for new frames."""


def interrupt(number: int, frame: FrameType | None) -> None:
    """The handler of SIGINT outside of :func:`shutdown_by_signal`: raises KeyboardInterrupt, but not within an import."""
    if not _postpone(number, frame):
        _raise()


class Shutdown:
    """Whether a signal has asked to stop; call it to ask. With ``once``, only the first signal counts."""

    def __init__(self, *, once: bool = False) -> None:
        self.requested = False
        self.graceful = False
        self.wake: Callable[[], object] = lambda: None
        """Called by the first signal where it is ``graceful``: ends a wait, so that nobody has to look again and again."""
        self.grace = GRACE
        """Seconds for that; 0 for as long as it takes, or until the next signal."""
        self._once = once

    def __call__(self) -> bool:
        """Whether it has."""
        return self.requested

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: raises KeyboardInterrupt if nothing has to be finished, or its time is over."""
        if (self.requested and self._once) or _postpone(number, frame):
            return
        if self.requested or not self.graceful:
            self.requested = True
            _raise()
        self.requested = True
        # After that, nothing is waited for: neither a pipe that nobody reads nor a connect that nobody answers.
        signal.setitimer(signal.ITIMER_REAL, self.grace)
        self.wake()


@contextmanager
def shutdown_by_signal(*, cleans_up: bool = False) -> Iterator[Shutdown]:
    """Let SIGINT and SIGTERM end the block, without an error. Set ``graceful`` when something has to be finished first.

    A block that ``cleans_up`` is ended by closing the terminal (SIGHUP) as well, and no further signal interrupts it.
    """
    stop = Shutdown(once=cleans_up)
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGALRM]
    if cleans_up and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        numbers.append(signal.SIGHUP)
    before = [signal.signal(number, stop.handle) for number in numbers]
    try:
        yield stop
    except KeyboardInterrupt:
        stop.requested = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
