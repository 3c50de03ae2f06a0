"""docs/scripts.md can be walked as it stands, in a room without a broker."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.examples import ROOT, unmarked
from tests.docs.walk import Walk, path_with

PAGE = "docs/scripts.md"


@pytest.fixture
def local_walk(tmp_path: Path, tmux: str) -> Iterator[Walk]:
    """A walk in an empty folder, with kchat on the path."""
    folder = tmp_path / "walk"
    (folder / "checkout").mkdir(parents=True)
    scripts = {
        "kchat": f'#!/bin/sh\nexec "{sys.executable}" -P -m kchat "$@"\n',
        "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
    }
    environment = {"PYTHONPATH": str(ROOT), "PATH": path_with(folder / "bin", **scripts)}
    walk = Walk(folder, tmux, environment, {}, lambda _: None)
    try:
        yield walk
    finally:
        walk.close()


def test_the_page_for_scripts_can_be_walked_from_its_beginning_to_its_end(local_walk: Walk) -> None:
    local_walk.go(PAGE)
    assert unmarked(PAGE) == []


def test_no_page_shows_a_message_by_echo_which_may_make_control_characters_of_it() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"), *(ROOT / "kchat").glob("**/*.py")]
    for page in pages:
        for line in page.read_text(encoding="utf-8").splitlines():
            assert not ("echo" in line and "$KCHAT_MESSAGE_" in line), page


def test_what_the_page_shows_a_message_with_leaves_its_backslashes_alone(tmp_path: Path) -> None:
    (command,) = re.findall(r"--shell --exec '([^']*)'", (ROOT / PAGE).read_text(encoding="utf-8"))
    text = r"\0033]0;owned\0007 %s \c"
    variables = {"KCHAT_MESSAGE_USERNAME": "ada", "KCHAT_MESSAGE_TEXT": text}
    words = ["/bin/sh", "-c", command, "sh"]
    done = subprocess.run(words, env=variables, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode() == f"ada said: {text}\n"
