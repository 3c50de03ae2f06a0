"""Runs a command with the lines of a file on its standard input: ``pace_lines.py FILE LINES-A-SECOND COMMAND...``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

_STEP = 0.01
"""Seconds from one handful of lines to the next."""


def main(path: str, rate: str, *command: str) -> int:
    """Feed the command; returns its exit code."""
    lines = Path(path).read_bytes().splitlines(keepends=True)
    handful = max(1, int(int(rate) * _STEP))
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        began = time.perf_counter()
        for number, at in enumerate(range(0, len(lines), handful)):
            time.sleep(max(0.0, began + number * _STEP - time.perf_counter()))
            process.stdin.write(b"".join(lines[at : at + handful]))
            process.stdin.flush()
        process.stdin.close()
        return process.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
