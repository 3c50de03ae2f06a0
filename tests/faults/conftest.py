"""Fixtures for the tests of faults: what they measure."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.faults.table import PROPERTY, Row, lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the slow ones of these tests to `nox -s faults`, unless they are asked for by name or marker."""
    here = str(Path(__file__).parent)
    asked_for = any("faults" in argument for argument in config.invocation_params.args)
    if asked_for or config.option.markexpr or os.environ.get("KCHAT_TEST_FAULTS") == "all":
        return
    slow = [item for item in items if str(item.path).startswith(here) and item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Records a row of the table; arguments as of :class:`~tests.faults.table.Row`."""

    def record(fault: str, who: str, **more: Any) -> None:
        request.node.user_properties.append((PROPERTY, asdict(Row(fault, who, **more))))

    return record


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints what was measured by the tests that passed."""
    rows = [
        Row(**value)
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if report.when == "call" and name == PROPERTY
    ]
    if rows:
        terminalreporter.section("faults, as measured")
        for line in lines(rows):
            terminalreporter.write_line(line)
