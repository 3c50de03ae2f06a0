"""A run that is forked from a process with the libraries loaded does what a fresh one does."""

from __future__ import annotations

import os

import pytest

from tests.brokers.processes import Commands, Process, Result
from tests.brokers.warm import can_be_forked, has_pidfd, warm_process

pytestmark = pytest.mark.skipif(not has_pidfd(), reason="every run is a fresh one here")


def both(commands: Commands, *arguments: str, **environment: str) -> Result:
    """Runs kchat forked and afresh, and returns how both ended."""
    fresh = commands.kchat(*arguments, env=environment)
    found = Result(fresh.wait(), fresh.stdout, fresh.stderr)
    assert commands.run_kchat(*arguments, env=environment) == found
    return found


def test_a_forked_run_ends_and_writes_as_a_fresh_one(commands: Commands, local_url: str) -> None:
    assert both(commands, "--version").code == 0
    assert both(commands, "send", "--help").code == 0
    assert both(commands, "send", "--nonsense").code == 2
    assert both(commands, "send", "hi", KCHAT_URL="nonsense://").code == 2
    assert both(commands, "send", "hi", "--url", local_url).code == 0
    assert both(commands, "send", "--file", "nowhere", "--url", local_url).code != 0
    again = ("subscribe", "--url", local_url, "--last", "1", "--limit", "1", "--format", "{time}")
    shown = {both(commands, *again, TZ=zone).stdout for zone in ("Asia/Kathmandu", "America/St_Johns")}
    assert len(shown) == 2


def test_a_forked_run_has_its_own_input_and_folder(commands: Commands) -> None:
    url = f"local://{commands.home}/room.db"
    (commands.home / "text").write_text("of a file")
    for arguments, stdin in ((("--file", "text"), None), (("-",), "of a pipe\n")):
        assert commands.run_kchat("send", *arguments, "--url", url, stdin=stdin).code == 0, arguments
    shown = commands.run_kchat("subscribe", "--url", url, "--last", "2", "--limit", "2", "--mode", "json")
    assert [word in shown.stdout for word in ("of a file", "of a pipe")] == [True, True]


def test_a_run_is_a_fresh_one_where_python_would_start_otherwise(commands: Commands) -> None:
    usual = commands.environment
    assert can_be_forked({**usual, "NO_COLOR": "1", "TZ": "Asia/Tokyo"}) is not bool(
        os.environ.get("KCHAT_TEST_COLD")
    )
    for name in ("PYTHONWARNINGS", "LC_ALL", "LD_PRELOAD", "COVERAGE_PROCESS_START"):
        assert not can_be_forked({**usual, name: "x"}), name
    assert not can_be_forked({name: value for name, value in usual.items() if name != "LANG"})


def test_a_forked_run_that_is_killed_has_that_code(commands: Commands, local_url: str) -> None:
    run = Process(
        ["python", "-m", "kchat", "subscribe", "--url", local_url],
        commands.environment,
        commands.home,
        warm=warm_process(),
    )
    try:
        run.wait_for("listening")
        assert run.running
        run.kill()
        assert run.wait() == -9
    finally:
        run.end()
