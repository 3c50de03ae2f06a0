"""``kchat subscribe --mode rich`` in a real terminal, begun from a shell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from tests.brokers.wait import wait_until
from tests.window import Window

ROOT = Path(__file__).parents[1]


class Table:
    """A subscriber with the live table in a window, begun from a shell."""

    def __init__(
        self, window: Window, url: str, *options: str, background: bool = False, redirected: str = ""
    ) -> None:
        self.window = window
        words = [sys.executable, "-m", "kchat", "subscribe", "-q", "--url", url, "--mode", "rich", *options]
        self.command = f"PYTHONPATH={ROOT} HOME=$PWD {shlex.join(words)} {redirected}"
        window.type("stty -a >before; echo what stood here", "Enter")
        wait_until(lambda: "\nwhat stood here" in window.text(), 10, window.text)
        window.type(f"{self.command}{' &' if background else '; echo code $?'}", "Enter")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.window.text(), 20, self.window.text)

    def drawn(self) -> Table:
        wait_until(
            lambda: "Username" in self.window.text() and self.window.modes() == "1 0 0", 20, self.window.text
        )
        return self

    def check_terminal(self) -> None:
        """The shell has its terminal back, as it was."""
        wait_until(lambda: self.window.modes() == "0 1 1", 20, self.window.modes)
        self.window.type("stty -a >after; cmp before after && echo the same", "Enter")
        self.wait_for("\nthe same")


def pid_of(room: str) -> int:
    """The process of the table."""
    return int(subprocess.check_output(["pgrep", "-f", f"m kchat subscribe -q --url {room}"]))
