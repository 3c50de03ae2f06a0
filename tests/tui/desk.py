"""People at real terminals, each with the window of ``kchat chat``."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from tests.brokers.wait import wait_until
from tests.window import Window


class Desk:
    """Terminals, each with a shell of its own.

    Arguments:
        tmux: the path of the program.
        folder: for their files.
    """

    def __init__(self, tmux: str, folder: Path) -> None:
        self._tmux = tmux
        self._folder = folder
        self._windows: list[Window] = []

    def open(self, name: str, columns: int = 80, lines: int = 24) -> Window:
        home = self._folder / name
        home.mkdir()
        environment = (
            f"env HOME={home} XDG_STATE_HOME={home} XDG_CONFIG_HOME={home} TERM=tmux-256color PS1='$ ' sh"
        )
        window = Window(self._tmux, home, columns, lines, environment)
        self._windows.append(window)
        return window

    def close(self) -> None:
        for window in self._windows:
            window.close()


def sees(window: Window, *words: str, seconds: float = 20) -> None:
    wait_until(
        lambda: all(each in window.text() for each in words), seconds, lambda: f"{words} in\n{window.text()}"
    )


def chat(window: Window, url: str, username: str, *options: str) -> None:
    """Open the window of somebody, and wait until it is connected."""
    command = f"{sys.executable} -m kchat chat lunch --url '{url}' --username {username} {' '.join(options)}"
    window.type(f"{command}; echo code=$?", "Enter")
    sees(window, "connected")


def process_of(window: Window) -> psutil.Process:
    """The process of the window."""
    shell = psutil.Process(int(window._run("display-message", "-p", "#{pane_pid}")))
    found = [each for each in shell.children(recursive=True) if "kchat" in " ".join(each.cmdline())]
    return found[-1]
