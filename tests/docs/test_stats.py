"""docs/stats.md: its commands run and print something, and it has every key of the JSON."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kchat import archive
from kchat.archive import tidy
from kchat.archive.stats import VERSION
from tests.archive.filled import fill
from tests.brokers.processes import Commands
from tests.brokers.require import require
from tests.cases import check_each
from tests.docs.examples import ROOT
from tests.docs.walk import path_with

PAGE = (ROOT / "docs" / "stats.md").read_text("utf-8")


def lines(word: str) -> list[str]:
    """The page's command lines with a pipe into a program."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if f"| {word}" in line]


@pytest.mark.parametrize(("program", "count"), [("jq", 8), ("awk", 1)])
def test_every_pipe_of_the_page_prints_something(commands: Commands, program: str, count: int) -> None:
    require(program, "examples pipe into it")
    fill(commands.home / "data" / "kchat" / "archive.db")
    kchat = f'#!/bin/sh\nexec "{sys.executable}" -m kchat "$@"\n'
    environment = {**commands.environment, "PATH": path_with(commands.home / "bin", kchat=kchat)}

    def run(line: str) -> None:
        # The page's archive has something in the last thirty days.
        line = re.sub(r"--since \S+", "--since 2026-03-01", line)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert done.stdout.strip() not in ("", "null"), line

    assert len(lines(program)) == count
    check_each(lines(program), run)


def test_the_page_has_every_key_of_the_json_and_its_version(commands: Commands, tmp_path: Path) -> None:
    told = commands.run_kchat("stats", "--json", "--words", "--archive", str(fill(tmp_path / "a.db"))).stdout
    found = json.loads(told)
    missing = {key for key in found if f"`{key}`" not in PAGE}
    section = PAGE.partition("## JSON")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (`.*?`) \| (`.*?`) \|$", section, re.MULTILINE))
    for keys, listed in rows.items():
        for key in re.findall(r"`(\w+)`", keys):
            value = found[key][0] if isinstance(found[key], list) else found[key]
            assert list(value) == re.findall(r"`(\w+)`", listed), key
    objects = {
        key
        for key, value in found.items()
        if isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict))
    }
    missing |= objects - set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert missing == set()
    assert found["version"] == VERSION
    assert f"| `version` | {VERSION}. " in PAGE


def test_the_pages_table_is_as_csv_has_it() -> None:
    (block,) = re.findall(r"```\n(table,item.*?)```", PAGE, re.DOTALL)
    rows = list(csv.reader(block.splitlines()))
    assert tuple(rows[0]) == tidy.Row._fields
    assert {len(row) for row in rows} == {len(tidy.Row._fields)}


def test_the_tables_for_questions_have_the_columns_that_the_page_says(tmp_path: Path) -> None:
    section = PAGE.partition("## Questions of your own")[2].partition("\n## ")[0]
    tables = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))
    assert len(tables) == 6
    with archive.open(fill(tmp_path / "a.db")) as kept:
        for name, columns in tables.items():
            answer = kept.query(f"SELECT * FROM {name} LIMIT 1")
            told = re.sub(r"\(.*?\)|;.*|, as other.*", "", columns)
            assert list(answer.columns) == re.findall(r"`(\w+)`", told), name
            assert answer.rows, name
