"""docs/scripts.md can be walked as it stands, in a room without a broker."""

from __future__ import annotations

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
