"""Those who join from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.processes import Commands


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Commands]:
    """The guest's commands, in a home that has nothing of the host's, and without a keyring."""
    home = tmp_path / "guest"
    home.mkdir()
    started = Commands(home, {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "LOGNAME": "g1234"})
    try:
        yield started
    finally:
        started.end()
