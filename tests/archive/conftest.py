from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def chdb_session() -> Iterator[Any]:
    """The one session of chDB that a process can have: see `nox -s chdb`."""
    from chdb.session import Session  # type: ignore[import-not-found, unused-ignore] # in its own session of nox

    with Session() as made:
        yield made
