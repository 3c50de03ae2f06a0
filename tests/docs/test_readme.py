"""The README's commands can be typed as they stand."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from tests.brokers.processes import Commands
from tests.cases import check_each
from tests.docs.examples import ROOT
from tests.docs.walk import Walk, path_with

GOES_ON = (
    "tail -f",
    "kchat subscribe",
    "kchat send --bot",
    "--message Hello --bot",
    "kchat bench",
    "kchat send -",
)
"""How the commands begin that only Ctrl+C ends, or that take longer than a test should."""


def test_the_readme_can_be_walked_from_its_beginning_to_its_end(walk: Walk) -> None:
    walk.go("README.md")
    left_out = {where.partition(": ")[2] for where in walk.left_out}
    assert left_out <= {"not run: it installs packages", "not run: docs/web.md is walked with these commands"}


def test_the_commands_for_scripts_run(commands: Commands, local_url: str, tmp_path: Path) -> None:
    """Those that go on are interrupted after five seconds."""
    section = (
        (ROOT / "README.md").read_text("utf-8").partition("\n## Scripts\n")[2].partition("\nIn a Python")[0]
    )
    lines = [line for line in re.findall(r"`([^`]+)`", section) if re.search("kchat .*-", line)]
    assert len(lines) >= 10
    kchat = f'#!/bin/sh\nexec "{sys.executable}" -m kchat "$@"\n'
    environment = {"PATH": path_with(tmp_path / "bin", kchat=kchat), "KCHAT_URL": local_url, "text": ""}
    (commands.home / "app.log").write_text("one\ntwo\n")
    runnable = [line for line in lines if "jq" not in line or shutil.which("jq")]
    processes = {}
    for line in runnable:
        seconds = "5" if line.startswith(GOES_ON) else "60"
        until = ["timeout", "--preserve-status", "-s", "INT", seconds]
        processes[line] = commands.start([*until, "bash", "-o", "pipefail", "-c", line], env=environment)

    def ends_well(line: str) -> None:
        code = processes[line].wait(60)
        assert code in ({0, 3, 130} if line.startswith(GOES_ON) else {0}), processes[line].stderr

    check_each(runnable, ends_well)
