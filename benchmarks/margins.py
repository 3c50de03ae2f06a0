"""How far each bar is exceeded or missed, in one measure for all of them."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from benchmarks.report import Outcome, number


class Margin(NamedTuple):
    """One bar, measured in multiples of it.

    Attributes:
        name: of the case, the side and the figure.
        times: how many times better than asked for kchat is, whichever way better is.
        told: what was measured, and the bar.
        held: whether it holds.
    """

    name: str
    times: float
    told: str
    held: bool


def margins(outcome: Outcome) -> list[Margin]:
    """Those of a case. A bar of 0, such as for what is lost, has no multiples and is left out."""
    found = []
    for bar, value, held in outcome.bars:
        if bar.at_least:
            times = value / bar.at_least
        elif bar.at_most:
            times = bar.at_most / value if value else inf
        else:
            continue
        name = f"{outcome.case.what}\n{bar.side}: {bar.figure}"
        unit = bar.unit if bar.against is None else f"× “{bar.against}”"  # some sides are numbers
        found.append(Margin(name, times, f"{number(value)} {unit} (bar: {bar.bound})", held))
    return found
