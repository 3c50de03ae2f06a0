"""Questions at the terminal, even if standard input and output are something else."""

from __future__ import annotations

import os

from kchat.errors import SettingsError


def confirm(question: str, *, otherwise: str) -> bool:
    """Ask a yes-or-no question at the terminal itself: standard input may be a file or a pipe.

    Arguments:
        question: the question.
        otherwise: the option that answers it without a terminal.

    Returns:
        Whether the answer was yes; Enter alone, or the end of input, means no.

    Raises:
        SettingsError: no terminal is available.
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

        # Text pasted after the invitation must not answer the question.
        termios.tcflush(descriptor, termios.TCIFLUSH)
        terminal.write(f"{question} [y/N] ".encode())
        return bytes(terminal.read(1024)).strip().lower() in (b"y", b"yes")
