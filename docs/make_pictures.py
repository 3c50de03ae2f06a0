"""Draw the README's pictures: real commands in a real pseudo-terminal, their screen as SVG.

python docs/make_pictures.py
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

HERE = Path(__file__).parent / "pictures"
KCHAT = [sys.executable, "-m", "kchat"]
COLUMNS, LINES = 84, 14
TALK = [
    ("ada", "Hello world"),
    ("grace", "Hello Ada! Is this thing on?"),
    ("ada", "It is: an SQLite file today, RabbitMQ tomorrow, and nobody has to learn a new command"),
    ("linus", "tail -f app.log | kchat send --username app -"),
    ("app", "GET /health 200"),
    ("zoë", "Grüße aus Köln"),
    ("mallory", "an alarm \x1b[31m[bold]that does not go off[/bold]"),
]


def screen_of(mode: str, url: str) -> pyte.Screen:
    """What the terminal shows when everything has arrived."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "KCHAT_URL": url, "TERM": "xterm-256color", "LOGNAME": "ada", "TZ": "UTC"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [*KCHAT, "subscribe", "--mode", mode, "--last", "20", "--quiet"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    end = time.monotonic() + 20
    while TALK[-1][0] not in "".join(screen.display) and time.monotonic() < end:
        if select.select([ours], [], [], 0.5)[0]:
            # The emulator knows no dim text: it becomes grey.
            stream.feed(re.sub(rb"\x1b\[2(;39)?m", b"\x1b[90m", os.read(ours, 65536)))
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):
        while os.read(ours, 65536):
            pass
    process.wait()
    os.close(ours)
    return screen


def picture(screen: pyte.Screen, title: str) -> str:
    """The screen as SVG."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(
            record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor"
        )
        last = max((number for number, line in enumerate(screen.display) if line.strip()), default=0)
        for number in range(last + 1):
            cells = [screen.buffer[number][column] for column in range(COLUMNS)]
            line = Text(no_wrap=True, overflow="crop")
            # Word by word: each gets a position of its own, so that columns stay columns in any font.
            for (color, bold, _), run in groupby(cells, lambda cell: (cell.fg, cell.bold, cell.data == " ")):
                name = re.sub(r"^bright", "bright_", color).replace("brown", "yellow")
                style = Style(color=None if color == "default" else name, bold=bold)
                line.append("".join(cell.data for cell in run), style)
            console.print(line)
        return console.export_svg(title=title)


def main() -> None:
    """Make a room, talk in it, draw it."""
    HERE.mkdir(exist_ok=True)
    # Its name is as long as the one that stands in the pictures.
    with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as folder:
        url = f"local://{folder}/room.db"
        for username, message in TALK:
            subprocess.run([*KCHAT, "send", "-q", "--url", url, "--username", username, message], check=True)
        for mode, name in (("rich", "table"), ("plain", "plain")):
            svg = picture(screen_of(mode, url), f"kchat subscribe --mode {mode}").replace(
                folder, "/home/ada/chat"
            )
            svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
            (HERE / f"{name}.svg").write_text(re.sub(r"terminal-\d+", name, svg))


if __name__ == "__main__":
    main()
