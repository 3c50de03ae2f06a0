"""``kchat doctor``, to be asked."""

from __future__ import annotations

import pytest

from tests.brokers.processes import Commands
from tests.cli.doctor.asking import Doctor


@pytest.fixture
def doctor(commands: Commands) -> Doctor:
    return Doctor(commands)
