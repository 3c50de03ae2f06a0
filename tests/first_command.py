"""Runs the README's first code block in a terminal, and ends it when the message is on the screen.

    python tests/first_command.py README.md

The lines that install kchat are left out: it is there already, as the wheel that is tried. Needs the standard
library only.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import sys
import termios
import time
from pathlib import Path

SECONDS = 30.0
ROWS, COLUMNS = 24, 100


def first_block(readme: str) -> list[str]:
    """Returns the commands of the first code block that run kchat."""
    block = re.search(r"^```\w*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    if block is None:
        raise SystemExit("the README has no code block")
    lines = [line.removeprefix("$ ").strip() for line in block[1].replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("kchat ")]


def sent(commands: list[str]) -> str:
    """Returns the message that `kchat send` is given."""
    for command in commands:
        words = shlex.split(command, comments=True)
        if words[:2] == ["kchat", "send"]:
            return words[-1]
    raise SystemExit("the README's first code block sends nothing")


def run_until_shown(script: str, wanted: list[str]) -> None:
    """Runs a script in a terminal, presses Ctrl+C when all wanted words were shown.

    Raises:
        SystemExit: they were not shown in time, or the script did not end well after Ctrl+C.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        # With a trap the shell outlives Ctrl+C, as an interactive one does, and reports kchat's exit code.
        os.execvp("sh", ["sh", "-ec", f"trap : INT\n{script}"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    deadline = time.monotonic() + SECONDS
    pressed, output = False, b""
    while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            output += os.read(terminal, 65536)
        except OSError:  # Linux's way to say that nobody has the terminal any more
            break
        if not pressed and all(word.encode() in output for word in wanted):
            os.write(terminal, b"\x03")
            pressed = True
    else:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not pressed or code:
        shown = output.decode(errors="replace")
        raise SystemExit(
            f"exit {code}, Ctrl+C {'' if pressed else 'not '}pressed, waiting for {wanted}:\n{shown}"
        )


def main() -> None:
    """Reads the README named on the command line and runs its first block."""
    commands = first_block(Path(sys.argv[1]).read_text())
    message = sent(commands)
    run_until_shown("\n".join(commands), ["Username", "Message", message])
    print(
        f"in a terminal, {'; '.join(commands)}: showed {message!r} in a table, and Ctrl+C ended it with exit 0"
    )


if __name__ == "__main__":
    main()
