"""Open the window, and leave the terminal as it was, with the last screenful above the prompt."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kchat.tui.app import ChatApp
    from kchat.tui.options import ChatOptions, Outcome

TURN = 0.001
"""Seconds after which a thread that works lets another one work, where Python has 5 ms."""

MOST_DRAWINGS = 200
"""Drawings a second, at most. Only what is typed comes near; messages are drawn 20 times."""


def chat(options: ChatOptions) -> Outcome:
    """Show the window until the user leaves.

    Arguments:
        options: what to open.

    Returns:
        How it ended. What was not sent is in it, and it is the caller's to show.

    Raises:
        kchat.errors.SettingsError: the username is not valid.
    """
    # Loading makes many objects and no garbage; the window switches it on when its first frame stands.
    gc.disable()
    # A key goes through three threads before it is on the screen, and each may have to wait for one that decodes messages.
    sys.setswitchinterval(TURN)
    # Textual's clock for drawings: what has to be drawn soon after another drawing waits for up to two of its ticks.
    os.environ.setdefault("TEXTUAL_FPS", str(MOST_DRAWINGS))
    from kchat.tui.app import ChatApp

    if sys.__stderr__ is None or not sys.__stderr__.isatty():
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]  # which Textual draws on
    app = ChatApp(options)
    app.run(mouse=options.mouse)
    if app.outcome.error is None:
        _print_last(app)
    return app.outcome


def _print_last(app: ChatApp) -> None:
    """Print what was seen last, on the terminal's own ground."""
    from rich.console import Console
    from rich.style import Style
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    for strip in app.last_screen:
        line = Text(no_wrap=True)
        for text, style, _ in strip:
            kept = style or Style()
            line.append(
                text, Style(bold=kept.bold, italic=kept.italic, underline=kept.underline, link=kept.link)
            )
        line.rstrip()
        console.print(line, soft_wrap=True)
    sys.stdout.flush()
