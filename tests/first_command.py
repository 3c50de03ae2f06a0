"""Runs the README's first commands in a terminal, and ends them when the message is on the screen.

    python tests/first_command.py README.md

kchat is there already, as the wheel that is tried, with no extra: so `kchat chat` has to say how to install its own. Needs
the standard library only.
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

SECONDS = 60.0
ROWS, COLUMNS = 24, 100


SECTION = "## The first three commands"


def first_commands(readme: str) -> list[str]:
    """Returns the commands of that section that run kchat."""
    section = readme.partition(f"\n{SECTION}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [line for line in lines if line.startswith("kchat ")]
    if [command.split()[1] for command in commands] != ["send", "subscribe", "chat"]:
        raise SystemExit(f"the README's first three commands are {commands}")
    return commands


def sent(commands: list[str]) -> str:
    """Returns the message that `kchat send` is given."""
    for command in commands:
        words = shlex.split(command, comments=True)
        if words[:2] == ["kchat", "send"]:
            return words[-1]
    raise SystemExit("the README's first commands send nothing")


def run(script: str, wanted: list[str]) -> tuple[bool, int, str]:
    """Runs a script in a terminal, presses Ctrl+C when all wanted words were shown.

    Returns:
        Whether it was pressed, the exit code, and all that was shown.
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
    return pressed, code, output.decode(errors="replace")


def run_until_shown(script: str, wanted: list[str]) -> None:
    """Runs a script until the wanted words are shown.

    Raises:
        SystemExit: they were not shown in time, or the script did not end well after Ctrl+C.
    """
    pressed, code, shown = run(script, wanted)
    if not pressed or code:
        raise SystemExit(
            f"exit {code}, Ctrl+C {'' if pressed else 'not '}pressed, waiting for {wanted}:\n{shown}"
        )


def says_how_to_install(command: str) -> None:
    """Runs a command whose extra is not there.

    Raises:
        SystemExit: it does not say how to install it.
    """
    _, code, shown = run(command, ["no such words"])
    if code != 2 or "kombu-chat[chat]" not in shown:
        raise SystemExit(f"{command}: exit {code}, {shown}")


def main() -> None:
    """Reads the README named on the command line and runs its first commands."""
    *commands, chat = first_commands(Path(sys.argv[1]).read_text("utf-8"))
    message = sent(commands)
    run_until_shown("\n".join(commands), ["Username", "Message", message])
    says_how_to_install(chat)
    print(
        f"in a terminal, {'; '.join(commands)}: showed {message!r} in a table, and Ctrl+C ended it with exit 0; "
        f"{chat} said which extra to install"
    )


if __name__ == "__main__":
    main()
