"""What is measured: a case has sides, and bars that its sides are held to. Each module holds cases of one kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import NamedTuple

from benchmarks.bench import Bench
from benchmarks.measure import Results, Side


class Bar(NamedTuple):
    """What a figure of a side has to reach, as such or as a ratio to another side's in the same rounds.

    Attributes:
        side: whose figure.
        figure: its name.
        at_least: lower bound. Default none.
        at_most: upper bound. Default none.
        against: the side that it is divided by. Default none: the bound is for the figure itself.
    """

    side: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None
    against: str | None = None

    def value(self, results: Results) -> float:
        """The median of the figure, or of its ratio round by round."""
        mine = results[self.side][self.figure]
        if self.against is None:
            return mine.median
        other = results[self.against][self.figure]
        ratios = sorted(a / b for a, b in zip(mine.values, other.values, strict=True))
        return (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) / 2

    def holds(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    @property
    def bound(self) -> str:
        """``≥ 4``, ``≤ 0.12``."""
        return f"≥ {self.at_least:,g}" if self.at_least is not None else f"≤ {self.at_most:,g}"

    @property
    def unit(self) -> str:
        """What the figure is in: ``ms`` for ``p99 ms``."""
        share, _, unit = self.figure.partition(" ")
        return unit if share in {"p50", "p95", "p99", "max", "CPU"} else self.figure

    def __str__(self) -> str:
        return f"{self.bound} × {self.against}" if self.against is not None else f"{self.bound} {self.unit}"


class Case(NamedTuple):
    """Something to be measured.

    Attributes:
        name: short, for ``-k`` and the JSON file.
        what: for the table.
        sides: a context in which its sides can be run, by name.
        bars: what they are held to.
        rounds: how many times each side is run.
        by: what the sides are a scale of, where they are one, as in a plot. Default nothing.
        alone: all of its sides are kchat's, so that an earlier version is held against itself. Default: only those that
            bars name first are.
    """

    name: str
    what: str
    sides: Callable[[Bench], AbstractContextManager[Mapping[str, Side]]]
    bars: tuple[Bar, ...] = ()
    rounds: int = 5
    by: str = ""
    alone: bool = False

    @property
    def ours(self) -> set[str]:
        """The sides with bars that are kchat's: an earlier version is measured in these."""
        return {side for bar in self.bars for side in (bar.side, bar.against if self.alone else None) if side}


MODULES = (
    "start",
    "imports",
    "amqp_send",
    "amqp_receive",
    "amqp_latency",
    "bridge",
    "crowd",
    "presence",
    "history",
    "redis_history",
    "local",
    "pubsub",
    "scripts",
    "growth",
    "window",
    "archive",
)


def all_cases() -> list[Case]:
    """Every case, in the order of :data:`MODULES`."""
    return [case for name in MODULES for case in import_module(f"benchmarks.cases.{name}").CASES]
