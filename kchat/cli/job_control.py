"""A full-screen display: its keys, and restoring the screen while the process is stopped and when it is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from kchat.cli.keyboard import Keyboard
    from kchat.display import Display, FullScreen


class Screen:
    """Holds a terminal for a display: takes keys, and restores everything when the process stops or ends.

    Arguments:
        display: what has the screen.
        title: as :meth:`kchat.display.Display.open` takes it.
        keyboard: where keys come from.
        wake: called by signals: ends a wait, so that :meth:`ended` is called soon.
    """

    def __init__(
        self, display: FullScreen, title: str, keyboard: Keyboard, wake: Callable[[], object]
    ) -> None:
        self._display, self._title, self._wake = display, title, wake
        self._keyboard = keyboard
        self._stop_asked = self._continued = False
        self._press: Callable[[str], object] = getattr(display, "press", lambda _key: None)

    def open(self) -> None:
        """Take the keyboard, then the screen. In the background, taking the keyboard stops the process: SIGTTOU."""
        self._keyboard.take()
        if self._keyboard.has_keys:
            self._display.hint = getattr(self._display, "keys_hint", "q ends")
        self._display.open(self._title)

    def _give_back(self, leave: Callable[[], object]) -> None:
        """Restore the keyboard, which does not block on a stopped terminal, and then the screen. May be called twice."""
        self._keyboard.release()
        leave()

    def close(self) -> None:
        """Give both back."""
        self._give_back(self._display.close)

    def ended(self) -> bool:
        """Do what signals and keys have asked for since the last call; returns whether one of them was to end it."""
        if self._stop_asked:
            self._stop_asked = False
            self._give_back(self._display.suspend)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._continued = True
        if (
            self._continued
        ):  # before keys are read: until then the terminal is the shell's, and waits for whole lines
            self._continued = False
            self.open()
        keys = self._keyboard.pressed()
        if "redraw" in keys:
            self.open()
        for key in keys:
            if key == "q":
                return True
            self._press(key)
        return False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the signals that stop, continue and kill a process, and of a changed size."""
        if number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
            self._stop_asked = self._stop_asked or number == signal.SIGTSTP
            # After a SIGSTOP too, during which the shell changed the terminal.
            self._continued = self._continued or number == signal.SIGCONT
            self._wake()
            return
        self._give_back(self._display.suspend)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@contextmanager
def opened(
    display: Display,
    title: str,
    descriptor: int,
    wake: Callable[[], object],
) -> Iterator[tuple[Callable[[], bool], Keyboard | None]]:
    """Open a display; one on a whole screen gets the keys, and is closed at the end of the block, also after an error.

    Arguments:
        display: it.
        title: as it takes it.
        descriptor: what it writes to.
        wake: ends a wait, from a signal handler or a thread.

    Yields:
        What is called between two things that the display does, and returns whether a key was to end it; and where the
        keys come from, None where there are none.
    """
    if not getattr(display, "live", False):
        display.open(title)
        yield bool, None
        return
    from kchat.cli.keyboard import Keyboard

    keyboard = Keyboard(descriptor, wake)
    screen = Screen(cast("FullScreen", display), title, keyboard, wake)
    numbers = [
        *(signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH),
        *(signal.SIGQUIT, signal.SIGHUP),
    ]
    ours = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup has it
    before = [signal.signal(number, screen.handle) for number in ours]
    try:
        screen.open()
        yield screen.ended, keyboard if keyboard.has_keys else None
    finally:
        screen.close()
        for number, handler in zip(ours, before, strict=True):
            signal.signal(number, handler)
