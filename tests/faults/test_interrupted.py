"""Ctrl+C where Python cannot raise it, or between two steps of a command's beginning and end."""

from __future__ import annotations

import pytest

from tests.brokers.processes import Commands, Result

SEND = """
import os, signal, sys
from kchat.__main__ import run
from kchat.client.sender import Sender

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class Freed:
    def __del__(self):
        {freed}

class HalfMade:
    def __init__(self):
        interrupt()
        self.whole = True

    def __del__(self):
        assert self.whole

class Faulty:
    def __del__(self):
        raise ValueError("the driver's")

really_send = Sender.send

def send(*arguments, **more):
    {made}()
    return really_send(*arguments, **more)

Sender.send = send
sys.argv = ["kchat", "send", "--url", {url!r}, "hello"]
run()
"""


def sent_while(commands: Commands, url: str, made: str, freed: str = "interrupt()") -> Result:
    """Runs `kchat send`, which makes and frees an object of that class in the middle of it."""
    process = commands.python(SEND.format(url=url, made=made, freed=freed))
    code = process.wait()
    return Result(code, process.stdout, process.stderr)


@pytest.mark.parametrize("freed", ["interrupt()", "sum(interrupt() or 1 for _ in range(3))"])
def test_ctrl_c_is_not_lost_where_an_object_is_freed(commands: Commands, local_url: str, freed: str) -> None:
    assert sent_while(commands, local_url, "Freed", freed) == Result(130, "", "")


def test_what_ctrl_c_leaves_half_made_is_freed_without_a_traceback(
    commands: Commands, local_url: str
) -> None:
    assert sent_while(commands, local_url, "HalfMade") == Result(130, "", "")


def test_an_error_of_an_object_that_is_freed_is_shown_where_nobody_interrupted(
    commands: Commands, local_url: str
) -> None:
    result = sent_while(commands, local_url, "Faulty")
    assert result.code == 0
    assert "ValueError: the driver's" in result.stderr


EACH_STEP = """
import os, signal, sys
import kchat.cli, kchat.cli.shutdown, kchat.cli.stderr
from kchat.__main__ import run

sys.argv = ["kchat", "--version"]

def interrupted_at(step, tell):
    def trace(frame, event, what):
        nonlocal step
        if frame.f_code is not run.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            step -= 1
            if step == 0:
                os.write(tell, b"!")
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    run()

for step in range(1, 1000):
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        interrupted_at(step, tell)
    os.close(tell)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    reached = os.read(told, 1)
    os.close(told)
    if not reached:
        print(step - 1, "steps", flush=True)
        break
    if code not in (0, 130):
        sys.exit(f"step {step}: {code}")
"""
"""Python's own start, before a command can heed anything, is not ours to guard."""


def test_ctrl_c_at_each_step_of_a_commands_beginning_and_end_leaves_no_traceback(commands: Commands) -> None:
    process = commands.python(EACH_STEP)
    assert (process.wait(60), process.stderr) == (0, "")
    assert int(process.stdout.split()[-2]) > 50
