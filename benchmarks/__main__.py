"""``python -m benchmarks``: measures, shows a table, writes JSON and charts, and fails where a bar is missed."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks import charts, report
from benchmarks.bench import ROOT, Bench
from benchmarks.cases import all_cases
from benchmarks.measure import Failed, alternate

OUTPUT = ROOT / "bench"


def main() -> int:
    """Run what the command line asks for. Returns 0, or 1 where a bar is missed or a side fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "-k", metavar="WORD", action="append", help="only cases with WORD in their name; repeatable"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of everything, one round: does it work?"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each case; default as each says")
    parser.add_argument(
        "--json", type=Path, default=OUTPUT / "bench.json", metavar="FILE", help="default %(default)s"
    )
    parser.add_argument(
        "--pictures", type=Path, default=OUTPUT, metavar="FOLDER", help="where charts go; default %(default)s"
    )
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # brokers and processes are ended in order
        signal.signal(number, signal.default_int_handler)
    cases = [
        case for case in all_cases() if not arguments.k or any(word in case.name for word in arguments.k)
    ]
    outcomes: list[report.Outcome] = []
    with Bench(quick=arguments.quick) as bench:
        for case in cases:
            start = time.monotonic()
            rounds = arguments.rounds or (1 if arguments.quick else case.rounds)
            try:
                with case.sides(bench) as sides:
                    results = alternate(sides, rounds, partial(_say, case.name))
            except Failed as error:
                _say()
                print(f"{case.name}: {error}", file=sys.stderr)
                outcomes.append(report.Outcome(case, {}, failure=str(error)))
                continue
            _say()
            outcomes.append(report.Outcome(case, results))
            report.show(outcomes[-1], time.monotonic() - start)
        where = report.machine(bench)
    report.write_json(arguments.json, outcomes, where)
    report.summary(outcomes, where)
    charts.draw(arguments.pictures, outcomes)
    # A tenth of a measurement is mostly the start of the processes: it shows that they work, and no more.
    return int(not all(not outcome.failure if arguments.quick else outcome.good for outcome in outcomes))


def _say(*text: str) -> None:
    """What is going on, on one line of a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{': '.join(text)}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
