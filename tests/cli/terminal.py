"""A command at a terminal, and somebody who answers it."""

from __future__ import annotations

import os
import pty
import signal
import sys
from collections.abc import Sequence

from tests.brokers.wait import soon


def answer(arguments: Sequence[str], text: str, *, waits: bool = True) -> tuple[int, str]:
    """Runs a command at a terminal, types an answer when it asks, or at once; returns its code and what it showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-m", "kchat", *arguments])
    signal.alarm(round(soon(30)))  # a read that nothing ends would wait for ever
    shown = b""
    try:
        while waits and b"?" not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, text.encode())
        while data := os.read(terminal, 1000):
            shown += data
    except OSError:
        pass  # EIO: it has ended
    finally:
        signal.alarm(0)
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()
