"""Terminals for those who chat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.desk import Desk


@pytest.fixture
def desk(tmux: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmux, tmp_path)
    yield made
    made.close()
