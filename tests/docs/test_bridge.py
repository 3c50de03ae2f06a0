"""docs/bridge.md can be walked as it stands."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.examples import ROOT
from tests.docs.walk import Walk, path_with


@pytest.fixture
def walk_without_a_broker(tmp_path: Path, tmux: str) -> Iterator[Walk]:
    """A walk through a page whose commands need no server."""
    folder = tmp_path / "walk"
    (folder / "checkout").mkdir(parents=True)
    script = f'#!/bin/sh\nexec "{sys.executable}" -P -m kchat "$@"\n'
    environment = {"PYTHONPATH": str(ROOT), "PATH": path_with(folder / "bin", kchat=script)}

    def publish(payload: str) -> None:
        raise AssertionError(payload)

    # A short path: the page's lines are looked for as a terminal shows them.
    with tempfile.TemporaryDirectory(prefix="kchat-") as rooms:
        made = Walk(folder, tmux, environment, {"/tmp/bridge-": f"{rooms}/"}, publish)
        yield made
        made.close()


def test_the_page_about_bridges_can_be_walked(walk_without_a_broker: Walk) -> None:
    walk_without_a_broker.go("docs/bridge.md")
