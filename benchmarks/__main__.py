"""``python -m benchmarks``: measures, shows a table, writes JSON and charts, and fails where a bar is missed."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import charts
from benchmarks.before import NotInstalled, install
from benchmarks.bench import ROOT
from benchmarks.cases import all_cases
from benchmarks.run import INTERRUPTED, chosen, run

OUTPUT = ROOT / "bench"


def _rounds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError("a number from 1 on")
    return int(text)


def main() -> int:
    """Run what the command line asks for. Returns the status of :func:`benchmarks.run.run`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "-k",
        metavar="WORD",
        action="append",
        default=[],
        help="only cases with WORD in their name; repeatable",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of everything, one round: does it work?"
    )
    parser.add_argument(
        "--rounds", type=_rounds, metavar="N", help="rounds of each case; default: as many as each case says"
    )
    parser.add_argument(
        "--before",
        metavar="COMMIT",
        help="measure the kchat of this commit in turn with this one, side by side in one table",
    )
    parser.add_argument(
        "--json", type=Path, default=OUTPUT / "bench.json", metavar="FILE", help="default %(default)s"
    )
    parser.add_argument(
        "--pictures", type=Path, default=OUTPUT, metavar="FOLDER", help="where charts go; default %(default)s"
    )
    arguments = parser.parse_args()
    try:
        cases = chosen(all_cases(), arguments.k)
    except LookupError as error:
        parser.error(str(error))
    try:  # before anything is measured in vain
        arguments.pictures.mkdir(parents=True, exist_ok=True)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.open("a").close()
    except OSError as error:
        parser.error(f"cannot write {error.filename}: {error.strerror}")
    for number in (signal.SIGINT, signal.SIGTERM):  # brokers and processes are ended in order
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="kchat-before-") as folder:
        try:
            before = install(arguments.before, Path(folder)) if arguments.before else None
        except NotInstalled as error:
            parser.error(f"--before: {error}")
        except KeyboardInterrupt:
            return INTERRUPTED
        outcomes, status = run(
            cases, arguments.json, quick=arguments.quick, rounds=arguments.rounds, before=before
        )
    if status != INTERRUPTED:
        charts.draw(arguments.pictures, outcomes)
    return status


if __name__ == "__main__":
    sys.exit(main())
