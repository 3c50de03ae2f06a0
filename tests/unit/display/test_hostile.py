"""The corpus through every display: one safe row for each input, within 150 MB."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest

from kchat.display import MODES, create
from kchat.message import Message
from tests.hostile.corpus import BODIES, TEXTS, count
from tests.hostile.safe import ROW, why_unsafe

ROW_OF = {
    "plain": ROW,
    "print": re.compile("Received "),
    "simple": re.compile("Received "),
    "json": re.compile(r"\{"),
}
ROW_OF["rich"] = re.compile(r"(?! |Username).{8,32}  [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}  ")

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


def show(mode: str, *messages: Message) -> str:
    stream = io.StringIO()
    display = create(mode, stream)
    for message in messages:
        display.show(message)
    display.flush()
    return stream.getvalue()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_one_safe_row(mode: str, body: bytes) -> None:
    output = show(mode, Message.from_body(body))
    assert not why_unsafe(output)
    first, *further = output.split("\n")[:-1]
    assert ROW_OF[mode].match(first)
    assert all(line.startswith("         ") for line in further)
    if mode != "json":
        assert len(output.encode()) < 65536 + 200


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_hostile_account_or_problem_does_no_harm(mode: str, text: str) -> None:
    output = show(mode, Message(None, "hello", body=b"hello", account=text, problem=text))
    assert not why_unsafe(output)
    assert output.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mode", ["plain", "print", "json", "rich"])
def test_memory_stays_under_150_mb_through_the_corpus(mode: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, mode], capture_output=True, text=True, timeout=100, check=True
    )
    peak = int(done.stdout) / 1024
    print(f"{mode}: {peak:.0f} MiB at most, {count()} inputs")
    assert peak < 143  # MiB: 150 MB
