"""The table on the screen and the JSON file."""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from math import isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.bench import Bench
from benchmarks.cases import Bar, Case
from benchmarks.measure import Results
from kchat import __version__

BEFORE = "before: "
"""Begins the names of the earlier kchat's sides while they are measured."""


class Compared(NamedTuple):
    """A bar's value, and the earlier kchat's.

    Attributes:
        before: the earlier kchat's value of the same bar.
        ratio: the figure itself, now to before, as the median over the rounds; ``nan`` where it was 0.
    """

    before: float
    ratio: float


class Outcome(NamedTuple):
    """A case and what came out.

    Attributes:
        case: the case.
        results: of its sides. Empty where there is a failure.
        failure: ``failed: why`` or ``not measured: why``.
        before: of the earlier kchat's sides. Default: there is none.
    """

    case: Case
    results: Results
    failure: str = ""
    before: Results | None = None

    @classmethod
    def of(cls, case: Case, results: Results) -> Outcome:
        """From the results of all sides, the earlier kchat's among them."""
        before = {name: results[BEFORE + name] for name in results if BEFORE + name in results}
        now = {name: figures for name, figures in results.items() if not name.startswith(BEFORE)}
        return cls(case, now, before=before or None)

    def compared(self, bar: Bar) -> Compared | None:
        """A bar as the earlier kchat has it; ``None`` where there is none."""
        if self.before is None:
            return None
        pair = {"now": self.results[bar.side], "before": self.before[bar.side]}
        ratio = nan
        if all(pair["before"][bar.figure].values):
            ratio = Bar("now", bar.figure, against="before").value(pair)
        return Compared(bar.value({**self.results, **self.before}), ratio)

    @property
    def bars(self) -> list[tuple[Bar, float, bool]]:
        """Each bar, the value it is held against, and whether it holds."""
        values = [(bar, bar.value(self.results)) for bar in self.case.bars] if self.results else []
        return [(bar, value, bar.holds(value)) for bar, value in values]

    @property
    def good(self) -> bool:
        """Whether all bars hold."""
        return not self.failure and all(held for _, _, held in self.bars)


def show(outcome: Outcome, seconds: float) -> None:
    """Print one case: medians with minimum and maximum, and its bars."""
    print(f"\n{outcome.case.name}: {outcome.case.what} ({seconds:.0f} s)")
    width = max(map(len, outcome.results))
    for side, figures in outcome.results.items():
        told = [
            f"{number(s.median)} {name} ({number(s.least)} to {number(s.most)})"
            for name, s in figures.items()
        ]
        print(f"  {side.ljust(width)}  {'; '.join(told)}")
    for bar, value, held in outcome.bars:
        compared = outcome.compared(bar)
        before = "" if compared is None else f"; before: {number(compared.before)}"
        print(
            f"  {'ok    ' if held else 'MISSED'}  {bar.side}, {bar.figure}: {number(value)}, bar {bar}{before}"
        )


def summary(outcomes: list[Outcome], where: dict[str, str]) -> None:
    """Print tables as docs/performance.md has them: of bars, with what an earlier kchat has and the ratio; of scales."""
    print("\n" + ", ".join(f"{name} {value}" for name, value in where.items()))
    compares = any(outcome.before for outcome in outcomes)
    titles = ["what", "bar", "measured", *(["before", "now ÷ before"] if compares else []), ""]
    print("\n" + _head(titles))
    for outcome in outcomes:
        for bar, value, held in outcome.bars:
            cells = [f"{outcome.case.what}: {bar.side}: {bar.figure}", str(bar), number(value)]
            if compares:
                before, ratio = outcome.compared(bar) or (nan, nan)
                cells += ["" if isnan(each) else number(each) for each in (before, ratio)]
            print(_row([*cells, "ok" if held else "missed"]))
        if outcome.failure:
            cells = [outcome.case.what, _in_short(outcome.failure)]
            print(_row([*cells, *[""] * (len(titles) - len(cells))]))
    for outcome in outcomes:
        if outcome.case.by and outcome.results:
            _scale(outcome)


def _scale(outcome: Outcome) -> None:
    """Print how a case's figures grow with what its sides are a scale of."""
    figures = next(iter(outcome.results.values()))
    print(f"\n{outcome.case.what}, medians:\n\n" + _head([outcome.case.by, *figures]))
    for side, samples in outcome.results.items():
        print(_row([side, *(number(samples[name].median) if name in samples else "" for name in figures)]))


def _head(titles: list[str]) -> str:
    return _row(titles) + "\n" + "|---" * len(titles) + "|"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _in_short(failure: str) -> str:
    """What was run and how that ended, of all that it said, fit for a table."""
    first, *more = failure.splitlines()
    return " ".join([first, *more[-1:]]).replace("|", "\\|")


def write_json(path: Path, outcomes: list[Outcome], where: dict[str, str]) -> None:
    """Write everything that was measured."""
    cases: list[dict[str, Any]] = [
        {
            "name": outcome.case.name,
            "what": outcome.case.what,
            "failure": outcome.failure,
            "sides": _figures(outcome.results),
            **({"before": _figures(outcome.before)} if outcome.before else {}),
            "bars": [
                {"side": bar.side, "figure": bar.figure, "bar": str(bar), "value": value, "held": held}
                for bar, value, held in outcome.bars
            ],
        }
        for outcome in outcomes
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not half a file where the run is interrupted just now.
    whole = path.with_name(path.name + ".new")
    whole.write_text(json.dumps({"machine": where, "cases": cases}, indent=1, ensure_ascii=False) + "\n")
    whole.replace(path)


def _figures(results: Results) -> dict[str, Any]:
    return {
        side: {
            name: {"median": s.median, "min": s.least, "max": s.most, "rounds": s.values}
            for name, s in figures.items()
        }
        for side, figures in results.items()
    }


def machine(bench: Bench) -> dict[str, str]:
    """What it was measured on."""
    return {
        "when": time.strftime("%Y-%m-%d"),
        "Python": platform.python_version(),
        "cores": str(os.cpu_count()),
        "CPU": _processor(),
        "kchat": __version__,
        **_versions("kombu", "amqp", "pika", "google-cloud-pubsub", "click", "clickhouse-driver", "duckdb"),
        **bench.versions,
    }


def _processor() -> str:
    """The processor's name, as Linux has it, or what Python knows of it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _versions(*names: str) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
