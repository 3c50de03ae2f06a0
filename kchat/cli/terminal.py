"""Questions at the terminal, whatever standard input and output are."""

from __future__ import annotations

import os

from kchat.errors import SettingsError


def confirm(question: str, *, otherwise: str) -> bool:
    """Ask a question that is answered with yes or no, at the terminal itself: standard input may be a file or a pipe.

    Arguments:
        question: the question.
        otherwise: the option that answers it where there is no terminal.

    Returns:
        Whether the answer was yes; Enter alone, or the end of input, means no.

    Raises:
        SettingsError: there is no terminal.
        KeyboardInterrupt: Ctrl+C.
    """
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise SettingsError(
            "nothing was changed: without a terminal the question cannot be asked",
            hint=f"read what is shown above, and agree to it with {otherwise}",
        ) from None
    with os.fdopen(descriptor, "r+b", buffering=0) as terminal:
        import termios

        # What was pasted along with the invitation answers nothing.
        termios.tcflush(descriptor, termios.TCIFLUSH)
        terminal.write(f"{question} [y/N] ".encode())
        return bytes(terminal.read(1024)).strip().lower() in (b"y", b"yes")
