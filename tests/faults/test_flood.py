"""A million messages as fast as one sender can: the display stays alive, memory stays bounded, Ctrl+C is heard."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MESSAGES = 1_000_000
MOST_MEMORY = 150 * 1024
"""In KiB, of the subscriber's process at its peak."""


def peak(pid: int) -> int:
    """The most memory that a process has taken, in KiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet reaped."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("mode", ["plain", "rich"])
def test_a_flood_does_not_drown_a_subscriber(
    commands: Commands, amqp_url: str, tmp_path: Path, mode: str, measured: Callable[..., None]
) -> None:
    pid_file = tmp_path / "pid"
    kchat = f"{sys.executable} -m kchat subscribe --url {amqp_url} --mode {mode}"
    # In a terminal, and what it shows thrown away but for the end of it.
    line = f"sh -c 'echo \\$\\$ > {pid_file}; exec {kchat}' 2> {tmp_path}/told"
    commands.start(["sh", "-c", f'script -qfec "{line}" /dev/null | tail -c 20000'])
    told = tmp_path / "told"
    wait_until(lambda: told.exists() and "listening" in told.read_text(), 15, "the subscriber to listen")
    pid = int(pid_file.read_text())
    lines = tmp_path / "lines"
    lines.write_text("".join(f"{number}\n" for number in range(MESSAGES)))
    sender = commands.start(
        ["sh", "-c", f"exec {sys.executable} -m kchat send --url {amqp_url} --username flood - < {lines}"]
    )
    assert sender.wait(400) == 0, sender.stderr
    assert f"{MESSAGES:,} sent" in sender.stderr
    most = peak(pid)
    assert most < MOST_MEMORY
    os.kill(pid, signal.SIGINT)
    wait_until(lambda: has_ended(pid), 5, "the subscriber to end")
    measured(
        "flood of 1,000,000 messages", f"kchat subscribe --mode {mode}", note=f"{most // 1024} MiB at most"
    )
