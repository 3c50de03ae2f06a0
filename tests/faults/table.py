"""What the tests of faults measured, as one table at the end of the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

PROPERTY = "fault"
"""The name under which a test's report carries a row."""


@dataclass(frozen=True)
class Row:
    """One measured cell of the table of faults.

    Attributes:
        fault: what was broken.
        who: ``sender``, ``subscriber``, ...
        on: the transport.
        noticed: seconds until it was noticed, None where that does not depend on time.
        back: seconds from the end of the fault until all was well again.
        lost: messages.
        note: what else was seen.
    """

    fault: str
    who: str
    on: str = "amqp"
    noticed: float | None = None
    back: float | None = None
    lost: int | None = None
    note: str = ""

    def cells(self) -> list[str]:
        """Its columns as text."""
        return [_text(value) for value in astuple(self)]


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if isinstance(value, float) else str(value)


def lines(rows: Iterable[Row]) -> list[str]:
    """The table, a line each, the header first."""
    table = [[field.name for field in fields(Row)], *(row.cells() for row in sorted(rows, key=_order))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]


def _order(row: Row) -> tuple[str, str, str]:
    return row.on, row.fault, row.who
