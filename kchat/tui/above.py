"""Where ``kchat chat --plain`` writes: above the prompt, whatever the terminal can do."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from prompt_toolkit.utils import is_dumb_terminal

if TYPE_CHECKING:
    from collections.abc import Callable


class Above:
    """Writes rows above the prompt.

    On most terminals prompt_toolkit does that. On a dumb one nothing that was written can be taken back: what comes begins
    on a row of its own, and the prompt and what is half typed are written again behind it.

    Arguments:
        prompt: the prompt and what is half typed; None while nobody is asked for anything.
    """

    def __init__(self, prompt: Callable[[], str | None]) -> None:
        self._prompt = prompt
        self._is_dumb = is_dumb_terminal()
        self._waiting: list[str] = []

    def write(self, text: str) -> None:
        """Write whole rows. In the event loop's thread."""
        if not self._is_dumb:
            sys.stdout.write(text)
        elif self._prompt() is None:
            self._write_now(text)
        else:
            if not self._waiting:  # what comes together has one prompt behind it
                asyncio.get_running_loop().call_soon(self._write_waiting)
            self._waiting.append(text)

    def _write_waiting(self) -> None:
        text, prompt = "".join(self._waiting), self._prompt()
        self._waiting.clear()
        self._write_now(text if prompt is None else f"\n{text}{prompt}")

    def _write_now(self, text: str) -> None:
        # Not by prompt_toolkit, which writes a little later: the next prompt would be there first.
        if sys.__stdout__ is not None:
            sys.__stdout__.write(text)
            sys.__stdout__.flush()
