"""Runs cases one after the other, and keeps what was measured, whatever becomes of one of them or of the run."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.before import Earlier
from benchmarks.bench import Bench
from benchmarks.cases import Case
from benchmarks.measure import Failed, Side, alternate
from benchmarks.report import BEFORE, Outcome

INTERRUPTED = 130
"""The status of a command that Ctrl+C has ended, as shells have it."""


def chosen(cases: Sequence[Case], words: Sequence[str]) -> list[Case]:
    """Those with one of the words in their name; all of them where there are no words.

    Raises:
        LookupError: a word is in no name.
    """
    for word in words:
        if not any(word in case.name for case in cases):
            raise LookupError(f"no case has {word!r} in its name: {', '.join(case.name for case in cases)}")
    return [case for case in cases if not words or any(word in case.name for word in words)]


def run(
    cases: Sequence[Case],
    json: Path,
    *,
    quick: bool = False,
    rounds: int | None = None,
    before: Earlier | None = None,
) -> tuple[list[Outcome], int]:
    """Measure cases, show each, and print the table of all bars at the end.

    Arguments:
        cases: what to measure.
        json: a file, written anew after each case.
        quick: a tenth of everything, one round, and no bar counts.
        rounds: of each case. Default as each says.
        before: an earlier kchat, which is measured in turn with this one. Default none.

    Returns:
        What came out, and the exit status: 0, 1 where a bar is missed or a case has failed or could not be measured, or
        :data:`INTERRUPTED`.
    """
    outcomes: list[Outcome] = []
    with Bench(quick=quick) as bench:
        earlier = None
        if before is not None:
            earlier = bench.of(before.python)
            bench.versions["before"] = before.commit
        try:
            for case in cases:
                outcomes.append(measured(bench, case, rounds or (1 if quick else case.rounds), earlier))
                report.write_json(json, outcomes, report.machine(bench))
        except KeyboardInterrupt:
            left = ", ".join(case.name for case in cases[len(outcomes) :])
            print(f"\ninterrupted; not measured: {left}", file=sys.stderr)
        report.summary(outcomes, report.machine(bench))
    if len(outcomes) < len(cases):
        return outcomes, INTERRUPTED
    # A tenth of a measurement is mostly the start of the processes: it shows that they work, and no more.
    return outcomes, int(not all(not each.failure if quick else each.good for each in outcomes))


def measured(bench: Bench, case: Case, rounds: int, earlier: Bench | None = None) -> Outcome:
    """Measure one case and show it. Whatever it raises is a failure of this case alone."""
    start = time.monotonic()
    try:
        with ExitStack() as stack:
            sides = stack.enter_context(case.sides(bench))
            if earlier is not None:
                sides = _side_by_side(case, sides, stack.enter_context(case.sides(earlier)))
            results = alternate(sides, rounds, partial(_say, case.name))
        outcome = Outcome.of(case, results)
        _say()
        report.show(outcome, time.monotonic() - start)
        return outcome
    except (
        pytest.skip.Exception,
        pytest.fail.Exception,
    ) as error:  # tests.brokers: it is not on this machine
        failure = f"not measured: {error}"
    except Failed as error:
        failure = f"failed: {error}"
    except Exception as error:  # a surprise in one case costs no other its figures
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error  # what was interrupted could not be tidied up: no failure of the case
        traceback.print_exc()
        failure = f"failed: {type(error).__name__}: {error}"
    _say()
    print(f"\n{case.name}: {failure}", file=sys.stderr)
    return Outcome(case, {}, failure)


def _side_by_side(case: Case, now: Mapping[str, Side], before: Mapping[str, Side]) -> dict[str, Side]:
    """All sides of this kchat, each of kchat's own followed by the same of the earlier one."""
    sides: dict[str, Side] = {}
    for name, side in now.items():
        sides[name] = side
        if name in case.ours:
            sides[BEFORE + name] = before[name]
    return sides


def _say(*text: str) -> None:
    """Show the progress on one line of a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{': '.join(text)}")
        sys.stderr.flush()
