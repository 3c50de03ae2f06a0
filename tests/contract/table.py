"""The contract's table, from the reports of a test run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

WORST = ("FAILED", "skipped", "not here", "cannot", "ok")
"""What a cell can say. Where several tests keep one promise, the first of these that applies."""


@dataclass
class Cell:
    """What became of a promise on a transport."""

    outcomes: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return next((each for each in WORST if each in self.outcomes), "-")


def rows(reporter: pytest.TerminalReporter, transports: Sequence[str]) -> list[str]:
    """Returns the table's lines, what needs a reason below; nothing where no test of the contract ran.

    Arguments:
        reporter: has the reports.
        transports: the names over the columns.
    """
    cells: dict[str, dict[str, Cell]] = {}
    for report, outcome in _reports(reporter):
        properties: dict[str, Any] = dict(report.user_properties)
        if "contract" not in properties:
            continue
        promise, transport = properties["contract"]
        cell = cells.setdefault(promise, {}).setdefault(transport, Cell())
        declared = next((each for each in ("not here", "cannot") if each in properties), outcome)
        cell.outcomes.add(declared if outcome == "ok" else outcome)
        if outcome == "skipped":
            cell.reasons.add(f"skipped: {_reason(report)}")
        elif declared == "not here":
            cell.reasons.add(f"not here: {transport}: {properties['not here']}")
    return _lines(cells, transports) if cells else []


def _reports(reporter: pytest.TerminalReporter) -> Iterator[tuple[pytest.TestReport, str]]:
    for category, outcome in (
        ("passed", "ok"),
        ("failed", "FAILED"),
        ("error", "FAILED"),
        ("skipped", "skipped"),
    ):
        for report in reporter.stats.get(category, []):
            if isinstance(report, pytest.TestReport):
                yield report, outcome


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


def _lines(cells: dict[str, dict[str, Cell]], transports: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    lines = ["  ".join([" " * width, *(f"{name:8}" for name in transports)]).rstrip()]
    lines += [
        "  ".join([f"{promise:{width}}", *(f"{row.get(name, Cell())!s:8}" for name in transports)]).rstrip()
        for promise, row in cells.items()
    ]
    reasons = {reason for row in cells.values() for cell in row.values() for reason in cell.reasons}
    return [
        *lines,
        "cannot: declared in the registry; that the refusal is clear was tested",
        *sorted(reasons),
    ]
