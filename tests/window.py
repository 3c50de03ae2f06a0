"""A real terminal, tmux, to look at what people see and to type what people type."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.brokers.wait import wait_until


class Window:
    """A tmux window with a shell in it, on a server of its own.

    Arguments:
        tmux: the path of the program.
        directory: for its socket.
        columns: the width of the terminal.
        lines: its height.
        shell: what runs in it.
    """

    def __init__(self, tmux: str, directory: Path, columns: int, lines: int, shell: str = "sh") -> None:
        self._tmux = [tmux, "-S", str(directory / "tmux"), "-f", os.devnull]
        self._run("new-session", "-d", "-x", str(columns), "-y", str(lines), f"env PS1='$ ' {shell}")
        wait_until(lambda: "$" in self.text(), 10, "a prompt")

    def _run(self, *command: str) -> str:
        return subprocess.run(
            [*self._tmux, *command], check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def type(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def rows(self) -> list[str]:
        return self._run("capture-pane", "-p").split("\n")[:-1]

    def text(self) -> str:
        return "\n".join(self.rows())

    def history(self) -> str:
        """What one can scroll back to, and the screen."""
        return self._run("capture-pane", "-p", "-S", "-1000")

    def modes(self) -> str:
        return self._run("display-message", "-p", "#{alternate_on} #{cursor_flag} #{wrap_flag}").strip()

    def signal_children(self, name: str) -> None:
        """Signals what runs in the shell."""
        shell = self._run("display-message", "-p", "#{pane_pid}").strip()
        subprocess.run(["pkill", f"-{name}", "-P", shell], check=True, timeout=60)

    def resize(self, columns: int, lines: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def close(self) -> None:
        self._run("kill-server")
