"""A subscriber's memory while the whole corpus goes through a display."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.displays import EVERY
from tests.hostile.corpus import count

CHILD = """
import io, os, sys
from kchat.display import create
from kchat.message import Message
import kombu, kombu.transport.pyamqp  # what a subscriber has in memory besides
from tests.hostile.corpus import BODIES, LARGE_BODIES
display = create(sys.argv[1], open(os.devnull, "w"))
display.open("chat")
for make in [*(lambda body=body: body for body in BODIES.values()), *LARGE_BODIES.values()]:
    display.show(Message.from_body(make()))
    display.flush()
display.close()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mode", EVERY)
def test_memory_stays_under_150_mb_through_the_corpus(mode: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, mode], capture_output=True, text=True, timeout=100, check=True
    )
    peak = int(done.stdout) / 1024
    print(f"{mode}: {peak:.0f} MiB at most, {count()} inputs")
    assert peak < 143  # MiB: 150 MB
