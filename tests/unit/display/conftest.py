"""Terminals for the displays, and a clock that stands where the tests expect it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.unit.display.terminal import Terminal


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC, and no colour is asked for or forbidden."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def terminal() -> Iterator[Callable[[int, int], Terminal]]:
    """Makes terminals of a given number of columns and lines."""
    made: list[Terminal] = []

    def make(columns: int, lines: int) -> Terminal:
        made.append(Terminal(columns, lines))
        return made[-1]

    yield make
    for one in made:
        one.close()
